/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/process-roll.h"
#include "holders/scan-crew.h"

enum {
        /* The holders may be frozen while they are looked for, so that the time counts; nearly all of it is spent in the
         * kernel, where the looks do not get into each other's way. Also on fewer CPUs: where there is much to do, who has more
         * threads has more turns. */
        THREADS = 4,

        /* What a look at one more process may take on a slow machine. */
        GRACE_SEC = 2,
};

typedef struct Member {
        Crew *crew;
        pthread_t thread;
        bool started;
        int result;
} Member;

struct Crew {
        HoldTargets targets;
        Protection protection;
        MapsWay way;
        uint64_t deadline;
        atomic_bool over;       /* nobody waits any more */
        pthread_mutex_t lock;   /* of the following */
        pthread_cond_t idle;    /* nobody is at a process any more, or the roll is called again, or ended */
        ProcessRoll roll;
        size_t n_busy;
        bool ended;
        Holders found;
        Member members[THREADS];
};

void crew_free(Crew *c) {
        if (!c)
                return;
        hold_targets_done(&c->targets);
        protection_done(&c->protection);
        holders_clear(&c->found);
        process_roll_done(&c->roll);
        (void) pthread_cond_destroy(&c->idle);
        (void) pthread_mutex_destroy(&c->lock);
        free(c);
}

static struct timespec timespec_of(uint64_t usec) {
        return (struct timespec) { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC * 1000) };
}

/* The last one who comes back calls the roll again: before, whoever is still being looked at may leave something to a child. */
static void wait_for_others(Crew *c) {
        const struct timespec until = timespec_of(c->deadline);

        if (c->n_busy > 0) {
                if (c->deadline == UINT64_MAX)
                        (void) pthread_cond_wait(&c->idle, &c->lock);
                else if (pthread_cond_clockwait(&c->idle, &c->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT) {
                        c->ended = true;
                        c->found.complete = false;
                }
                return;
        }
        c->ended = !process_roll_again(&c->roll);
        (void) pthread_cond_broadcast(&c->idle);
}

/* 1 with a name, who is then to come back with come_back(); 0 at the end. */
static int next_process(Crew *c, char ret[static NAME_MAX + 1]) {
        int r = 0;

        (void) pthread_mutex_lock(&c->lock);
        while (!c->ended) {
                r = process_roll_next_in_pass(&c->roll, ret);
                if (r != 0)
                        break;
                wait_for_others(c);
        }
        c->n_busy += r > 0;
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}

static void come_back(Crew *c) {
        (void) pthread_mutex_lock(&c->lock);
        if (--c->n_busy == 0)
                (void) pthread_cond_broadcast(&c->idle);
        (void) pthread_mutex_unlock(&c->lock);
}

/* At once: the next look may be the one that does not come to its end. */
static int hand_over(Crew *c, Holders *found) {
        (void) pthread_mutex_lock(&c->lock);
        int r = holders_move(&c->found, found);
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}

static int work(Crew *c, Scan *s) {
        char name[NAME_MAX + 1];

        int r = scan_init(s, &c->targets, &c->protection, c->way, c->deadline);
        while (r >= 0 && !c->over && (r = next_process(c, name)) > 0) {
                bool late = now_monotonic() >= c->deadline;
                if (late)
                        s->holders.complete = false;
                else
                        r = scan_process(s, dirfd(c->roll.proc), name);
                if (r >= 0 && s->holders.n_items > 0)
                        r = hand_over(c, &s->holders);
                come_back(c);
                if (late)
                        break;
        }
        return r < 0 ? r : hand_over(c, &s->holders);
}

static void *member_main(void *userdata) {
        Member *m = userdata;
        Scan s;

        m->result = work(m->crew, &s);
        scan_done(&s);
        return NULL;
}

/* Whoever called has handlers for signals; they are not for these threads. */
static int start_members(Crew *c) {
        sigset_t all, before;
        int r = 0;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        for (size_t i = 0; i < THREADS && r >= 0; i++) {
                Member *m = &c->members[i];

                m->crew = c;
                r = -pthread_create(&m->thread, NULL, member_main, m);
                m->started = r == 0;
        }
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        /* Fewer will do. */
        return c->members[0].started ? 0 : r;
}

int crew_start(const HoldTargets *targets, MapsWay way, uint64_t deadline, Crew **ret) {
        _cleanup_(crew_freep) Crew *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        (void) pthread_mutex_init(&c->lock, NULL);
        (void) pthread_cond_init(&c->idle, NULL);
        c->way = way;
        c->deadline = deadline;
        c->found.complete = true;

        int r = hold_targets_copy(targets, &c->targets);
        if (r >= 0)
                r = protection_find(&c->targets, &c->protection);
        if (r < 0)
                return r;
        r = process_roll_begin(&c->roll);
        if (r >= 0)
                r = start_members(c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static bool wait_for(const Crew *c, Member *m) {
        const struct timespec t = timespec_of(c->deadline + GRACE_SEC * USEC_PER_SEC);

        if (c->deadline == UINT64_MAX)
                return pthread_join(m->thread, NULL) == 0;
        return pthread_clockjoin_np(m->thread, NULL, CLOCK_MONOTONIC, &t) == 0;
}

int crew_end(Crew *c, Holders *ret) {
        Holders found = { 0 };
        bool all = true;
        int r = 0;

        for (size_t i = 0; i < THREADS; i++) {
                Member *m = &c->members[i];

                if (!m->started)
                        continue;
                if (!wait_for(c, m))
                        all = false;
                else if (m->result < 0)
                        r = m->result;
        }
        c->over = true;

        (void) pthread_mutex_lock(&c->lock);
        found = c->found;
        found.complete = found.complete && all;
        c->found = (Holders) { .complete = true };
        (void) pthread_mutex_unlock(&c->lock);
        if (all)
                crew_free(c);
        if (r < 0) {
                holders_clear(&found);
                return r;
        }
        *ret = found;
        return 0;
}
