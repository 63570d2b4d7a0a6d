/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whoever looks at a process that hangs is left behind, and somebody else looks at its files. What hangs here is the look itself, so that this
 * is the same on every kernel: what a process with its memory locked keeps others from differs between them. */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "holders/scan/scan-crew.h"
#include "tests/unit/test.h"

enum {
        LATE_SEC = 120, /* a machine that is busy */
};

/* What hangs at this process, until it is let go. */
typedef struct Machine {
        char name[16];
        bool in_look, in_files;
        int hangs[2];           /* a pipe that nothing is written to */
        atomic_int n_looks, n_files, n_others;
        sem_t freed;
} Machine;

static Machine now;

typedef struct Part {
        int n;
} Part;

static int begin(void *part, void *whole, uint64_t deadline) {
        return 0;
}

static void hang(void) {
        char c;

        CHECK_INT(read(now.hangs[0], &c, 1), 0);
}

static int look(void *part, int proc, const char *name) {
        if (!streq(name, now.name)) {
                now.n_others++;
                return 0;
        }
        now.n_looks++;
        if (now.in_look)
                hang();
        ((Part *) part)->n++;
        return 0;
}

static int look_at_files(void *part, int proc, const char *name) {
        CHECK_STR(name, now.name);
        now.n_files++;
        if (now.in_files)
                hang();
        ((Part *) part)->n++;
        return 0;
}

/* What was found. */
typedef struct Found {
        int n;
        Gaps gaps;
} Found;

static int hand_over(void *part, void *whole) {
        ((Found *) whole)->n += ((Part *) part)->n;
        ((Part *) part)->n = 0;
        return 0;
}

static void end(void *part) {
}

static void take(void *whole, const Gaps *gaps, void *ret) {
        *(Found *) ret = *(Found *) whole;
        ((Found *) ret)->gaps = *gaps;
}

static void free_whole(void *whole) {
        free(whole);
        CHECK_INT(sem_post(&now.freed), 0);
}

static const CrewWork with_files = {
        .part_size = sizeof(Part), .begin = begin, .look = look, .look_at_files = look_at_files, .hand_over = hand_over, .end = end, .take = take,
        .free = free_whole,
};

/* All threads are gone after it. */
static Found run(const CrewWork *work, bool in_look, bool in_files, int only) {
        const struct timespec late = { .tv_sec = time(NULL) + LATE_SEC };
        Found *whole = calloc(1, sizeof(*whole)), found = { 0 };

        now = (Machine) { .in_look = in_look, .in_files = in_files };
        (void) snprintf(now.name, sizeof(now.name), "%d", getpid());
        CHECK(whole && pipe(now.hangs) == 0 && sem_init(&now.freed, 0, 0) == 0);
        CHECK_INT(crew_run(work, whole, now_monotonic() + LATE_SEC * USEC_PER_SEC, only, &found), 0);
        (void) close(now.hangs[1]);
        CHECK_INT(sem_timedwait(&now.freed, &late), 0);
        (void) close(now.hangs[0]);
        CHECK_INT(now.n_looks, 1);
        CHECK(only > 0 ? now.n_others == 0 : now.n_others > 0);
        return found;
}

static void check_gap(const Found *found, GapKind kind) {
        CHECK(gaps_none_but(&found->gaps, 1U << kind));
        CHECK_INT(found->gaps.of[kind].n, 1);
        CHECK_INT(found->gaps.of[kind].pid, getpid());
}

static void test_all(int only) {
        static const CrewWork without_files = {
                .part_size = sizeof(Part), .begin = begin, .look = look, .hand_over = hand_over, .end = end, .take = take, .free = free_whole,
        };

        Found found = run(&with_files, false, false, only);
        CHECK(gaps_none(&found.gaps));
        CHECK(found.n == 1 && now.n_files == 0);

        found = run(&with_files, true, false, only);
        check_gap(&found, GAP_MAPPINGS);
        CHECK(found.n == 1 && now.n_files == 1);

        found = run(&with_files, true, true, only);
        check_gap(&found, GAP_HANG);
        CHECK(found.n == 0 && now.n_files == 1);

        found = run(&without_files, true, false, only);
        check_gap(&found, GAP_HANG);
        CHECK_INT(found.n, 0);
}

int main(void) {
        test_all(0);
        test_all(getpid());
        return EXIT_SUCCESS;
}
