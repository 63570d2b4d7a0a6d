/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "engine/chain.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "kernel/sysfs/write.h"
#include "tests/unit/own-processes.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

/* The files, and the folders whose entries, were made durable, in the place of the C library's. */
static char synced[4096];

/* The removal's journal while anything was made durable for it: the longest that it was. */
static const char *watched;
static off_t watched_length;

int fsync(int fd) {
        _cleanup_free_ char *link = strf("/proc/self/fd/%d", fd), *path = NULL;
        struct stat st;

        if (watched && stat(watched, &st) >= 0 && st.st_size > watched_length)
                watched_length = st.st_size;

        CHECK(link);
        CHECK_INT(read_link_at(AT_FDCWD, link, &path), 0);
        size_t n = strlen(synced);
        (void) snprintf(synced + n, sizeof(synced) - n, "%s\n", path);
        return (int) syscall(SYS_fsync, fd);
}

static unsigned data_synced;
static int data_error;

int fdatasync(int fd) {
        data_synced++;
        if (data_error > 0) {
                errno = data_error;
                return -1;
        }
        return (int) syscall(SYS_fdatasync, fd);
}

static unsigned times_synced(const char *folder, const char *dir) {
        _cleanup_free_ char *path = strf("%s%s\n", dir, folder);
        unsigned n = 0;

        for (const char *p = synced; (p = strstr(p, path)); p++)
                n += p == synced || p[-1] == '\n';
        return n;
}

static Plan *make_plan(void) {
        return plan_of_text(
                "{\"schema\": \"safe-remove/plan/1\", \"slot\": {\"name\": \"2\"}, \"card\": null, \"steps\": ["
                "{\"name\": \"auto-online\", \"args\": {\"value\": \"offline\", \"was\": \"online\"}},"
                "{\"name\": \"auto-online\", \"args\": {\"value\": \"online\", \"was\": \"offline\"}}]}");
}

static Journal *create(const char *id) {
        _cleanup_(plan_freep) Plan *p = make_plan();
        json_object *start = json_object_new_object();
        Journal *j = NULL;

        json_set_str(start, "trigger", "button");
        CHECK_INT(journal_create(id, p, start, &j), 0);
        return j;
}

static int reopen(const char *id, Journal **ret) {
        _cleanup_(plan_freep) Plan *p = NULL;
        _cleanup_free_ char *why = NULL;

        return journal_open(id, ret, &p, &why);
}

static void test_round_trip(void) {
        _cleanup_(journal_freep) Journal *j = create("1"), *back = NULL;

        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK_INT(journal_step(j, "done", 0, NULL), 0);
        CHECK_INT(journal_step(j, "do", 1, NULL), 0);
        CHECK_INT(reopen("1", &back), 0);
        CHECK_INT(back->last_do, 1);
        CHECK(!back->backwards && !back->ended && !back->other_boot);
        CHECK_STR(json_str(back->start, "trigger"), "button");
        CHECK_STR(json_str(back->start, "slot"), "2");
}

/* Before a step touches anything its record is on the medium; that it is done gets there together with the next one. */
/* With the record that it begins with, all that this goes by is there after a power cut. */
static void test_begun_last(void) {
        _cleanup_free_ char *path = strf("%s/removals/22/journal", state_dir());

        watched = path;
        watched_length = 0;
        data_synced = 0;
        _cleanup_(journal_freep) Journal *j = create("22");
        watched = NULL;
        CHECK_INT(watched_length, 0);
        CHECK_INT(data_synced, 1);
        CHECK_INT(times_synced("/removals/22/plan.json", state_dir()), 1);
        CHECK_INT(times_synced("/removals/22", state_dir()), 1);
        CHECK_INT(times_synced("/removals/22/journal", state_dir()), 0);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
}

/* Who was told that it cannot be written down is not surprised by it after the next start. */
static void test_not_begun(void) {
        _cleanup_(plan_freep) Plan *p = make_plan();
        _cleanup_(journal_freep) Journal *j = NULL, *back = NULL;

        data_error = EIO;
        CHECK_INT(journal_create("23", p, json_object_new_object(), &j), -EIO);
        data_error = 0;
        CHECK(!j);
        CHECK_INT(reopen("23", &back), -EBADMSG);
}

static void test_synced(void) {
        _cleanup_(journal_freep) Journal *j = create("20");

        data_synced = 0;
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK_INT(data_synced, 1);
        CHECK_INT(journal_step(j, "done", 0, NULL), 0);
        CHECK_INT(data_synced, 1);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(data_synced, 2);
}

/* Once it has turned back it never goes forward again, whoever reads it. */
static void test_direction_stays(void) {
        _cleanup_(journal_freep) Journal *j = create("2"), *back = NULL;

        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK_INT(journal_back(j, "cancelled", "second press"), 0);
        CHECK_INT(journal_step(j, "undo", 0, NULL), 0);
        CHECK_INT(reopen("2", &back), 0);
        CHECK(back->backwards);
        CHECK_STR(back->back_code, "cancelled");
        CHECK_STR(back->back_why, "second press");
}

static void note_together(Journal *j, size_t n, const char *text, size_t times) {
        _cleanup_json_ json_object *notes = json_object_new_array(), *note = json_object_new_object();

        json_set_str(note, "unit", text);
        for (size_t i = 0; i < times; i++)
                json_object_array_add(notes, json_ref(note));
        CHECK_INT(journal_note(j, n, notes), 0);
}

/* What a step noted is the step's own, in its order, for whoever reads it; what is lost is told once. */
static void test_notes(void) {
        _cleanup_(journal_freep) Journal *j = create("6"), *back = NULL;

        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        note_together(j, 0, "a.service", 1);
        note_together(j, 0, "b.service", 1);
        CHECK_INT(journal_step(j, "do", 1, NULL), 0);
        note_together(j, 1, "c.service", 2);
        /* Twice the same, and twice. */
        json_object *lost = json_object_new_array();
        for (unsigned i = 0; i < 2; i++)
                json_append_str(lost, "process 12 (dd) was ended");
        for (unsigned i = 0; i < 2; i++)
                CHECK_INT(journal_lost(j, 1, lost), 0);
        json_object_put(lost);
        CHECK_INT(reopen("6", &back), 0);
        CHECK_INT(json_len(journal_notes(back, 0)), 2);
        CHECK_STR(json_str(json_at(journal_notes(back, 0), 1), "unit"), "b.service");
        CHECK_INT(json_len(journal_notes(back, 1)), 2);
        CHECK_STR(json_str(json_at(journal_notes(back, 1), 1), "unit"), "c.service");
        CHECK(!journal_notes(back, 2));
        CHECK_INT(json_len(back->lost), 1);
        CHECK_STR(json_object_get_string(json_at(back->lost, 0)), "process 12 (dd) was ended");
}

static void note_text(Journal *j, size_t n, const char *text) {
        _cleanup_json_ json_object *notes = NULL;

        CHECK_INT(json_parse(text, strlen(text), &notes), 0);
        CHECK_INT(journal_note(j, n, notes), 0);
}

/* Who was ended, by what was noted before it was done; whoever let go before the signal was not. */
static void test_disturbed(void) {
        static const char *const want[] = {
                "processes of b.service, 20 (db) of user 113 among them: their unit was stopped, and c.service with it, and run-d.scope with it",
                "process 12 (dd) of user 1000, a.service: SIGTERM, SIGKILL",
                "process 14 (cat): SIGTERM",
                "processes of a.service: frozen meanwhile",
                "process 15 (sh) of user 0: stopped meanwhile",
        };
        _cleanup_(journal_freep) Journal *j = create("31"), *back = NULL;

        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        note_text(j, 0, "[{\"cgroup\": \"/system.slice/a.service\", \"unit\": \"a.service\"}, {\"pid\": 15, \"start_time\": 5, \"comm\": \"sh\", \"uid\": 0},"
                        " {\"pid\": 12, \"start_time\": 5, \"comm\": \"dd\", \"uid\": 1000}, {\"let_be\": 16, \"start_time\": 5, \"comm\": \"x\"}]");
        CHECK_INT(journal_step(j, "do", 1, NULL), 0);
        note_text(j, 1, "[{\"signal\": 15, \"pid\": 12, \"start_time\": 5, \"comm\": \"dd\", \"uid\": 1000, \"unit\": \"a.service\", \"units\": []},"
                        " {\"signal\": 15, \"pid\": 13, \"start_time\": 5, \"comm\": \"dd\", \"unit\": null}, {\"unsent\": 13, \"start_time\": 5},"
                        " {\"signal\": 15, \"pid\": 14, \"start_time\": 5, \"comm\": \"cat\"}, {\"signal\": 9, \"pid\": 14, \"start_time\": 5, \"comm\": \"cat\"},"
                        " {\"unsent\": 14, \"start_time\": 5}, {\"signal\": 9, \"pid\": 12, \"start_time\": 5, \"comm\": \"dd\", \"uid\": 1000},"
                        " {\"stop\": \"b.service\", \"process\": {\"pid\": 20, \"comm\": \"db\", \"uid\": 113},"
                        "  \"units\": [\"b.service\", \"c.service\"], \"passing\": [\"run-d.scope\"]}]");
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(reopen("31", &back), 0);
        json_object *told = json_array(back->end, "disturbed");
        CHECK_INT(json_len(told), ELEMENTSOF(want));
        for (size_t i = 0; i < ELEMENTSOF(want); i++)
                CHECK_STR(json_object_get_string(json_at(told, i)), want[i]);
}

/* Nobody can make the ending as long as he likes. */
static void test_disturbed_many(void) {
        _cleanup_(journal_freep) Journal *j = create("32");
        _cleanup_json_ json_object *notes = json_object_new_array(), *told = NULL;

        for (unsigned i = 0; i < 1000; i++) {
                json_object *note = json_object_new_object();
                json_set_u64(note, "signal", 9);
                json_set_u64(note, "pid", i + 2);
                json_object_array_add(notes, note);
        }
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK_INT(journal_note(j, 0, notes), 0);
        told = journal_disturbed(j);
        CHECK_INT(json_len(told), 257);
        CHECK_STR(json_object_get_string(json_at(told, 256)), "processes that are not listed: 744 more");
}

/* A number is never given twice, whatever became of its removal. */
static void test_numbers(const char *dir) {
        _cleanup_free_ char *folder = strf("%s/numbers", dir), *lower = strf("%s/numbers/777", dir), *highest = strf("%s/numbers/778", dir);
        uint64_t number = 0;

        CHECK_INT(removal_number_keep("777"), 0);
        CHECK_INT(removal_number_highest(&number), 0);
        CHECK_INT(number, 777);
        CHECK_INT(removal_number_keep("778"), 0);
        CHECK_INT(removal_number_keep("776"), 0);
        CHECK_INT(removal_number_highest(&number), 0);
        CHECK_INT(number, 778);
        CHECK(access(lower, F_OK) < 0 && access(highest, F_OK) == 0);
        CHECK_INT(removal_number_keep("../x"), -EINVAL);
        CHECK_INT(removal_number_keep(NULL), -EINVAL);
        test_remove_tree(folder);
        CHECK_INT(removal_number_highest(&number), 0);
        CHECK(number > 0 && number < 776); /* of the records */
}

static json_object *said(const char *what) {
        json_object *o = json_object_new_object();

        json_set_str(o, "said", what);
        return o;
}

/* What a card says of itself comes with the picture, or later; the last word about each time counts. */
static void test_card(void) {
        _cleanup_json_ json_object *picture = json_object_new_object(), *early = said("early"), *late = said("late"), *then = said("then");
        _cleanup_(journal_freep) Journal *j = create("16"), *back = NULL, *again = NULL;

        CHECK_INT(journal_before(j, picture, early), 0);
        CHECK_INT(reopen("16", &back), 0);
        CHECK(back->before);
        CHECK_STR(json_str(json_get(back->card, "before"), "said"), "early");
        CHECK(!json_get(back->card, "after"));
        CHECK_INT(journal_card(j, late, NULL), 0);
        CHECK_INT(journal_card(j, NULL, then), 0);
        CHECK_INT(reopen("16", &again), 0);
        CHECK_STR(json_str(json_get(again->card, "before"), "said"), "late");
        CHECK_STR(json_str(json_get(again->card, "after"), "said"), "then");
        CHECK_STR(json_str(json_get(j->card, "after"), "said"), "then");
}

static void test_id_taken(void) {
        _cleanup_(journal_freep) Journal *j = create("3"), *second = NULL;
        _cleanup_(plan_freep) Plan *p = make_plan();

        CHECK_INT(journal_create("3", p, json_object_new_object(), &second), -EEXIST);
        CHECK_INT(journal_create("../3", p, json_object_new_object(), &second), -EINVAL);
        CHECK_INT(journal_create("0", p, json_object_new_object(), &second), -EINVAL);
}

/* Every name that is made is there after power loss too: the folder that it is in is synced, after it. */
static void test_names_last(const char *dir) {
        _cleanup_free_ char *state = strf("%s/state", dir);
        _cleanup_(plan_freep) Plan *p = make_plan();
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_close_ int lock = -EBADF;

        CHECK_INT(setenv("SAFE_REMOVE_STATE_DIR", state, 1), 0);
        synced[0] = '\0';
        CHECK_INT(journal_create("1", p, json_object_new_object(), &j), 0);
        CHECK_INT(times_synced("", dir), 1);                    /* state */
        CHECK_INT(times_synced("/state", dir), 1);              /* removals */
        CHECK_INT(times_synced("/state/removals", dir), 1);     /* 1 */
        const char *first = strstr(synced, "/1/plan.json\n"), *names = first ? strstr(first, "/removals/1\n") : NULL;
        CHECK(names);
        CHECK_INT(times_synced("/state/removals/1", dir), 1);   /* plan.json, journal */
        CHECK_INT(machine_lock(&lock), 0);
        CHECK_INT(times_synced("/state", dir), 2);
        closep(&lock);
        lock = -EBADF;
        CHECK_INT(machine_lock(&lock), 0);
        CHECK_INT(times_synced("/state", dir), 2);              /* nothing was made */
        CHECK_INT(setenv("SAFE_REMOVE_STATE_DIR", dir, 1), 0);
}

/* Reads the record anew. */
static bool is_being_written(const char *id, Journal **j) {
        if (*j)
                journal_free(TAKE_PTR(*j));
        return reopen(id, j) >= 0 && journal_writer(*j);
}

/* The worker is killed while its write hangs: whoever reads the record knows the writer, until that has returned. */
static void test_left_behind(const char *dir) {
        _cleanup_free_ char *path = strf("%s/unbind", dir), *what = strf("0000:01:00.0 > %s", path);
        const WriteOptions options = { .kind = WRITE_ABANDONABLE, .timeout_usec = 600 * USEC_PER_SEC };
        _cleanup_(journal_freep) Journal *j = NULL, *later = NULL;

        CHECK_INT(mkfifo(path, 0600), 0);
        pid_t worker = fork();
        CHECK(worker >= 0);
        if (worker == 0) {
                Journal *own = create("40");
                CHECK_INT(journal_step(own, "do", 0, NULL), 0);
                apart_set_witness(journal_write_begins, own);
                _exit(kernel_write(path, "0000:01:00.0", &options) < 0);
        }
        WAIT_FOR(is_being_written("40", &j));
        /* It is written down before it begins, and does not if its worker ends just then. */
        WAIT_FOR(!path_existsf("/proc/%ju/fd/1", (uintmax_t) json_u64(journal_writer(j), "pid")));
        CHECK_INT(kill(worker, SIGKILL), 0);
        CHECK_INT(waitpid(worker, NULL, 0), worker);
        CHECK_INT(reopen("40", &later), 0);
        json_object *writer = journal_writer(later);
        CHECK(writer);
        CHECK_STR(json_str(writer, "what"), what);
        CHECK(json_u64(writer, "pid") != (uint64_t) worker);

        _cleanup_close_ int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        CHECK(reader >= 0);
        WAIT_FOR(!journal_writer(later));
}

/* A process of ours that stands for one that hangs in the kernel. */
static pid_t hanging(void) {
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        pause();
        }
        return pid;
}

static size_t n_alive(uint64_t but) {
        _cleanup_json_ json_object *found = NULL;

        CHECK_INT(writers_alive(but, &found), 0);
        return json_len(found);
}

/* Whatever became of the removal and its record, everybody knows who is at it still, and for which slot; also of one that should have died with
 * its worker. */
static void test_writers(void) {
        _cleanup_json_ json_object *found = NULL;
        pid_t one = hanging(), two = hanging();
        Journal *j = create("41");

        CHECK_INT(n_alive(0), 0);
        CHECK_INT(journal_write_begins(j, "an unbind", one, start_time_of(one), false), 0);
        CHECK_INT(journal_write_begins(j, "mdadm --stop", two, start_time_of(two), true), 0);
        CHECK_INT(n_alive(41), 0);
        CHECK_INT(writers_alive(0, &found), 0);
        CHECK_INT(json_len(found), 2);
        CHECK_INT(json_u64(json_at(found, 1), "removal"), 41);
        CHECK(!json_flag(json_at(found, 1), "light"));
        CHECK_STR(json_text(json_get(json_at(found, 1), "slots")), "[{\"name\":\"2\",\"port\":null}]");

        /* Who takes it up knows both, and closes nothing while one of them lives. */
        journal_free(TAKE_PTR(j));
        CHECK_INT(reopen("41", &j), 0);
        CHECK_INT(json_len(j->writers), 3); /* the journal has the first as well */
        CHECK_INT(kill(one, SIGKILL), 0);
        CHECK_INT(waitpid(one, NULL, 0), one);
        CHECK_STR(json_str(journal_writer(j), "what"), "mdadm --stop");
        CHECK_INT(journal_end(j, "stuck", "stuck", "", NULL), 0);
        journal_writers_close(j);
        _cleanup_free_ char *path = strf("%s/journal", j->dir), *file = strf("%s/writers/41", run_dir());
        journal_free(TAKE_PTR(j));
        CHECK(unlink(path) == 0);
        CHECK_INT(n_alive(0), 1);
        CHECK_INT(kill(two, SIGKILL), 0);
        CHECK_INT(waitpid(two, NULL, 0), two);
        CHECK_INT(n_alive(0), 0);
        CHECK(access(file, F_OK) == 0);
}

/* A process that has ended its write and lives on is at nothing, for whoever asks; one that hangs beside it is. */
static void test_ended(void) {
        _cleanup_free_ char *file = strf("%s/writers/48", run_dir());
        pid_t one = hanging(), two = hanging();
        Journal *j = create("48");

        CHECK_INT(journal_write_begins(j, "an unbind", one, start_time_of(one), false), 0);
        CHECK_INT(journal_write_begins(j, "a commit", two, start_time_of(two), false), 0);
        CHECK_INT(journal_write_ended(j, two, start_time_of(two)), 0);
        CHECK_STR(json_str(journal_writer(j), "what"), "an unbind");
        CHECK_INT(n_alive(0), 1);

        /* Another one's start is another process. */
        CHECK_INT(journal_write_ended(j, one, start_time_of(one) + 1), 0);
        CHECK_INT(n_alive(0), 1);
        CHECK_INT(journal_write_ended(j, one, start_time_of(one)), 0);
        CHECK(!journal_writer(j) && n_alive(0) == 0 && access(file, F_OK) < 0);

        /* At the next it is at it again. One whose record cannot be taken back has not ended. */
        CHECK_INT(journal_write_begins(j, "a power-off", one, start_time_of(one), false), 0);
        CHECK_STR(json_str(journal_writer(j), "what"), "a power-off");
        CHECK(unlink(file) == 0 && mkdir(file, 0700) == 0);
        CHECK(journal_write_ended(j, one, start_time_of(one)) < 0);
        CHECK(journal_writer(j));
        CHECK(rmdir(file) == 0);
        CHECK_INT(journal_write_ended(j, one, start_time_of(one)), 0);
        CHECK(!journal_writer(j));

        /* Whoever takes it up does not know, and asks whether it has ended. */
        journal_free(TAKE_PTR(j));
        CHECK_INT(reopen("48", &j), 0);
        CHECK(journal_writer(j));
        CHECK_INT(kill(one, SIGKILL), 0);
        CHECK_INT(waitpid(one, NULL, 0), one);
        CHECK_INT(kill(two, SIGKILL), 0);
        CHECK_INT(waitpid(two, NULL, 0), two);
        CHECK(!journal_writer(j));
        journal_free(j);
}

static bool light_is_written(const char *port) {
        _cleanup_json_ json_object *writer = light_writer(port);

        return writer;
}

/* A light is set for no removal: it is known all the same who is at it, for which slot, and forgotten when nobody is. */
static void test_light_writers(void) {
        static char port[] = "0000:0c:00.0";
        _cleanup_json_ json_object *found = NULL;
        _cleanup_free_ char *file = strf("%s/writers/light-%s", run_dir(), port);
        pid_t one = hanging(), two = hanging();

        CHECK(!light_is_written(port));
        CHECK_INT(light_write_begins(port, "0 > attention", one, start_time_of(one), false), 0);
        CHECK_INT(light_write_begins(port, "1 > attention", two, start_time_of(two), false), 0);
        CHECK_INT(writers_alive(7, &found), 0);
        CHECK_INT(json_len(found), 2);
        CHECK_INT(json_u64(json_at(found, 0), "removal"), 0);
        CHECK_STR(json_text(json_get(json_at(found, 0), "slots")), "[{\"port\":\"0000:0c:00.0\"}]");
        CHECK(json_flag(json_at(found, 0), "light"));
        CHECK_INT(n_alive(0), 2); /* a plan asks, which is no removal's */
        CHECK_INT(kill(two, SIGKILL), 0);
        CHECK_INT(waitpid(two, NULL, 0), two);
        CHECK(light_is_written(port) && !light_is_written("0000:0c:01.0"));
        CHECK_INT(kill(one, SIGKILL), 0);
        CHECK_INT(waitpid(one, NULL, 0), one);
        CHECK(access(file, F_OK) == 0 && !light_is_written(port) && access(file, F_OK) < 0);
}

/* The one that nobody knows: of a file that cannot be read. */
static void check_unread(json_object *writer, const char *file) {
        _cleanup_free_ char *text = writer_text(writer), *remedy = writer_remedy(writer, "safe-remove plan 2");

        CHECK(writer);
        CHECK_STR(json_str(writer, "unread"), file);
        CHECK(startswith(text, file) && strstr(text, "cannot be read"));
        CHECK(strstr(remedy, file) && strstr(remedy, "safe-remove plan 2"));
}

/* One without slots may be of any. */
static void check_one_unread(const char *file, size_t n_slots, bool light) {
        _cleanup_json_ json_object *found = NULL;

        CHECK_INT(writers_alive(0, &found), 0);
        CHECK_INT(json_len(found), 1);
        check_unread(json_at(found, 0), file);
        CHECK_INT(json_len(json_get(json_at(found, 0), "slots")), n_slots);
        CHECK(json_flag(json_at(found, 0), "light") == light);
}

/* What stands in the place of such a file and is none: nobody waits for it, and nobody takes it for "none". */
static void test_no_writers(void) {
        static const char *const torn[] = { "", "{", "[]", "{}", "{\"writers\":[{}]}", "{\"writers\":[{\"what\":\"x\"}]}" };
        _cleanup_free_ char *file = strf("%s/writers/44", run_dir()), *half = strf("%s/writers/45.new", run_dir());

        CHECK(mkfifo(file, 0600) == 0);
        check_one_unread(file, 0, false);
        CHECK(unlink(file) == 0 && mkdir(file, 0700) == 0);
        check_one_unread(file, 0, false);
        CHECK(rmdir(file) == 0);
        for (size_t i = 0; i < ELEMENTSOF(torn); i++) {
                CHECK(write_file_durably(file, torn[i]) == 0);
                check_one_unread(file, 0, false);
        }
        CHECK_INT(n_alive(44), 0); /* its own removal has it with its journal */
        CHECK(rename(file, half) == 0);
        CHECK_INT(n_alive(0), 0);
        CHECK(unlink(half) == 0);
}

/* Who takes a removal up does not take it for "none" either, nor does a light: until it is away. */
static void test_unread_writers(void) {
        static char port[] = "0000:0c:00.0";
        _cleanup_free_ char *file = strf("%s/writers/47", run_dir()), *light = strf("%s/writers/light-%s", run_dir(), port);
        pid_t one = hanging();
        Journal *j = create("47");

        CHECK_INT(journal_write_begins(j, "an unbind", one, start_time_of(one), true), 0);
        journal_free(TAKE_PTR(j));
        CHECK(truncate(file, 20) == 0);
        CHECK_INT(reopen("47", &j), 0);
        check_unread(journal_writer(j), file);

        /* It goes on being so when somebody of ours has written the file anew, and after the end. */
        CHECK_INT(journal_write_begins(j, "another", one, start_time_of(one), true), 0);
        CHECK_INT(kill(one, SIGKILL), 0);
        CHECK_INT(waitpid(one, NULL, 0), one);
        check_unread(journal_writer(j), file);
        journal_writers_close(j);
        check_one_unread(file, 1, false);
        CHECK(unlink(file) == 0);
        CHECK(!journal_writer(j));
        journal_free(TAKE_PTR(j));
        CHECK_INT(reopen("47", &j), 0);
        CHECK(!journal_writer(j));
        journal_free(j);

        CHECK(mkdir(light, 0700) == 0);
        _cleanup_json_ json_object *writer = light_writer(port), *other = light_writer("0000:0c:01.0");
        check_unread(writer, light);
        CHECK(!other);
        check_one_unread(light, 1, true);
        CHECK(rmdir(light) == 0);
        CHECK(!light_is_written(port));
}

/* With nothing at it any more the end takes the record away. */
static void test_writers_end(void) {
        _cleanup_(journal_freep) Journal *j = create("42");
        _cleanup_free_ char *file = strf("%s/writers/42", run_dir());
        pid_t one = hanging();

        CHECK_INT(journal_write_begins(j, "a write", one, start_time_of(one), true), 0);
        CHECK(access(file, F_OK) == 0);
        CHECK_INT(kill(one, SIGKILL), 0);
        CHECK_INT(waitpid(one, NULL, 0), one);
        journal_writers_close(j);
        CHECK(access(file, F_OK) < 0);
}

/* One place will do. With none nothing is begun, but for the way back: the slot has to be given back. */
static void test_writers_unwritable(void) {
        _cleanup_(journal_freep) Journal *j = create("43");
        _cleanup_free_ char *was = strdup(run_dir());
        uint64_t start = start_time_of(getpid());

        setenv("SAFE_REMOVE_RUN_DIR", "/proc/safe-remove", 1);
        CHECK_INT(journal_write_begins(j, "an unbind", getpid(), start, false), 0);
        CHECK(journal_write_begins(j, "offlining", getpid(), start, true) < 0);
        setenv("SAFE_REMOVE_RUN_DIR", was, 1);
        closep(&j->fd);
        j->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CHECK_INT(journal_write_begins(j, "an unbind", getpid(), start, false), 0);
        setenv("SAFE_REMOVE_RUN_DIR", "/proc/safe-remove", 1);
        CHECK(journal_write_begins(j, "an unbind", getpid(), start, false) < 0);
        CHECK(journal_back(j, "cancelled", "") < 0);
        CHECK_INT(journal_write_begins(j, "an unbind", getpid(), start, false), 0);
        CHECK_INT(journal_write_begins(j, "offlining", getpid(), start, true), 0);
        setenv("SAFE_REMOVE_RUN_DIR", was, 1);
}

/* What nobody could be told of is not begun. */
static int tell_nobody(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        return mortal ? -EROFS : -EIO;
}

static void test_untold(const char *dir) {
        _cleanup_free_ char *path = strf("%s/untold", dir), *text = NULL;
        WriteOptions options = { .kind = WRITE_ABANDONABLE, .timeout_usec = 10 * USEC_PER_SEC };

        CHECK_INT(write_file_durably(path, "before"), 0);
        apart_set_witness(tell_nobody, NULL);
        CHECK_INT(kernel_write(path, "after", &options), -EIO);
        options.kind = WRITE_INTERRUPTIBLE;
        CHECK_INT(kernel_write(path, "after", &options), -EROFS);
        apart_set_witness(NULL, NULL);
        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, "before");
}

/* A last line without its end was never promised: it is dropped, and what comes next stands on a line of its own. */
static void test_torn_line(void) {
        _cleanup_(journal_freep) Journal *j = create("4"), *back = NULL, *again = NULL;

        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK(write(j->fd, "{\"ev\":\"do\",\"n\":1", 16) == 16);
        CHECK_INT(reopen("4", &back), 0);
        CHECK_INT(back->last_do, 0);
        CHECK_INT(journal_step(back, "done", 0, NULL), 0);
        CHECK_INT(reopen("4", &again), 0);
        CHECK_INT(again->last_do, 0);
}

static void test_step_that_is_not_there(void) {
        _cleanup_(journal_freep) Journal *j = create("5"), *back = NULL;

        CHECK_INT(journal_step(j, "do", 2, NULL), 0);
        CHECK_INT(reopen("5", &back), -EBADMSG);
}

static void check_replay(const char *text, int expected) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(Journal));

        CHECK(j);
        j->fd = -EBADF;
        j->last_do = SIZE_MAX;
        CHECK_INT(journal_replay(j, text, "b"), expected);
        CHECK(expected < 0 || j->other_boot);
}

static void test_replay(void) {
        check_replay("", -EBADMSG);
        check_replay("rubbish\n", -EBADMSG);
        check_replay("{\"ev\":\"do\",\"n\":0}\n", -EBADMSG);
        check_replay("{\"ev\":\"start\"}\n{\"ev\":\"start\"}\n", -EBADMSG);
        check_replay("{\"ev\":\"start\",\"boot\":\"a\"}\n", 0);
        check_replay("{\"ev\":\"start\"}\n{\"ev\":\"note\",\"n\":0,\"note\":{}}\n", -EBADMSG);
        check_replay("{\"ev\":\"start\"}\n{\"ev\":\"do\",\"n\":0}\n{\"ev\":\"note\",\"n\":1,\"note\":{}}\n", -EBADMSG);
        check_replay("{\"ev\":\"start\"}\n{\"ev\":\"do\",\"n\":0}\n{\"ev\":\"note\",\"n\":0,\"note\":1}\n", -EBADMSG);
        check_replay("{\"ev\":\"start\"}\n{\"ev\":\"do\",\"n\":0}\n{\"ev\":\"note\",\"n\":0,\"note\":{}}\n", 0);
}

static bool is_on_record(const char *id) {
        _cleanup_free_ char *dir = NULL;

        CHECK_INT(removal_dir(id, &dir), 0);
        return access(dir, F_OK) == 0;
}

/* The oldest go first, and never one that somebody may still have to go on with. */
static void test_prune(void) {
        for (unsigned id = 101; id <= 104; id++) {
                _cleanup_free_ char *text = strf("%u", id);
                _cleanup_(journal_freep) Journal *j = create(text);
                if (id != 102)
                        CHECK_INT(journal_end(j, "safe", "done", "slot 2: safe to pull", NULL), 0);
        }
        removals_prune(2);
        CHECK(!is_on_record("101") && is_on_record("102") && is_on_record("103") && is_on_record("104"));
}

static void lose_end(const char *id) {
        _cleanup_free_ char *dir = NULL, *path = NULL, *text = NULL;

        CHECK_INT(removal_dir(id, &dir), 0);
        path = strf("%s/journal", dir);
        CHECK_INT(read_file(path, &text, NULL), 0);
        char *end = strstr(text, "{ \"ev\": \"end\"") ?: strstr(text, "{\"ev\":\"end\"");
        CHECK(end && truncate(path, end - text) == 0);
}

static void check_made_up(const char *made_id, const char *missing_id) {
        _cleanup_json_ json_object *made = json_object_new_array(), *missing = json_object_new_array();

        CHECK(missing_id ? journals_make_up(made, missing) < 0 : journals_make_up(made, missing) == 0);
        CHECK_INT(json_len(made), made_id != NULL);
        CHECK_INT(json_len(missing), missing_id != NULL);
        CHECK(!made_id || json_has_string(made, made_id));
        CHECK(!missing_id || json_has_string(missing, missing_id));
}

static Journal *opened(const char *id) {
        Journal *j = NULL;

        CHECK_INT(reopen(id, &j), 0);
        return j;
}

/* How it ended is known for as long as the boot lasts, whatever becomes of the record: an older one that was brought back, or one for whose end there was no room. */
static void test_end_kept(void) {
        _cleanup_(journal_freep) Journal *first = create("205"), *full = create("206");
        _cleanup_json_ json_object *end = NULL, *none = NULL;

        CHECK_INT(journal_end_kept(first, &end), -ENOENT);
        CHECK_INT(journal_end(first, "safe", "done", "slot 2: safe to pull", NULL), 0);
        check_made_up(NULL, NULL);
        lose_end("205");
        _cleanup_(journal_freep) Journal *older = opened("205");
        CHECK(!older->ended);
        CHECK_INT(journal_end_kept(older, &end), 0);
        CHECK_STR(json_str(end, "outcome"), "safe");
        check_made_up("205", NULL);
        check_made_up(NULL, NULL);
        _cleanup_(journal_freep) Journal *made = opened("205");
        CHECK(made->ended);
        CHECK_STR(json_str(made->end, "message"), "slot 2: safe to pull");

        closep(&full->fd);
        full->fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        CHECK(full->fd >= 0);
        CHECK_INT(journal_end(full, "restored", "cancelled", "", NULL), 1);
        _cleanup_(journal_freep) Journal *endless = opened("206");
        CHECK(!endless->ended);
        CHECK_INT(journal_ends_highest(), 206);
        check_made_up("206", NULL);

        /* A number that is another one's now says nothing of it. */
        test_remove_tree(first->dir);
        _cleanup_(journal_freep) Journal *other = create("205");
        CHECK_INT(journal_end_kept(other, &none), -ENOENT);
        /* Nor does what is there of one that began at another time. */
        CHECK_INT(journal_end(other, "safe", "done", "", NULL), 0);
        json_set_u64(other->start, "monotonic_usec", 7);
        CHECK_INT(journal_end_kept(other, &none), -ENOENT);
        /* And whoever begins under a number that had ended takes that end away. */
        test_remove_tree(full->dir);
        CHECK_INT(journal_ends_highest(), 206);
        _cleanup_(journal_freep) Journal *again = create("206");
        CHECK_INT(journal_ends_highest(), 205);
}

/* Nothing is promised where nothing can be written. */
static void test_unwritable(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *p = make_plan();

        setenv("SAFE_REMOVE_STATE_DIR", "/proc/safe-remove", 1);
        CHECK(journal_create("1", p, json_object_new_object(), &j) < 0);
        CHECK(!j);
}

/* However many end in one boot, it is the newest of them that are kept. */
static void test_ends_bounded(void) {
        enum { FIRST = 3001, N = 210, KEPT = 200 };
        _cleanup_free_ char *folder = strf("%s/ended", run_dir()), *newest = strf("%s/%u", folder, FIRST + N - 1),
                            *oldest = strf("%s/%u", folder, FIRST + N - KEPT), *gone = strf("%s/%u", folder, FIRST + N - KEPT - 1);
        _cleanup_listing_ Listing names = { 0 };

        for (unsigned i = 0; i < N; i++) {
                _cleanup_free_ char *id = strf("%u", FIRST + i);
                _cleanup_(journal_freep) Journal *j = create(id);
                CHECK_INT(journal_end(j, "safe", "done", "", NULL), 0);
        }
        CHECK(access(newest, F_OK) >= 0 && access(oldest, F_OK) >= 0 && access(gone, F_OK) < 0);
        CHECK_INT(listing_readf(&names, "%s", folder), 0);
        CHECK_INT(names.n, KEPT);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder();

        _cleanup_free_ char *run = strf("%s/run", dir);
        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        setenv("SAFE_REMOVE_RUN_DIR", run, 1);
        test_round_trip();
        test_synced();
        test_begun_last();
        test_not_begun();
        test_direction_stays();
        test_notes();
        test_disturbed();
        test_disturbed_many();
        test_numbers(dir);
        test_card();
        test_id_taken();
        test_names_last(dir);
        test_left_behind(dir);
        test_writers();
        test_ended();
        test_light_writers();
        test_no_writers();
        test_unread_writers();
        test_writers_end();
        test_writers_unwritable();
        test_untold(dir);
        test_torn_line();
        test_step_that_is_not_there();
        test_replay();
        test_prune();
        test_end_kept();
        test_ends_bounded();
        test_unwritable();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
