/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sys/ptrace.h>

#include "holders/process.h"
#include "tests/unit/holders/holder-world.h"

static const StepOps *ops, *thaw;
static char *unit, *session;

static void apply(StepRun *run, json_object *args) {
        CHECK_INT(ops->check(args, run), 0);
        CHECK_INT(ops->apply(args, run), 0);
        CHECK_INT(ops->verify(args, run), STEP_APPLIED);
}

static void revert(StepRun *run, json_object *args) {
        run->backwards = true;
        CHECK_INT(ops->verify(args, run), STEP_PARTLY_APPLIED);
        CHECK_INT(ops->revert(args, run), 0);
        CHECK_INT(ops->verify(args, run), STEP_NOT_APPLIED);
}

/* Nobody is there: nothing to do, nothing noted. */
static void test_nobody(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        apply(&run, args);
        CHECK(!run.notes);
}

/* A unit is frozen as a whole, with those in it who hold nothing; back it runs on. Twice is once. */
static void test_unit(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(unit, NULL, NULL), stranger = child_start(NULL, NULL, NULL);

        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        apply(&run, args);
        apply(&run, args);
        _cleanup_free_ char *notes = strf("[{\"cgroup\":\"%s\",\"unit\":\"a.service\"}]", unit);
        CHECK_STR(json_text(run.notes), notes);
        CHECK(child_stands(&holder) && child_stands(&other) && child_runs(&stranger));
        revert(&run, args);
        CHECK(child_runs(&holder) && child_runs(&other));
        child_end(&holder);
        child_end(&other);
        child_end(&stranger);
}

/* A session is not frozen: its other processes go on. */
static void test_session(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", NULL), other = child_start(session, NULL, NULL);

        apply(&run, args);
        CHECK_INT(json_u64(json_at(run.notes, 0), "pid"), holder.pid);
        CHECK(child_stands(&holder) && child_runs(&other));
        revert(&run, args);
        CHECK(child_runs(&holder));
        child_end(&holder);
        child_end(&other);
}

static size_t n_together;

static int count_together(StepRun *run, json_object *notes) {
        n_together++;
        return keep_notes(run, notes);
}

/* Many who are stopped one by one are written down in one go. */
static void test_together(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holders[3];

        for (size_t i = 0; i < ELEMENTSOF(holders); i++)
                holders[i] = child_start(session, "a", NULL);
        run.note = count_together;
        apply(&run, args);
        CHECK_INT(n_together, 1);
        CHECK_INT(json_len(run.notes), ELEMENTSOF(holders));
        for (size_t i = 0; i < ELEMENTSOF(holders); i++)
                CHECK(child_stands(&holders[i]));
        revert(&run, args);
        for (size_t i = 0; i < ELEMENTSOF(holders); i++) {
                CHECK(child_runs(&holders[i]));
                child_end(&holders[i]);
        }
}

/* Who was stopped or frozen by somebody else stays so. */
static void test_not_ours(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child stopped = child_start(session, "a", NULL), frozen = child_start(unit, "a", NULL);

        child_stop(&stopped);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        CHECK_INT(cgroup_wait_frozen(unit, true, 5 * USEC_PER_SEC), 0);
        apply(&run, args);
        CHECK(!run.notes);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(child_stands(&stopped) && child_stands(&frozen));
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&stopped);
        child_end(&frozen);
}

/* A rule's refusal is said with its reason, and nobody was touched. */
static void test_refuse(void) {
        _cleanup_json_ json_object *args = world_args("[{\"unit\": [\"a.*\"], \"action\": [\"refuse\"], \"reason\": \"ask the bookkeepers\"}]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(session, "b", NULL);
        _cleanup_free_ char *why = strf("process %d (test-freeze-hol, a.service) holds %s/a by mapping: ask the bookkeepers", holder.pid, world_folder);

        CHECK_INT(ops->check(args, &run), -EBUSY);
        CHECK_STR(run.why, why);
        CHECK_STR(run.remedy, "systemctl stop a.service");
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_runs(&holder));
        run.backwards = true;
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(child_runs(&other));
        child_end(&holder);
        child_end(&other);
}

static json_object *own_word;

static json_object *declared_for_test(const char *name) {
        return streq(name, "a.service") ? own_word : NULL;
}

/* Whoever is seen with memory on the card is met by his unit's own word, whether the plan has seen him or not; nobody else is, and the administrator's word stands
 * above it. */
static void test_declared(void) {
        static const HolderAction freeze = HOLDER_FREEZE, refuse = HOLDER_REFUSE;
        static const char above[] = "[{\"unit\": [\"a.service\"], \"action\": [\"wait\"], \"from\": \"/etc/safe-remove/policy.d/a.conf\"}]";
        _cleanup_json_ json_object *args = world_args("[]"), *ruled = world_args(above), *nodes = json_object_new_array();
        _cleanup_(world_run_done) StepRun run = world_run();
        Child late = child_start(unit, NULL, NULL), other = child_start(session, NULL, NULL);

        json_object_array_add(nodes, json_object_new_int(0));
        json_set(args, "nodes", json_ref(nodes));
        json_set(ruled, "nodes", json_ref(nodes));
        apply(&run, args); /* nobody says anything: memory just moves */
        CHECK(!run.notes && child_runs(&late));

        own_word = holder_rule_new("a.service");
        holder_rule_set_actions(own_word, &freeze, 1);
        holder_rule_set_declared(declared_for_test);
        apply(&run, ruled);
        CHECK(!run.notes && child_runs(&late));
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        apply(&run, args);
        CHECK_INT(json_len(run.notes), 1);
        CHECK(child_stands(&late) && child_runs(&other));
        revert(&run, args);
        CHECK(child_runs(&late));

        run.backwards = false;
        holder_rule_set_actions(own_word, &refuse, 1);
        CHECK_INT(ops->check(args, &run), -EBUSY);
        CHECK(strstr(run.why, "a.service) has memory on the card: "));
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(child_runs(&late));
        holder_rule_set_declared(NULL);
        json_object_put(own_word);
        child_end(&late);
        child_end(&other);
}

/* We are our own ancestor: what this process holds, nobody ends. */
static void test_protected(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        void *m = world_map("a");

        CHECK_INT(ops->check(args, &run), -EBUSY);
        CHECK(strstr(run.why, "it is never ended for a removal"));
        CHECK_INT(munmap(m, 4096), 0);
}

/* A unit that has one of ours in it cannot be frozen as a whole. */
static void test_shared_group(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(unit, NULL, NULL);

        json_object_array_add(json_get(args, "targets"), json_object_new_object());
        json_set_u64(json_at(json_get(args, "targets"), 1), "protect_session", (uint64_t) other.pid);
        apply(&run, args);
        CHECK_INT(json_u64(json_at(run.notes, 0), "pid"), holder.pid);
        CHECK(child_stands(&holder) && child_runs(&other));
        revert(&run, args);
        child_end(&holder);
        child_end(&other);
}

/* A new mapper every few milliseconds; each lives a little longer than that. */
static void breed(volatile uint64_t *count) {
        (void) signal(SIGCHLD, SIG_IGN);
        for (;;) {
                ++*count;
                if (fork() == 0) {
                        (void) world_map("bred");
                        (void) poll(NULL, 0, 15);
                        _exit(0);
                }
                (void) poll(NULL, 0, 10);
        }
}

/* Who was born before the mother stood still may map the file after the last look: he is found by the next one. */
static void apply_until_it_lasts(StepRun *run, json_object *args) {
        unsigned lasted = 0;

        for (unsigned i = 0; i < 200 && lasted < 20; i++) {
                CHECK_INT(ops->apply(args, run), 0);
                lasted = ops->verify(args, run) == STEP_APPLIED ? lasted + 1 : 0;
                (void) poll(NULL, 0, 10);
        }
        CHECK_INT(lasted, 20);
}

static void breed_check(const char *group) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child mother = child_start(group, NULL, breed);

        CHECK(child_runs(&mother));
        apply_until_it_lasts(&run, args);
        CHECK(child_stands(&mother));
        revert(&run, args);
        CHECK(child_runs(&mother));
        child_end(&mother);
        (void) poll(NULL, 0, 50);
}

static void test_bred(void) {
        breed_check(unit);
        breed_check(session);
}

/* The way forward: the later step thaws who the earlier one froze. */
static void test_thaw(void) {
        _cleanup_json_ json_object *args = world_args("[]"), *of = json_object_new_object();
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(session, "a", NULL);

        json_set_u64(of, "of", 1);
        CHECK_INT(thaw->verify(of, &run), STEP_APPLIED);
        apply(&run, args);
        CHECK_INT(thaw->verify(of, &run), STEP_NOT_APPLIED);
        CHECK_INT(thaw->apply(of, &run), 0);
        CHECK_INT(thaw->verify(of, &run), STEP_APPLIED);
        CHECK(child_runs(&holder) && child_runs(&other));
        child_end(&holder);
        child_end(&other);
}

/* Ended while frozen, its group gone with it: nothing is left to undo. */
static void test_gone(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL), other = child_start(session, "a", NULL);

        apply(&run, args);
        child_end(&holder);
        child_end(&other);
        world_group_remove(unit);
        run.backwards = true;
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK_INT(world_group_make(unit), 0);
}

static void test_cancelled(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL);

        world_cancelled = true;
        CHECK_INT(ops->apply(args, &run), -ECANCELED);
        world_cancelled = false;
        run.backwards = true;
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(child_runs(&holder));
        child_end(&holder);
}

static int child_gate[2];

/* Hangs as in a system call: no signal but the last gets through until its child goes on. (The freezer of a group knows this one.) */
static void hang(volatile uint64_t *count) {
        pid_t pid = vfork();
        if (pid == 0) {
                char c;
                (void) read(child_gate[0], &c, 1);
                _exit(0);
        }
}

static void wait_hanging(const Child *c) {
        _cleanup_free_ char *path = strf("/proc/%d", c->pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ProcessStat st = { 0 };

        for (unsigned i = 0; i < 2000 && st.state != 'D'; i++) {
                (void) poll(NULL, 0, 5);
                CHECK_INT(process_stat(dirfd, &st), 0);
        }
        CHECK_INT(st.state, 'D');
}

/* Who calls it off does not wait for those who hang: the test would take longer than it may. */
static void apply_cancelled(StepRun *run, json_object *args) {
        json_set_u64(args, "timeout_sec", 600);
        world_cancelled = true;
        CHECK_INT(ops->apply(args, run), -ECANCELED);
        world_cancelled = false;
}

/* Who does not come out of the kernel is in the way, unless it is killed in the end; it does not go on either way before it
 * is told to, and then it does, also when it comes out after that. */
static void check_hanging(bool way_back) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        CHECK_INT(pipe2(child_gate, O_CLOEXEC), 0);
        Child holder = child_start(session, "a", hang);
        wait_hanging(&holder);
        json_set_u64(args, "timeout_sec", 1);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, "hangs in the kernel"));
        apply_cancelled(&run, args);
        json_set_u64(args, "timeout_sec", 20);
        json_set_bool(args, "force_kill", true);
        apply(&run, args);
        if (way_back)
                CHECK_INT(ops->revert(args, &run), 0);
        CHECK_INT(write(child_gate[1], "x", 1), 1);
        CHECK(way_back ? child_runs(&holder) : child_stands(&holder));
        if (!way_back)
                revert(&run, args);
        CHECK(child_runs(&holder));
        child_end(&holder);
        close(child_gate[0]);
        close(child_gate[1]);
}

static void test_hanging(void) {
        check_hanging(true);
        check_hanging(false);
}

/* Waits for a file server in user space that has not even begun. Anybody can mount one, in a namespace of his own; no signal but the last gets
 * through, and no freezer. */
static void wait_for_nobody(volatile uint64_t *count) {
        _cleanup_free_ char *options = NULL;
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        CHECK(fd >= 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
        options = strf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
        CHECK(mount("nobody", "/mnt", "fuse.nobody", 0, options) == 0);
        (void) open("/mnt/file", O_RDONLY | O_CLOEXEC);
}

static bool has_fuse(void) {
        _cleanup_close_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        return fd >= 0;
}

static bool has_note(const StepRun *run, const char *key) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_has(json_at(run->notes, i), key))
                        return true;
        return false;
}

/* One of a unit hangs where the freezer does not reach him: without the word that is in the way. With it the others are stopped one by one, he is
 * let be, and the step is done; back all of them run. */
static void test_group_hangs(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        if (!has_fuse())
                return;
        Child hangs = child_start(unit, "a", wait_for_nobody), other = child_start(unit, "a", NULL);
        wait_hanging(&hangs);
        json_set_u64(args, "timeout_sec", 1);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, "cannot be frozen"));
        revert(&run, args);
        CHECK(child_runs(&other));
        json_set_u64(args, "timeout_sec", 60);
        json_set_bool(args, "force_kill", true);
        run.backwards = false;
        apply(&run, args);
        CHECK(child_stands(&other));
        CHECK(has_note(&run, "one_by_one") && step_has_noted_process(&run, "let_be", (uint64_t) hangs.pid, start_time_of(hangs.pid)));
        revert(&run, args);
        CHECK(child_runs(&other));
        child_end(&hangs);
        child_end(&other);
}

/* Holds the file with a thread that counts, while the first one hangs. */
static void *count_on(void *count) {
        world_count(count);
}

static void hang_first(volatile uint64_t *count) {
        pthread_t thread;

        CHECK_INT(pthread_create(&thread, NULL, count_on, (void *) count), 0);
        hang(count);
        for (;;)
                pause();
}

/* The others stop at once, the first one when it comes out: until then it is not held up, and back all of it runs. */
static void test_first_thread_hangs(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        CHECK_INT(pipe2(child_gate, O_CLOEXEC), 0);
        Child holder = child_start(session, "a", hang_first);
        wait_hanging(&holder);
        CHECK(child_runs(&holder));
        json_set_u64(args, "timeout_sec", 1);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(strstr(run.why, "hangs in the kernel"));
        apply_cancelled(&run, args);
        CHECK(child_stands(&holder));
        CHECK(ops->verify(args, &run) != STEP_APPLIED);
        revert(&run, args);
        CHECK_INT(write(child_gate[1], "x", 1), 1);
        CHECK(child_runs(&holder));
        child_end(&holder);
        close(child_gate[0]);
        close(child_gate[1]);
}

/* With a tracer that passes every signal on, and stops it where the kernel has it stopped. */
static bool runs_as_its_tracer_does(const Child *c) {
        uint64_t before = *c->count;
        int status;

        for (unsigned i = 0; i < 2000 && *c->count <= before + 1; i++) {
                (void) poll(NULL, 0, 5);
                if (waitpid(c->pid, &status, __WALL | WNOHANG) != c->pid)
                        continue;
                bool event = status >> 16 == PTRACE_EVENT_STOP, stopped = event && WSTOPSIG(status) != SIGTRAP;
                CHECK(ptrace(stopped ? PTRACE_LISTEN : PTRACE_CONT, c->pid, NULL, event ? 0 : WSTOPSIG(status)) >= 0);
        }
        return *c->count > before + 1;
}

/* A tracer has the stop and has not passed it on yet: it runs on after the way back, though the tracer passes it on then. */
static void test_tracer_has_it(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", NULL);

        CHECK_INT(ptrace(PTRACE_SEIZE, holder.pid, NULL, NULL), 0);
        apply(&run, args);
        CHECK_INT(json_u64(json_at(run.notes, 0), "pid"), holder.pid);
        CHECK_INT(waitpid(holder.pid, NULL, __WALL), holder.pid); /* in its tracer's stop, with the signal */
        revert(&run, args);
        CHECK_INT(ptrace(PTRACE_CONT, holder.pid, NULL, SIGSTOP), 0);
        CHECK(runs_as_its_tracer_does(&holder));
        child_end(&holder);
}

/* What stands in its tracer's stop is left to that one: neither told to stop nor set going. */
static void test_traced_before(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", NULL);

        CHECK_INT(ptrace(PTRACE_SEIZE, holder.pid, NULL, NULL), 0);
        CHECK_INT(ptrace(PTRACE_INTERRUPT, holder.pid, NULL, NULL), 0);
        CHECK_INT(waitpid(holder.pid, NULL, __WALL), holder.pid);
        apply(&run, args);
        CHECK(!run.notes);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(child_stands(&holder));
        CHECK_INT(ptrace(PTRACE_CONT, holder.pid, NULL, NULL), 0);
        CHECK(child_runs(&holder));
        child_end(&holder);
}

static void continue_for_ever(volatile uint64_t *count) {
        for (;;)
                (void) kill((pid_t) *count, SIGCONT);
}

static size_t n_told;   /* how often the words were said */
static char *words;

static void hear(void *userdata, uint64_t done, uint64_t of, const char *text) {
        n_told += streq(text, words);
        CHECK(!strstr(text, "hangs in the kernel"));
}

/* Of that process, from here on. */
static void listen_for(StepRun *run, const Child *holder) {
        free(words);
        words = strf("process %d (test-freeze-hol) is continued by somebody each time it is stopped; it runs until it is ended", holder->pid);
        n_told = 0;
        run->progress = hear;
}

static size_t n_let_be(const StepRun *run, const Child *holder) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(run->notes); i++)
                n += json_u64(json_at(run->notes, i), "let_be") == (uint64_t) holder->pid;
        return n;
}

/* Whoever sets it going again keeps nothing from going on: it is let be, which is told, and ended later. */
static void test_set_going_again(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(session, "a", NULL), other = child_start(NULL, NULL, NULL);

        listen_for(&run, &holder);
        child_end(&other);
        other.pid = fork();
        CHECK(other.pid >= 0);
        if (other.pid == 0) {
                volatile uint64_t pid = (uint64_t) holder.pid;
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                continue_for_ever(&pid);
        }
        uint64_t start = now_monotonic();
        apply(&run, args);
        CHECK(now_monotonic() - start < 8 * USEC_PER_SEC);
        CHECK_INT(json_u64(json_at(run.notes, json_len(run.notes) - 1), "let_be"), holder.pid);
        CHECK_INT(n_told, 1);
        CHECK(!run.why);
        child_end(&other);
        revert(&run, args);
        CHECK(child_runs(&holder));
        child_end(&holder);
}

static void thaw_for_ever(bool and_continue, pid_t pid) {
        _cleanup_free_ char *path = strf("%s%s/cgroup.freeze", world_cgroup_root(), unit);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                CHECK(pwrite(fd, "0", 1, 0) == 1);
                if (and_continue)
                        (void) kill(pid, SIGCONT);
        }
}

/* The same against the freezer: who thaws only has it stopped by its signal, and who does both has it let be. How far that comes is up to who
 * of them is faster; but nobody waits for the freezer, or says of the kernel that it does not come out of it, and who is let be is told. */
static void check_thawed_again(bool and_continue) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();
        Child holder = child_start(unit, "a", NULL);

        pid_t other = fork();
        CHECK(other >= 0);
        if (other == 0)
                thaw_for_ever(and_continue, holder.pid);
        json_set_u64(args, "timeout_sec", 60);
        listen_for(&run, &holder);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_STR(json_str(json_at(run.notes, 0), "cgroup"), unit);
        CHECK_INT(n_told, n_let_be(&run, &holder));
        CHECK(!run.why);
        CHECK(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
        run.backwards = true;
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK(child_runs(&holder));
        child_end(&holder);
}

static void test_thawed_again(void) {
        check_thawed_again(false);
        check_thawed_again(true);
}

/* A group that somebody else has told to freeze, and that does not get there, stays told. */
static void test_freezing_already(void) {
        _cleanup_json_ json_object *args = world_args("[]");
        _cleanup_(world_run_done) StepRun run = world_run();

        Child holder = child_start(unit, "a", NULL), stopped = child_start(unit, NULL, NULL);
        CHECK_INT(ptrace(PTRACE_SEIZE, stopped.pid, NULL, NULL), 0);
        CHECK_INT(ptrace(PTRACE_INTERRUPT, stopped.pid, NULL, NULL), 0);
        CHECK_INT(waitpid(stopped.pid, NULL, __WALL), stopped.pid);
        CHECK_INT(cgroup_freeze(unit, true), 0);
        apply_cancelled(&run, args);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(child_stands(&holder));
        CHECK_INT(cgroup_asked_to_freeze(unit), 1);
        CHECK_INT(cgroup_freeze(unit, false), 0);
        child_end(&holder);
        child_end(&stopped);
}

int main(void) {
        if (!world_begin()) {
                puts("needs root and the unified cgroup hierarchy");
                return 77;
        }
        unit = world_group("a.service");
        session = world_group("session-9.scope");
        ops = step_ops(STEP_FREEZE_HOLDERS);
        thaw = step_ops(STEP_THAW_HOLDERS);
        test_nobody();
        test_unit();
        test_session();
        test_together();
        test_not_ours();
        test_refuse();
        if (access("/proc/self/numa_maps", F_OK) == 0)
                test_declared();
        test_protected();
        test_shared_group();
        test_bred();
        test_thaw();
        test_gone();
        test_cancelled();
        test_hanging();
        test_group_hangs();
        test_first_thread_hangs();
        test_tracer_has_it();
        test_traced_before();
        test_set_going_again();
        test_thawed_again();
        test_freezing_already();
        world_group_remove(unit);
        world_group_remove(session);
        free(unit);
        free(session);
        free(words);
        world_end();
        return EXIT_SUCCESS;
}
