/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "holders/scan/process-roll.h"
#include "tests/unit/own-processes.h"

enum {
        SEEN_MAX = 4096,
};

typedef struct Seen {
        char names[SEEN_MAX][16];
        size_t n;
} Seen;

static bool seen(const Seen *s, const char *name) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->names[i], name))
                        return true;
        return false;
}

static void nothing(void) {
}

/* One pass. Nobody is called twice in all of them. */
static size_t pass(ProcessRoll *roll, Seen *s) {
        char name[NAME_MAX + 1];
        size_t n = 0, owner;
        int r;

        while ((r = process_roll_next_in_pass(roll, name, &owner)) > 0) {
                CHECK(!seen(s, name));
                CHECK(s->n < SEEN_MAX && strlen(name) < sizeof(s->names[0]));
                strcpy(s->names[s->n++], name);
                n++;
        }
        CHECK_INT(r, 0);
        return n;
}

static void put_process(const char *folder, int pid, unsigned uid) {
        _cleanup_free_ char *process = strf("%s/%d", folder, pid), *status = strf("%s/status", process);

        CHECK_INT(mkdir(process, 0755), 0);
        _cleanup_fclose_ FILE *f = fopen(status, "we");
        CHECK(f && fprintf(f, "Name:\tx\nUid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid) > 0);
}

/* 5 of root's, 20 of one user's, and after 300 of another one's, each of which takes as long as a thousand of the others: who has little comes
 * early, and the third one is named. */
static void test_turns(void) {
        enum { ROOTS = 5, FEW = 20, MANY = 300, FIRST = 100000 };
        char folder[] = "/tmp/test-roll.XXXXXX", name[NAME_MAX + 1];
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        size_t owner, few = 0;
        Gaps gaps = { 0 };

        CHECK(mkdtemp(folder));
        for (int i = 0; i < MANY; i++)
                put_process(folder, FIRST + i, 65534);
        for (int i = 0; i < FEW; i++)
                put_process(folder, FIRST + MANY + i, 1000);
        for (int i = 0; i < ROOTS; i++)
                put_process(folder, FIRST + MANY + FEW + i, 0);
        CHECK_INT(process_roll_begin(&roll), 0);
        CHECK_INT(closedir(roll.proc), 0);
        roll.proc = opendir(folder);
        for (int i = 0; i < ROOTS + FEW + 3; i++) {
                CHECK_INT(process_roll_next_in_pass(&roll, name, &owner), 1);
                int pid = atoi(name) - FIRST;
                CHECK((i < ROOTS) == (pid >= MANY + FEW));
                few += pid >= MANY && pid < MANY + FEW;
                process_roll_spent(&roll, owner, pid < MANY ? 100000 : 100);
        }
        CHECK_INT(few, FEW);
        process_roll_over(&roll, &gaps);
        CHECK(gaps_none_but(&gaps, 1U << GAP_TIME));
        CHECK_INT(gaps.of[GAP_TIME].n, MANY - 3);
        CHECK(gaps.of[GAP_TIME].has_uid);
        CHECK_INT(gaps.of[GAP_TIME].uid, 65534);
        test_remove_tree(folder);
}

static void be_setuid(void) {
        CHECK_INT(setresuid(65534, 0, 0), 0);
}

/* Whoever has got root's rights is who he was before, also where the kernel does not tell without a text: only its own threads are root's unseen. */
static void test_setuid(void) {
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        pid_t child = waiting_child_start(be_setuid);
        _cleanup_free_ char *of_child = strf("%d", child);
        char name[NAME_MAX + 1] = "";
        size_t owner = 0;

        CHECK_INT(process_roll_begin(&roll), 0);
        roll.by_pidfd = false;
        roll.has_sessions = true;
        while (!streq(name, of_child))
                CHECK_INT(process_roll_next_in_pass(&roll, name, &owner), 1);
        CHECK_INT(roll.owners[owner].uid, 65534);
        waiting_child_end(child);
}

static int wait_for_end(void *data) {
        while (syscall(SYS_pause) != 0)
                continue;
        return 0;
}

/* The second process of a namespace of our own, which we are, stands for kthreadd: whoever has anything that he has not is looked at. */
static void test_kthreadd(void) {
        static const struct {
                int flags;
                bool shares;
        } children[] = {
                { CLONE_VM | CLONE_FILES | CLONE_FS, true },
                { CLONE_FILES | CLONE_FS, false }, { CLONE_VM | CLONE_FS, false }, { CLONE_VM | CLONE_FILES, false },
        };
        const ProcessRoll roll = { .has_sessions = true, .has_kthreadd = true }, elsewhere = { 0 };
        static _Alignas(16) char stack[64 * 1024];

        /* Who has begun a session is no thread of the kernel's, and not every kernel compares. */
        if (getpid() != 2 || getsid(0) != 0 || syscall(SYS_kcmp, 2, 2, KCMP_VM, 0, 0) != 0)
                return;
        CHECK(!process_roll_shares_kthreadd(&roll, 2));
        for (size_t i = 0; i < ELEMENTSOF(children); i++) {
                pid_t child = clone(wait_for_end, stack + sizeof(stack), children[i].flags | SIGCHLD, NULL);
                CHECK(child > 0);
                CHECK_INT(process_roll_shares_kthreadd(&roll, child), children[i].shares);
                CHECK(!process_roll_shares_kthreadd(&elsewhere, child));
                waiting_child_end(child);
        }
}

int main(void) {
        /* Whose the folders are tells before their status does, unless they are root's. */
        if (geteuid() == 0) {
                test_turns();
                test_setuid();
        }

        static Seen s;
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        _cleanup_free_ char *own = NULL, *of_child = NULL;
        pid_t children[8];
        size_t n = 0;

        bool alone = see_own_processes();
        own = strf("%d", getpid());
        CHECK_INT(process_roll_begin(&roll), 0);
        CHECK(pass(&roll, &s) > 0);
        CHECK(seen(&s, own) && !seen(&s, "self"));

        /* Who comes while the roll is called is called too, and the roll is called again for each that came, but not for ever. */
        while (n < ELEMENTSOF(children)) {
                pid_t child = children[n++] = waiting_child_start(nothing);
                if (!process_roll_again(&roll))
                        break;
                free(of_child);
                of_child = strf("%d", child);
                size_t called = pass(&roll, &s);
                CHECK(seen(&s, of_child));
                CHECK(!alone || called == 1);
        }
        CHECK(n > 1 && n < ELEMENTSOF(children));
        while (n > 0)
                waiting_child_end(children[--n]);

        /* Where nobody came it is over. */
        process_roll_done(&roll);
        s.n = 0;
        CHECK_INT(process_roll_begin(&roll), 0);
        (void) pass(&roll, &s);
        CHECK(process_roll_again(&roll));
        CHECK(pass(&roll, &s) == 0 || !alone);
        CHECK(!process_roll_again(&roll) || !alone);

        /* Who is left out is not called in any pass. */
        process_roll_done(&roll);
        s.n = 0;
        CHECK_INT(process_roll_begin(&roll), 0);
        CHECK_INT(process_roll_leave_out(&roll, (size_t) getpid()), 0);
        do
                (void) pass(&roll, &s);
        while (process_roll_again(&roll));
        CHECK(!seen(&s, own));

        /* All passes as one. */
        process_roll_done(&roll);
        s.n = 0;
        CHECK_INT(process_roll_begin(&roll), 0);
        char name[NAME_MAX + 1];
        CHECK_INT(process_roll_next(&roll, name), 1);
        pid_t child = waiting_child_start(nothing);
        free(of_child);
        of_child = strf("%d", child);
        while (!streq(name, of_child))
                CHECK_INT(process_roll_next(&roll, name), 1);
        waiting_child_end(child);
        test_kthreadd();
        return EXIT_SUCCESS;
}
