/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/process.h"
#include "kernel/process/process-stat.h"
#include "step/evict/hold-meanwhile.h"
#include "step/evict/holder-freeze.h"
#include "step/evict/units.h"
#include "tests/unit/holders/holder-world.h"

#define STOP_ONCE "stop a.service\n"

static const StepOps *ops;
static char *unit, *session;
static const char bin[] = "/run/fake";        /* the folder of the fake system manager */

static void text_write(const char *text, const char *format, ...) _printf_(2, 3);

/* Whoever reads it meanwhile sees the old text or the new one, no half. */
static void text_write(const char *text, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        _cleanup_free_ char *beside = strf("%s.%d", path, getpid());
        FILE *f = fopen(beside, "we");
        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
        CHECK_INT(rename(beside, path), 0);
}

static char *log_take(void) {
        _cleanup_free_ char *path = strf("%s/log", bin);
        char *text = NULL;

        if (read_file(path, &text, NULL) < 0)
                return strdup("");
        CHECK(unlink(path) == 0);
        return text;
}

static void check_log(const char *expected) {
        _cleanup_free_ char *text = log_take();

        CHECK_STR(text, expected);
}

static void unit_make(const char *name, const char *properties) {
        _cleanup_free_ char *folder = strf("%s/units/%s", bin, name);

        test_remove_tree(folder);
        CHECK(mkdir(folder, 0755) == 0);
        text_write("active\n", "%s/state", folder);
        text_write(properties, "%s/properties", folder);
}

/* The unit of our group. */
static void a_service(const char *more) {
        _cleanup_free_ char *properties = strf("ControlGroup=%s\nSendSIGKILL=yes\nKillSignal=15\nTimeoutStopUSec=90000000\n%s", unit, more);
        _cleanup_free_ char *procs = strf("%s%s/cgroup.procs\n", world_cgroup_root(), unit);

        unit_make("a.service", properties);
        text_write(procs, "%s/units/a.service/group", bin);
}

static char *state_of(const char *name) {
        _cleanup_free_ char *path = strf("%s/units/%s/state", bin, name);
        char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        return text;
}

/* As the step before notes a group that it freezes. */
static void world_note_group(StepRun *run, const char *group) {
        json_object *note = json_object_new_object();

        json_set_str(note, "cgroup", group);
        CHECK_INT(step_note(run, note), 0);
}

/* A child as a look finds it. The text is borrowed. */
static Holder child_holder(const Child *c, const char *group) {
        _cleanup_free_ char *path = strf("/proc/%d", c->pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ProcessStat st;

        CHECK_INT(process_stat(dirfd, &st), 0);
        return (Holder) { .pid = c->pid, .start_time = st.start_time, .comm = (char *) "test", .cgroup = (char *) group };
}

static void check_state(const char *name, const char *expected) {
        _cleanup_free_ char *state = state_of(name);

        CHECK_STR(state, expected);
}

static json_object *args_new(const char *rules) {
        return world_args(rules);
}

static void apply(StepRun *run, json_object *args) {
        CHECK_INT(ops->check(args, run), 0);
        if (ops->apply(args, run) < 0)
                fprintf(stderr, "%s\n", run->why), abort();
        CHECK_INT(ops->verify(args, run), STEP_APPLIED);
}

static void revert(StepRun *run, json_object *args) {
        run->backwards = run->ignore_cancel = true;
        if (ops->revert(args, run) < 0)
                fprintf(stderr, "%s\n", run->why), abort();
        CHECK_INT(ops->verify(args, run), STEP_NOT_APPLIED);
}

static void test_nobody(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        apply(&run, args);
        CHECK(!run.notes);
        revert(&run, args);
        check_log("");
}

/* A process of a session gets a SIGTERM, also when it is stopped; the way back has nothing to start, but to tell. */
static void test_session(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", NULL), other = child_start(session, NULL, NULL);

        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        child_stop(&holder);
        apply(&run, args);
        int status = child_status(&holder);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        CHECK(child_runs(&other));
        revert(&run, args);
        _cleanup_free_ char *lost = strf("process %d (test-end-holder, session-9.scope) was ended and is not started again", holder.pid);
        CHECK_STR(json_object_get_string(json_at(run.lost, 0)), lost);
        CHECK_INT(json_len(run.lost), 1);
        check_log("");
        child_end(&other);
}

static void leave(int sig) {
        CHECK(chdir("/") == 0);
}

static void stand_in_there(volatile uint64_t *count) {
        CHECK(chdir(world_folder) == 0 && signal(SIGUSR1, leave) != SIG_ERR);
}

static pid_t leaver;

/* A note is the last thing before a signal: in that moment it goes by itself. */
static int note_and_leave(StepRun *run, json_object *notes) {
        _cleanup_free_ char *path = strf("/proc/%d/cwd", leaver);
        char cwd[PATH_MAX] = "";

        CHECK_INT(kill(leaver, SIGUSR1), 0);
        while (!streq(cwd, "/")) {
                ssize_t n = readlink(path, cwd, sizeof(cwd) - 1);
                CHECK(n > 0);
                cwd[n] = '\0';
        }
        return keep_notes(run, notes);
}

/* Who has let go meanwhile gets no signal. */
static void test_leaves(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\"]}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, NULL, stand_in_there);

        CHECK(child_runs(&holder));
        leaver = holder.pid;
        run.note = note_and_leave;
        apply(&run, args);
        CHECK_INT(json_len(run.notes), 2);
        CHECK_INT(json_u64(json_at(run.notes, 1), "unsent"), holder.pid);
        CHECK(child_runs(&holder));
        child_end(&holder);
}

static void ignore_term(volatile uint64_t *count) {
        (void) signal(SIGTERM, SIG_IGN);
}

static void on_term(int sig) {
}

static void catch_term(volatile uint64_t *count) {
        (void) signal(SIGTERM, on_term);
}

/* Who ignores SIGTERM is not sent one: nothing is done to it, and the reason says what would help. */
static void test_ignores(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", ignore_term);
        _cleanup_free_ char *why = strf("process %d (test-end-holder, session-9.scope) holds %s/a by mapping; everything that the policy allows "
                                        "has been tried: it ignores SIGTERM", holder.pid, world_folder);

        CHECK(child_runs(&holder));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK_STR(run.why, why);
        CHECK(child_runs(&holder) && !run.notes);
        revert(&run, args);
        CHECK(!run.lost);

        json_set_bool(args, "force_kill", true);
        run.backwards = false;
        apply(&run, args);
        int status = child_status(&holder);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A thread of whom is traced: of the holder's leader, or of another; and by the tracer's leader, or by another. */
static pid_t traced;
static bool by_thread;

_Noreturn static void *say_and_wait(void *count) {
        ((volatile uint64_t *) count)[1] = (uint64_t) gettid();
        for (;;)
                (void) pause();
}

_Noreturn static void *trace_and_wait(void *count) {
        CHECK_INT(ptrace(PTRACE_SEIZE, traced, NULL, (void *) (long) PTRACE_O_TRACEEXIT), 0);
        say_and_wait(count);
}

static void thread_start(void *(*body)(void *count), volatile uint64_t *count) {
        pthread_t thread;

        CHECK_INT(pthread_create(&thread, NULL, body, (void *) count), 0);
        while (count[1] == 0)
                (void) poll(NULL, 0, 1);
}

static void with_thread(volatile uint64_t *count) {
        thread_start(say_and_wait, count);
}

static void keep_from_its_end(volatile uint64_t *count) {
        if (by_thread)
                thread_start(trace_and_wait, count);
        else
                CHECK_INT(ptrace(PTRACE_SEIZE, traced, NULL, (void *) (long) PTRACE_O_TRACEEXIT), 0);
}

static void check_killed(const Child *c) {
        int status = child_status(c);

        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_kept_by_tracer(bool refuses, bool thread) {
        static const char rules[] = "[{\"action\": [\"kill\"], \"kill_sec\": 1}]",
                          refusing[] = "[{\"unit\": [\"a.service\"], \"action\": [\"refuse\"], \"reason\": \"not this one\"},"
                                       " {\"action\": [\"kill\"], \"kill_sec\": 1}]";
        _cleanup_json_ json_object *args = args_new(refuses ? refusing : rules);
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", with_thread);

        CHECK(child_runs(&holder));
        traced = thread ? (pid_t) holder.count[1] : holder.pid;
        Child tracer = child_start(unit, NULL, keep_from_its_end);
        CHECK(child_runs(&tracer));
        json_set_bool(args, "force_kill", true);
        if (refuses) {
                _cleanup_free_ char *why = strf("it was killed, and process %d (test-end-holder), which traces it, keeps it: not this one",
                                                tracer.pid);
                CHECK_INT(ops->apply(args, &run), -EBUSY);
                CHECK(strstr(run.why, why) && child_runs(&tracer));
                child_end(&tracer);
        } else {
                apply(&run, args);
                check_killed(&tracer);
        }
        check_killed(&holder);
}

/* A tracer that is traced is kept from his end himself. */
static void test_kept_by_a_chain(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"kill\"], \"kill_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child links[4] = { child_start(session, "a", NULL) };

        by_thread = false;
        for (unsigned i = 0; i < ELEMENTSOF(links); i++) {
                CHECK(child_runs(&links[i]));
                traced = links[i].pid;
                if (i + 1 < ELEMENTSOF(links))
                        links[i + 1] = child_start(unit, NULL, keep_from_its_end);
        }
        json_set_bool(args, "force_kill", true);
        apply(&run, args);
        for (unsigned i = ELEMENTSOF(links); i-- > 0;)
                check_killed(&links[i]);
}

/* Whoever is killed stops on his way out for a tracer that wants it, with all that he has: the tracer is killed as well, unless it is
 * nobody's to end. Any thread of either will do for that. */
static void test_kept_by_tracer(void) {
        for (unsigned i = 0; i < 4; i++) {
                by_thread = i & 1;
                check_kept_by_tracer(i == 3, i & 2);
        }
}

/* What the kernel is to take from its users is no reason to fail any more; a file that is only open is. */
static void test_left_to_the_kernel(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", ignore_term);
        _cleanup_free_ char *path = strf("%s/a", world_folder), *does = NULL, *undo = NULL;

        json_set(args, "unmap", json_ref(json_get(args, "targets")));
        ops->describe(args, &does, &undo);
        CHECK(strstr(does, "; leave it to the kernel to take what is still mapped of /tmp/safe-remove-world-"));
        CHECK(child_runs(&holder));
        apply(&run, args);
        CHECK(child_runs(&holder) && !run.notes);
        child_end(&holder);

        _cleanup_close_ int fd = open(path, O_RDONLY); /* for the child */
        Child open_only = child_start(session, NULL, ignore_term);
        closep(&fd);
        fd = -EBADF;
        CHECK(child_runs(&open_only));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, "by descriptor; everything that the policy allows has been tried"));
        child_end(&open_only);
}

static json_object *shutdown_entries(void) {
        json_object *entries = json_object_new_array(), *entry = json_object_new_object(), *fs = json_object_new_object();
        struct stat st;

        CHECK(stat(world_folder, &st) == 0);
        json_set_strf(fs, "dev", "%u:%u", major(st.st_dev), minor(st.st_dev));
        json_set_str(fs, "type", "tmpfs");
        json_set_str(fs, "source", "tmpfs");
        json_set(entry, "fs", fs);
        json_set_str(entry, "shutdown", "flush");
        json_object_array_add(entries, entry);
        return entries;
}

static void obey_late(int sig) {
        (void) poll(NULL, 0, 700);
        _exit(0);
}

static void obey_late_body(volatile uint64_t *count) {
        (void) signal(SIGTERM, obey_late);
}

static size_t noted_at(json_object *notes, const char *key, uint64_t value) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_has(json_at(notes, i), key) && (value == 0 || json_u64(json_at(notes, i), key) == value))
                        return i;
        return SIZE_MAX;
}

/* A file system is shut down when all its users are out of time and no sooner, and before the first of them is killed. Where the kernel
 * cannot do that they are killed all the same. Cancelled in between, it goes on to their end. */
static void test_shutdown_before_kill(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\"], \"term_sec\": 5}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child stubborn = child_start(session, "a", ignore_term), late = child_start(session, "b", obey_late_body);

        /* The kernel lists the mount namespaces only for who is in the first PID namespace: as in test-unmount.c. */
        CHECK(mount("x", "/proc/1", "tmpfs", 0, NULL) == 0 && mkdir("/proc/1/ns", 0700) == 0 && symlink("mnt:[1]", "/proc/1/ns/mnt") == 0);
        CHECK(child_runs(&stubborn) && child_runs(&late));
        json_set_bool(args, "force_kill", true);
        json_set(args, "shutdown", shutdown_entries());
        apply(&run, args);
        int killed = child_status(&stubborn), ended = child_status(&late);
        CHECK(WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL);
        CHECK(WIFEXITED(ended));
        size_t shutdown = noted_at(run.notes, "shutdown", 0);
        CHECK(shutdown != SIZE_MAX && noted_at(run.notes, "signal", SIGTERM) < shutdown && shutdown < noted_at(run.notes, "signal", SIGKILL));
        CHECK_INT(noted_at(run.notes, "forced", 0), SIZE_MAX); /* tmpfs has no such thing, so nothing was forced */
        revert(&run, args);
        CHECK_INT(umount2("/proc/1", 0), 0);
}

/* One that catches it and goes on has its time, and lives. */
static void test_does_not_obey(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\", \"kill\"], \"term_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", catch_term);
        uint64_t start = now_monotonic();

        CHECK(child_runs(&holder));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(now_monotonic() - start >= USEC_PER_SEC);
        CHECK(child_runs(&holder));
        revert(&run, args);
        CHECK(!run.lost); /* it is still there */
        child_end(&holder);
}

static void map_for_a_while(volatile uint64_t *count) {
        (void) poll(NULL, 0, 300);
        _exit(0);
}

/* Who is to end by himself stands still for nobody's sake but ours. */
static void test_wait(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"wait\"], \"wait_sec\": 20}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", map_for_a_while);
        Holder h = child_holder(&holder, session);

        CHECK_INT(holder_stop(&run, &h, now_monotonic() + 10 * USEC_PER_SEC), 0);
        apply(&run, args);
        CHECK_INT(json_len(run.notes), 1);
        CHECK_INT(child_status(&holder), 0);
}

static void test_wait_others(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"wait\"], \"wait_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child stopped = child_start(session, "a", NULL), frozen = child_start(unit, "b", NULL);

        child_stop(&stopped);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_stands(&stopped) && child_stands(&frozen) && !run.notes);
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&stopped);
        child_end(&frozen);
}

/* Who was stopped or frozen by somebody else is let go to obey, does not, and stands still again: for whoever goes on as well. */
static void test_others_stay(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\"], \"term_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run(), next = world_run();
        Child stopped = child_start(session, "a", catch_term), frozen = child_start(unit, "b", catch_term), other = child_start(unit, NULL, NULL);

        CHECK(child_runs(&stopped) && child_runs(&frozen));
        child_stop(&stopped);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(cgroup_wait_frozen(unit, true, 5 * USEC_PER_SEC), 0);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_runs(&stopped) && child_runs(&frozen) && child_runs(&other));
        next.notes = json_ref(run.notes);
        revert(&next, args);
        CHECK(child_stands(&stopped) && child_stands(&frozen) && child_stands(&other));
        CHECK_INT(cgroup_asked_to_freeze(unit), 1);
        CHECK(!next.lost);

        /* Whoever restores what a removal took down holds nobody up any more. */
        next.restoring = true;
        CHECK(kill(stopped.pid, SIGCONT) == 0);
        CHECK_INT(cgroup_freeze(unit, false), 0);
        revert(&next, args);
        CHECK(child_runs(&stopped) && child_runs(&frozen) && !next.lost);
        next.restoring = false;

        /* Another process by the number of one, another group by the name of the other: theirs. */
        for (size_t i = 0; i < json_len(next.notes); i++) {
                json_object *note = json_at(next.notes, i);
                if (json_has(note, "frozen"))
                        json_set_u64(note, "id", 1);
                if (json_has(note, "stopped"))
                        json_set_u64(note, "start_time", 1);
        }
        revert(&next, args);
        CHECK(child_runs(&stopped) && child_runs(&frozen));
        CHECK_INT(json_len(next.lost), 1);
        CHECK(strstr(json_object_get_string(json_at(next.lost, 0)), " was frozen by somebody else, and is not any more: it is another group now"));
        child_end(&stopped);
        child_end(&frozen);
        child_end(&other);
}

static const StepRun *disturbed; /* somebody sets each going as soon as it is stopped */
static unsigned n_stops, n_stops_late;

int __real_pidfd_signal(int pidfd, int signal);
int __wrap_pidfd_signal(int pidfd, int signal);

int __wrap_pidfd_signal(int pidfd, int signal) {
        int r = __real_pidfd_signal(pidfd, signal);

        if (!disturbed || signal != SIGSTOP)
                return r;
        n_stops++;
        n_stops_late += json_len(disturbed->lost) > 0;
        (void) __real_pidfd_signal(pidfd, SIGCONT);
        return r;
}

/* Somebody sets his own going as often as they are stopped: all of them together are waited for once, and told. Where the first one was given
 * up none of the others is stopped again. */
static void test_others_set_going(void) {
        enum { N = 8 };
        _cleanup_(world_run_done) StepRun run = world_run();
        Child children[N];

        run.backwards = true;
        run.notes = json_object_new_array();
        for (size_t i = 0; i < N; i++) {
                json_object *note = json_object_new_object();
                uint64_t start_time;

                children[i] = child_start(session, NULL, NULL);
                CHECK(child_runs(&children[i]));
                _cleanup_free_ char *path = strf("/proc/%d/stat", children[i].pid), *stat = NULL;
                CHECK_INT(read_file(path, &stat, NULL), 0);
                CHECK_INT(stat_start_time(stat, &start_time), 0);
                json_set_u64(note, "stopped", (uint64_t) children[i].pid);
                json_set_u64(note, "start_time", start_time);
                json_set_str(note, "comm", "x");
                json_object_array_add(run.notes, note);
        }
        disturbed = &run;
        n_stops = n_stops_late = 0;
        others_hold_again(&run);
        disturbed = NULL;
        CHECK_INT(json_len(run.lost), N);
        CHECK(n_stops > N);
        CHECK_INT(n_stops_late, 0);

        /* Once nobody does that any more they stand. */
        json_object_put(run.lost);
        run.lost = NULL;
        others_hold_again(&run);
        CHECK(!run.lost);
        for (size_t i = 0; i < N; i++)
                CHECK(child_stands(&children[i]));

        /* Each is told to once, also where nobody is waited for: the time is over. */
        for (size_t i = 0; i < N; i++)
                CHECK(kill(children[i].pid, SIGCONT) == 0 && child_runs(&children[i]));
        time_set_end(1);
        others_hold_again(&run);
        time_set_end(0);
        for (size_t i = 0; i < N; i++) {
                CHECK(child_stands(&children[i]));
                child_end(&children[i]);
        }
}

/* The holder has obeyed: who was frozen with it is frozen again. */
static void test_others_behind_the_end(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\"]}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(unit, NULL, NULL);

        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(cgroup_wait_frozen(unit, true, 5 * USEC_PER_SEC), 0);
        apply(&run, args);
        CHECK_INT(child_status(&holder), SIGTERM);
        CHECK(child_stands(&other));
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&other);
}

/* Its service goes down for that, and what is left of it has to obey its manager. */
static void test_others_going_down(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"term\"]}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(unit, NULL, NULL);

        a_service("");
        text_write("deactivating\n", "%s/units/a.service/state", bin);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(cgroup_wait_frozen(unit, true, 5 * USEC_PER_SEC), 0);
        apply(&run, args);
        CHECK_INT(child_status(&holder), SIGTERM);
        CHECK(child_runs(&other));
        CHECK(!run.lost);
        child_end(&other);
}

/* A kill needs nobody to run: whoever is frozen or stopped beside it stays so all the time. */
static void test_others_killed(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"kill\"]}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child stopped = child_start(session, "a", NULL), frozen = child_start(unit, "b", NULL), other = child_start(unit, NULL, NULL);

        child_stop(&stopped);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(cgroup_wait_frozen(unit, true, 5 * USEC_PER_SEC), 0);
        uint64_t before = *other.count;
        json_set_bool(args, "force_kill", true);
        apply(&run, args);
        CHECK(child_status(&stopped) == SIGKILL && child_status(&frozen) == SIGKILL);
        CHECK_INT(*other.count, before);
        CHECK_INT(noted_at(run.notes, "frozen", 0), SIZE_MAX);
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&other);
}

/* Frozen with strangers: nobody is let go, and the reason says who would have to be. */
static void test_others_above(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL);
        _cleanup_free_ char *why = strf("somebody has frozen %s, which it is in (echo 0 > /sys/fs/cgroup%s/cgroup.freeze)", world_slice, world_slice);

        a_service("");
        CHECK_INT(cgroup_freeze(world_slice, true), 0);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, why));
        CHECK_INT(cgroup_asked_to_freeze(world_slice), 1);
        CHECK(child_stands(&holder) && !run.notes);
        check_log("");
        CHECK_INT(cgroup_freeze(world_slice, false), 0);
        child_end(&holder);
}

/* What its manager has frozen, its manager thaws and freezes again, also once it was stopped and started for it. */
static void test_frozen_unit(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);

        a_service("");
        text_write("frozen\n", "%s/units/a.service/freezer", bin);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        apply(&run, args);
        CHECK_INT(child_status(&one), SIGTERM);
        check_log("thaw a.service\n" STOP_ONCE);
        one = child_start(unit, NULL, NULL); /* who is started in its place */
        revert(&run, args);
        check_log("start a.service\nfreeze a.service\n");
        CHECK(child_stands(&one));
        CHECK(!run.lost);
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&one);
}

/* Two processes, one stop, in a group frozen by this removal; with what triggers it; and back with all that went down, in one go. */
static void test_unit(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL), two = child_start(unit, "b", NULL), other = child_start(unit, NULL, NULL);

        a_service("RequiredBy=web.service sleeping.service\nTriggeredBy=a.socket a-idle.timer\n");
        unit_make("web.service", "BoundBy=a.service deep.service\n");
        unit_make("deep.service", "");
        unit_make("a.socket", "");
        unit_make("a-idle.timer", "");
        unit_make("sleeping.service", "");
        text_write("inactive\n", "%s/units/sleeping.service/state", bin);
        text_write("inactive\n", "%s/units/a-idle.timer/state", bin);
        text_write("web.service deep.service", "%s/units/a.service/stops", bin);

        world_note_group(&run, unit);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        apply(&run, args);
        CHECK(child_status(&one) == SIGTERM && child_status(&two) == SIGTERM && child_status(&other) == SIGTERM);
        check_log("stop a.socket\nstop a-idle.timer\nstop a.service\n");
        CHECK_INT(json_len(run.notes), 2);
        CHECK_STR(json_text(json_get(json_at(run.notes, 1), "units")), "[\"a.socket\",\"a.service\",\"web.service\",\"deep.service\"]");
        check_state("deep.service", "inactive");

        run.backwards = true;
        CHECK_INT(ops->verify(args, &run), STEP_PARTLY_APPLIED);
        revert(&run, args);
        check_log("start a.socket\nstart a.service\nstart web.service\nstart deep.service\n");
        check_state("a-idle.timer", "inactive");
        CHECK(!run.lost);
}

/* Asked to go on where another worker stopped: what was noted is enough. */
static void test_resumed(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run(), next = world_run();
        Child one = child_start(unit, "a", NULL);

        a_service("");
        apply(&run, args);
        (void) child_status(&one);
        next.notes = json_ref(run.notes);
        CHECK_INT(ops->verify(args, &next), STEP_APPLIED);
        revert(&next, args);
        check_log(STOP_ONCE "start a.service\n");
}

/* What cannot be started again is told. */
static void test_transient(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);

        a_service("Transient=yes\n");
        apply(&run, args);
        (void) child_status(&one);
        revert(&run, args);
        check_log(STOP_ONCE);
        CHECK_STR(json_object_get_string(json_at(run.lost, 0)), "a.service was stopped, and cannot be started again: it was made at run time");
}

static void test_start_fails(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);

        a_service("");
        text_write("", "%s/units/a.service/broken", bin);
        apply(&run, args);
        (void) child_status(&one);
        run.backwards = true;
        CHECK_INT(ops->revert(args, &run), -EIO);
        CHECK_STR(run.why, "the job of a.service ended with \"failed\"");
        CHECK_STR(run.remedy, "systemctl start a.service");
        CHECK_INT(ops->verify(args, &run), STEP_PARTLY_APPLIED);
        free(log_take());
}

/* A process that has to be through soon does not wait for a start that hangs: it goes on without us, and that is told. And whoever has no
 * answer from the system manager has it no later. */
static void test_start_hangs(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);
        _cleanup_free_ char *deaf = strf("%s/deaf", bin);

        a_service("");
        text_write("", "%s/units/a.service/slow", bin);
        apply(&run, args);
        (void) child_status(&one);
        free(log_take());
        uint64_t end = now_monotonic() + 20 * USEC_PER_SEC;
        time_set_end(end);
        revert(&run, args);
        CHECK(now_monotonic() < end);
        check_log("start a.service\n");
        CHECK_INT(json_len(run.lost), 1);
        CHECK_STR(json_object_get_string(json_at(run.lost, 0)), "a.service: the start is under way and has not come to its end (systemctl status a.service)");

        text_write("", "%s", deaf);
        time_set_end(now_monotonic() + USEC_PER_SEC);
        CHECK_INT(ops->revert(args, &run), -ETIME);
        CHECK(now_monotonic() < end);
        time_set_end(now_monotonic());
        CHECK_INT(ops->revert(args, &run), -ETIME);
        time_set_end(0);
        CHECK_INT(unlink(deaf), 0);
}

/* It does not want to be stopped, or stopping it takes somebody along who must not be touched: the next rung, without a stop. */
static void test_cannot_stop(void) {
        static const char *const properties[] = { "RefuseManualStop=yes\n", "RequiredBy=precious.service\n" };

        unit_make("precious.service", "");
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                _cleanup_json_ json_object *args = args_new("[{\"unit\": [\"precious.*\"], \"kind\": [\"mapping\"], \"action\": [\"refuse\"]}]");
                _cleanup_(world_run_done) StepRun run = world_run();
                Child one = child_start(unit, "a", NULL);

                a_service(properties[i]);
                apply(&run, args);
                CHECK_INT(child_status(&one), SIGTERM);
                CHECK_INT(json_u64(json_at(run.notes, 0), "signal"), SIGTERM);
                check_log("");

                /* The signal ended a service: it runs again afterwards. */
                text_write("failed\n", "%s/units/a.service/state", bin);
                revert(&run, args);
                check_log("start a.service\n");
                CHECK(!run.lost);
        }
}

/* Stopped in vain: its manager is kept from killing what is left, before it would. */
static void test_stubborn_unit(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"stop\"], \"stop_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", catch_term);
        _cleanup_free_ char *text = NULL;

        CHECK(child_runs(&one));
        a_service("");
        text_write("", "%s/units/a.service/stubborn", bin);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_runs(&one));
        check_log(STOP_ONCE "daemon-reload\n");
        CHECK_INT(read_file("/run/systemd/system/a.service.d/50-safe-remove.conf", &text, NULL), 0);
        CHECK(strstr(text, "\n[Service]\nSendSIGKILL=no\n"));

        revert(&run, args);
        check_log("");
        CHECK(unit_is_spared("a.service"));
        CHECK_STR(json_object_get_string(json_at(run.lost, 0)), "a.service was asked to stop and has not: what is left of it goes on, until it ends by itself");

        /* Whoever comes next leaves that as long as the unit is on its way down. */
        CHECK_INT(units_unspare_left(&run, NULL), 0);
        check_log("");
        CHECK(unit_is_spared("a.service"));

        /* Down at last: it is killed again if need be, also when nobody starts it again. */
        child_end(&one);
        text_write("inactive\n", "%s/units/a.service/state", bin);
        _cleanup_json_ json_object *own = json_object_new_array();
        json_append_str(own, "a.service");
        CHECK_INT(units_unspare_left(&run, own), 0);
        CHECK(unit_is_spared("a.service"));
        CHECK_INT(units_unspare_left(&run, NULL), 0);
        check_log("daemon-reload\n");
        CHECK(!unit_is_spared("a.service"));
        CHECK_INT(unit_spare(&run, "a.service"), 0);
        check_log("daemon-reload\n");
        revert(&run, args);
        check_log("daemon-reload\nstart a.service\n");
        CHECK(!unit_is_spared("a.service"));
}

/* A manager that is quicker to kill than we are to give up is kept from it beforehand. With --force=kill it is not. */
static void test_quick_to_kill(void) {
        for (int force = 0; force < 2; force++) {
                _cleanup_json_ json_object *args = args_new("[{\"action\": [\"stop\"], \"stop_sec\": 10}]");
                _cleanup_(world_run_done) StepRun run = world_run();
                Child one = child_start(unit, "a", NULL);

                a_service("TimeoutStopUSec=5s\n");
                json_set_bool(args, "force_kill", force);
                apply(&run, args);
                CHECK_INT(child_status(&one), SIGTERM);
                check_log(force ? STOP_ONCE : "daemon-reload\n" STOP_ONCE "daemon-reload\n");
                CHECK(!unit_is_spared("a.service"));
        }
}

/* Ignoring its stop signal, told to stop in no other way: the unit is left alone. */
static void test_unit_ignores(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", ignore_term);

        a_service("");
        CHECK(child_runs(&one));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        check_log("");
        CHECK(!run.notes && child_runs(&one));
        child_end(&one);
}

static void breed(volatile uint64_t *count) {
        (void) signal(SIGCHLD, SIG_IGN);
        for (;;) {
                if (fork() == 0) {
                        world_group_enter(unit);
                        (void) world_map("bred");
                        (void) poll(NULL, 0, 10000);
                        _exit(0);
                }
                text_write("active\n", "%s/units/a.service/state", bin);
                (void) poll(NULL, 0, 30);
                ++*count;
        }
}

/* Somebody starts it again and again: it is said so, by name. */
static void test_comes_back(void) {
        _cleanup_json_ json_object *args = args_new("[{\"action\": [\"stop\"], \"stop_sec\": 1}]");
        _cleanup_(world_run_done) StepRun run = world_run();

        a_service("");
        Child mother = child_start(NULL, NULL, breed);
        CHECK(child_runs(&mother));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, "a.service) holds ") && strstr(run.why, "; its unit was stopped and came back: "));
        CHECK_STR(run.remedy, "systemctl mask --runtime --now a.service");
        _cleanup_free_ char *log = log_take();
        CHECK(startswith(log, STOP_ONCE));
        child_end(&mother);
        CHECK_INT(world_group_kill(unit), 0);
        run.backwards = true;
        CHECK_INT(ops->revert(args, &run), 0);
        free(log_take());
}

static void test_cancelled(void) {
        _cleanup_json_ json_object *args = args_new("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);

        a_service("");
        world_cancelled = true;
        CHECK_INT(ops->apply(args, &run), -ECANCELED);
        world_cancelled = false;
        CHECK(child_runs(&one));
        child_end(&one);
}

static void test_refuse(void) {
        _cleanup_json_ json_object *args = args_new("[{\"kind\": [\"mapping\"], \"action\": [\"refuse\"], \"reason\": \"not now\"}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(unit, "a", NULL);

        CHECK_INT(ops->check(args, &run), -EBUSY);
        CHECK(strstr(run.why, "by mapping: not now"));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_runs(&one));
        child_end(&one);
        check_log("");
}

/* Its process group ends with us. */
static void manager_start(const char *program) {
        int out[2];
        char ready;

        CHECK(mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0);
        CHECK(mkdir(bin, 0755) == 0 && mkdir("/run/fake/units", 0755) == 0 && pipe2(out, O_CLOEXEC) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(out[1], STDOUT_FILENO) >= 0)
                        (void) execl(program, program, bin, "/run/systemd/private", NULL);
                _exit(127);
        }
        CHECK_INT(read(out[0], &ready, 1), 1);
        CHECK(close(out[0]) == 0 && close(out[1]) == 0);
}

int main(int argc, char **argv) {
        CHECK(argc == 2);
        if (!world_begin()) {
                puts("needs root and the unified cgroup hierarchy");
                return 77;
        }
        manager_start(argv[1]);
        unit = world_group("a.service");
        session = world_group("session-9.scope");
        ops = step_ops(STEP_END_HOLDERS);
        test_nobody();
        test_session();
        test_leaves();
        test_ignores();
        test_shutdown_before_kill();
        test_kept_by_tracer();
        test_kept_by_a_chain();
        test_left_to_the_kernel();
        test_does_not_obey();
        test_wait();
        test_wait_others();
        test_others_stay();
        test_others_set_going();
        test_others_behind_the_end();
        test_others_going_down();
        test_others_killed();
        test_others_above();
        test_frozen_unit();
        test_unit();
        test_resumed();
        test_transient();
        test_start_fails();
        test_start_hangs();
        test_cannot_stop();
        test_stubborn_unit();
        test_quick_to_kill();
        test_unit_ignores();
        test_comes_back();
        test_cancelled();
        test_refuse();
        world_group_remove(unit);
        world_group_remove(session);
        free(unit);
        free(session);
        world_end();
        return EXIT_SUCCESS;
}
