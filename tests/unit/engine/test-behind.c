/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engine does while a write that it left behind may take effect at any time, whichever way and whoever was to wait for it. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "kernel/process/apart.h"
#include "tests/unit/engine/engine-world.h"
#include "tests/unit/own-processes.h"

#define HOLD                                                                                                    \
        "{\"name\": \"hold\", \"args\": {\"port\": \"0000:0c:00.0\", \"service\": \"0000:0c:00.0:pcie004\","           \
        "\"power_led\": \"on\", \"attention_led\": \"off\"}}"
#define POLICY "{\"name\": \"auto-online\", \"args\": {\"value\": \"online\", \"was\": \"online_movable\"}}"
#define POLICY_AGAIN "{\"name\": \"auto-online\", \"args\": {\"value\": \"online_kernel\", \"was\": \"online\"}}"
#define FREEZE "{\"name\": \"freeze-holders\", \"args\": {\"targets\": [], \"rules\": [], \"timeout_sec\": 1}}"
#define FENCE "{\"name\": \"fence-dax\", \"args\": {\"dax\": \"dax7.0\", \"dev\": \"252:7\", \"node\": \"/dev/dax7.0\"}}"
#define UNMOUNT "{\"name\": \"unmount\", \"args\": {\"fs\": {\"type\": \"xfs\", \"dev\": \"259:77\"}, \"mounts\": []}}"
#define DAX                                                                                                     \
        "{\"name\": \"disable-dax\", \"args\": {\"dax\": \"dax0.0\", \"driver\": \"kmem\", \"start\": 19595788288,"    \
        "\"size\": 536870912, \"region\": {\"name\": \"region0\", \"start\": 19595788288, \"targets\":"           \
        "[{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}}}"
#define CARD "{\"bdf\": \"0000:0d:00.0\", \"vendor\": \"0x8086\", \"device\": \"0x0d93\", \"memdev\": \"mem1\", \"serial\": \"0x1\"}"

#define DRIVER_LINK "/sys/bus/dax/devices/dax0.0/driver"
#define BIND "/sys/bus/dax/drivers/kmem/bind"
#define WRITTEN "\"what\":\"dax0.0 > " BIND

/* A bit for each step. */
typedef struct Told {
        unsigned done, undone, failed;
} Told;

static void told_step(void *userdata, size_t n, StepPhase phase, const char *text, uint64_t usec) {
        Told *told = userdata;

        told->done |= phase == PHASE_DONE ? 1u << n : 0;
        told->undone |= phase == PHASE_UNDONE ? 1u << n : 0;
        told->failed |= phase == PHASE_FAILED ? 1u << n : 0;
}

static void listen(Case *c, Told *told) {
        c->engine.listener = (EngineListener) { .step = told_step, .userdata = told };
}

static void begun(Case *c, size_t n_steps) {
        for (size_t n = 0; n < n_steps; n++)
                CHECK_INT(journal_step(c->journal, "do", n, NULL), 0);
}

static char state_of(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d/stat", pid), *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        return strrchr(text, ')')[2];
}

static void wait_for_state(pid_t pid, bool stopped) {
        WAIT_FOR((state_of(pid) == 'T') == stopped);
}

/* Takes over the note. */
static void note_of(Case *c, size_t n, json_object *note) {
        _cleanup_json_ json_object *notes = json_object_new_array();

        json_object_array_add(notes, note);
        CHECK_INT(journal_note(c->journal, n, notes), 0);
}

static void nothing(void) {
}

static pid_t note_stopped(Case *c, size_t n) {
        pid_t pid = waiting_child_start(nothing);
        json_object *note = json_object_new_object();

        CHECK_INT(kill(pid, SIGSTOP), 0);
        wait_for_state(pid, true);
        json_set_u64(note, "pid", (uint64_t) pid);
        json_set_u64(note, "start_time", start_time_of(pid));
        json_set_str(note, "comm", "child");
        note_of(c, n, note);
        return pid;
}

static void note_forced(Case *c, size_t n) {
        json_object *note = json_object_new_object();

        json_set_str(note, "forced", "unmap: /dev/dax0.0 taken from somebody");
        note_of(c, n, note);
}

/* Of whatever kind a step is: only what the card has no part in is put back, and nobody runs on in memory that is being taken from him. He is
 * named, and how he goes on. */
static void test_what_goes_back(bool taken) {
        _cleanup_(case_done) Case c;
        Told told = { 0 };

        case_begin(&c, make_plan("removal", CARD, HOLD "," POLICY "," FREEZE "," FENCE "," UNMOUNT "," DAX));
        listen(&c, &told);
        begun(&c, 6);
        policy_write("online");
        pid_t pid = note_stopped(&c, 2);
        if (taken)
                note_forced(&c, 5);
        c.engine.left_behind = true;
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        check_policy("online_movable");
        CHECK_INT(told.undone, taken ? 0x03 : 0x07);
        CHECK_INT(told.failed, taken ? 0x3c : 0x38);
        wait_for_state(pid, taken);

        _cleanup_free_ char *who = strf("until then these stay stopped: process %d (child)", pid), *line = strf("{ kill -CONT %d; safe-remove status 2; }", pid);
        CHECK_INT(!!strstr(c.engine.stuck_why, who), taken);
        CHECK_INT(streq_ptr(c.engine.stuck_remedy, line), taken);
        waiting_child_end(pid);
}

/* They run on by themselves when the write has ended, long after the worker and its group have, and are not to be frozen anew before that. */
static void test_they_run_on(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", CARD, FREEZE "," DAX));
        begun(&c, 2);
        pid_t standing = note_stopped(&c, 0), pid = waiting_child_start(nothing);
        note_forced(&c, 1);
        CHECK_INT(journal_write_begins(c.journal, "dax0.0 > unbind", pid, start_time_of(pid), false), 0);
        apart_set_witness(journal_write_begins, c.journal);
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        apart_set_witness(NULL, NULL);

        pid_t somebody = (pid_t) json_u64(journal_writer(c.journal), "pid");
        CHECK(somebody != pid && getpgid(somebody) == somebody);
        _cleanup_free_ char *text = writer_text(journal_writer(c.journal));
        _cleanup_free_ char *who = strf("after that continues the stopped processes: process %d (child)", standing);
        CHECK(strstr(text, who));
        _cleanup_free_ char *line = strf("tail --pid=%d -f /dev/null && tail --pid=%d -f /dev/null && { kill -CONT %d; safe-remove status 2; }", pid,
                                         somebody, standing);
        CHECK(strstr(c.engine.stuck_remedy, line) == c.engine.stuck_remedy);
        CHECK_INT(state_of(standing), 'T');
        waiting_child_end(pid);
        WAIT_FOR(!journal_writer(c.journal));
        wait_for_state(standing, false);
        waiting_child_end(standing);
}

/* The driver is bound again, and the kernel does not come back from it: it is not asked twice, and nothing is put back after it. */
static void test_revert_hangs(void) {
        static const StepLimits short_limits = { .offline_timeout_usec = USEC_PER_SEC, .write_timeout_usec = USEC_PER_SEC };
        _cleanup_(case_done) Case c;
        char link[256] = "";
        Told told = { 0 };

        CHECK(readlink(DRIVER_LINK, link, sizeof(link) - 1) > 0);
        CHECK_INT(unlink(DRIVER_LINK), 0);
        CHECK(unlink(BIND) == 0 || errno == ENOENT);
        CHECK_INT(mkfifo(BIND, 0600), 0);
        case_begin(&c, make_plan("removal", CARD, POLICY "," FENCE "," UNMOUNT "," DAX));
        c.engine.run.limits = &short_limits;
        listen(&c, &told);
        begun(&c, 4);
        policy_write("online");
        apart_set_witness(journal_write_begins, c.journal);
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        apart_set_witness(NULL, NULL);
        json_object *writer = journal_writer(c.journal);
        CHECK(writer);
        CHECK_INT(told.undone, 0x1);
        CHECK_INT(told.failed, 0xe);
        check_policy("online_movable");
        _cleanup_free_ char *text = journal_text(&c), *who = writer_text(writer), *remedy = writer_remedy(writer, "safe-remove status 2");
        const char *first = strstr(text, WRITTEN);
        CHECK(first && !strstr(first + 1, WRITTEN));
        CHECK(strstr(c.engine.stuck_why, who));
        CHECK_STR(c.engine.stuck_remedy, remedy);

        _cleanup_close_ int reader = open(BIND, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        CHECK(reader >= 0);
        WAIT_FOR(!journal_writer(c.journal));
        CHECK_INT(unlink(BIND), 0);
        CHECK_INT(symlink(link, DRIVER_LINK), 0);
}

static int take_long(void *data, char **ret_text) {
        (void) poll(NULL, 0, 10 * 1000);
        return 0;
}

/* Somebody can make a look take long, and nobody writes then: it keeps nothing from coming back. */
static void test_look_takes_long(void) {
        const ApartOptions options = { .timeout_usec = 1 };
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY));
        apart_set_witness(journal_write_begins, c.journal);
        int r = run_apart(take_long, NULL, &options, NULL);
        CHECK_INT(r, -EINPROGRESS);
        CHECK(!engine_left_behind(&c.engine, NULL, r) && !c.engine.left_behind);
        apart_set_witness(NULL, NULL);
        CHECK(engine_left_behind(&c.engine, NULL, r) && c.engine.left_behind);
}

/* Who wrote when a step began has ended meanwhile, and an older one has not: that says nothing of the step. */
static void test_older_writer(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY));
        pid_t older = waiting_child_start(nothing), newer = waiting_child_start(nothing);
        CHECK_INT(journal_write_begins(c.journal, "offline > state", older, start_time_of(older), true), 0);
        CHECK_INT(journal_write_begins(c.journal, "offline > state", newer, start_time_of(newer), true), 0);
        _cleanup_json_ json_object *writer = json_ref(journal_writer(c.journal));
        CHECK_INT(json_u64(writer, "pid"), newer);
        waiting_child_end(newer);
        CHECK_INT(json_u64(journal_writer(c.journal), "pid"), older);
        CHECK(!engine_left_behind(&c.engine, writer, 0) && !c.engine.left_behind);
        CHECK(engine_left_behind(&c.engine, NULL, 0) && c.engine.left_behind);
        waiting_child_end(older);
}

/* A process that was made beforehand is older than one that was written down before it, and writes later all the same. */
static void test_made_beforehand(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY));
        pid_t beforehand = waiting_child_start(nothing), forked = waiting_child_start(nothing);
        for (unsigned i = 0; i < 1000 && start_time_of(forked) == start_time_of(beforehand); i++) { /* that is counted in ticks */
                waiting_child_end(forked);
                forked = waiting_child_start(nothing);
        }
        CHECK_INT(journal_write_begins(c.journal, "umount", forked, start_time_of(forked), true), 0);
        _cleanup_json_ json_object *writer = json_ref(journal_writer(c.journal));
        CHECK(!engine_left_behind(&c.engine, writer, 0));
        CHECK_INT(journal_write_begins(c.journal, "0000:0c:00.0 > bind", beforehand, start_time_of(beforehand), true), 0);
        CHECK(engine_left_behind(&c.engine, writer, 0) && c.engine.left_behind);
        waiting_child_end(beforehand);
        waiting_child_end(forked);
}

/* Some of many are named, and all are let go by the line. */
static void test_many_stand(void) {
        enum { N = 5 };
        _cleanup_(case_done) Case c;
        pid_t standing[N];

        case_begin(&c, make_plan("removal", CARD, FREEZE "," DAX));
        begun(&c, 2);
        for (size_t i = 0; i < N; i++)
                standing[i] = note_stopped(&c, 0);
        note_forced(&c, 1);
        c.engine.left_behind = true;
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        CHECK(strstr(c.engine.stuck_why, " (child) and 2 more"));
        size_t n_named = 0;
        for (const char *p = c.engine.stuck_why; (p = strstr(p, "(child)")); p++)
                n_named++;
        CHECK_INT(n_named, N - 2);
        for (size_t i = 0; i < N; i++) {
                _cleanup_free_ char *line = strf("kill -CONT %d; ", standing[i]);
                CHECK(strstr(c.engine.stuck_remedy, line));
                waiting_child_end(standing[i]);
        }
}

/* Whatever a step says of itself, and the kernel shows: who was to write for it has not ended, so it is not done, and nothing after it is. */
static void test_step_says_done(void) {
        _cleanup_(case_done) Case c;
        Told told = { 0 };

        case_begin(&c, make_plan("removal", "null", POLICY "," POLICY_AGAIN));
        listen(&c, &told);
        pid_t pid = waiting_child_start(nothing);
        CHECK_INT(journal_write_begins(c.journal, "offline > state", pid, start_time_of(pid), true), 0);
        CHECK_INT(engine_forward(&c.engine), -EINPROGRESS);
        CHECK_INT(c.engine.failed_step, 0);
        CHECK(c.engine.left_behind && strstr(c.engine.run.why, "still waits in the kernel (offline > state"));
        CHECK_INT(told.done, 0);
        check_policy("online");

        /* It was there before, and says nothing about how the policy is put back. */
        CHECK_INT(engine_back(&c.engine, "failed", "test"), 0);
        check_policy("online_movable");
        waiting_child_end(pid);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder();

        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        setenv("SAFE_REMOVE_RUN_DIR", dir, 1);

        /* Nobody but the recorded machine's is to be seen there; who writes is ours. */
        if (mount("/proc/.real", "/proc", NULL, MS_BIND | MS_REC, NULL) < 0)
                return 77;
        test_what_goes_back(false);
        test_what_goes_back(true);
        test_they_run_on();
        test_revert_hangs();
        test_look_takes_long();
        test_older_writer();
        test_made_beforehand();
        test_many_stand();
        test_step_says_done();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
