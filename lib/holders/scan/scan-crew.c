/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/process-roll.h"
#include "holders/scan/scan-crew.h"

enum {
        /* The holders may be frozen while they are looked for, so that the time counts; nearly all of it is spent in the
         * kernel, where the looks do not get into each other's way. Also on fewer CPUs: where there is much to do, who has more
         * threads has more turns. */
        THREADS = 4,
        THREADS_MAX = 16,       /* with those who come for others that are left behind */

        /* How long one look may take before it is asked whether the process hangs, and how often that is asked: the kernel tells
         * nobody. */
        HANG_MSEC = 1000,
        WATCH_MSEC = 100,

        /* Found asleep so often in a row: it waits for somebody. A look has nobody to wait for but the kernel, and its own short pauses
         * (scan-process.c). */
        ASLEEP_WATCHES = 5,

        /* What a look at one more process may take on a slow machine. */
        GRACE_SEC = 2,
};

typedef struct Member {
        Crew *crew;
        pthread_t thread;
        int tid;
        /* Under the crew's lock: */
        int result;
        bool is_back;           /* for good */
        bool is_left;           /* hangs where the process does, and is not waited for any more */
        bool files_only;        /* it looks at what of the process somebody else hangs at that does not */
        int at;                 /* the process that it looks at; 0: none */
        uint64_t since;         /* when it went there */
        size_t owner;           /* whose that process is (process-roll.h) */
        unsigned n_asleep;      /* how often in a row it was found so at that one */
} Member;

/* A process whose memory cannot be looked at. */
typedef struct Again {
        int pid;
        size_t owner;
} Again;

/* The last one who is back frees it. */
struct Crew {
        const CrewWork *work;
        void *whole;
        uint64_t deadline;
        int only;               /* the one process to look at; 0: all */
        atomic_bool over;       /* nobody waits any more */
        pthread_mutex_t lock;   /* of the following */
        pthread_cond_t news;    /* nobody is at a process any more, one hangs, the roll is called again or ended, or somebody is back for good */
        ProcessRoll roll;
        bool called;            /* the only one */
        Again again[THREADS_MAX];
        size_t n_again;
        size_t n_busy;
        bool ended;
        Gaps gaps;
        Member members[THREADS_MAX];
        size_t n_members;
};

static void crew_free(Crew *c) {
        c->work->free(c->whole);
        process_roll_done(&c->roll);
        (void) pthread_cond_destroy(&c->news);
        (void) pthread_mutex_destroy(&c->lock);
        free(c);
}

static struct timespec timespec_of(uint64_t usec) {
        return (struct timespec) { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_nsec = (long) (usec % USEC_PER_SEC * 1000) };
}

/* The user who is to blame is named. */
static void time_is_over(Crew *c) {
        process_roll_over(&c->roll, &c->gaps);
        c->ended = true;
        (void) pthread_cond_broadcast(&c->news);
}

/* The last one who comes back calls the roll again: before, whoever is still being looked at may leave something to a child. */
static void wait_for_others(Crew *c) {
        const struct timespec until = timespec_of(c->deadline);

        if (c->n_busy > 0) {
                if (c->deadline == UINT64_MAX)
                        (void) pthread_cond_wait(&c->news, &c->lock);
                else if (pthread_cond_clockwait(&c->news, &c->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT && !c->ended)
                        time_is_over(c);
                return;
        }
        c->ended = c->only > 0 || !process_roll_again(&c->roll);
        (void) pthread_cond_broadcast(&c->news);
}

/* 1 with a name, 0: nobody now; or a negative errno. */
static int call_next(Member *m, char ret[static NAME_MAX + 1]) {
        Crew *c = m->crew;

        m->files_only = c->n_again > 0;
        if (m->files_only) {
                const Again *a = &c->again[--c->n_again];
                m->owner = a->owner;
                (void) snprintf(ret, NAME_MAX + 1, "%d", a->pid);
                return 1;
        }
        if (c->only == 0)
                return process_roll_next_in_pass(&c->roll, ret, &m->owner);
        if (c->called)
                return 0;
        c->called = true;
        (void) snprintf(ret, NAME_MAX + 1, "%d", c->only);
        return 1;
}

/* 1 with a name, from whom it is then to come back with come_back(); 0 at the end. */
static int next_process(Member *m, char ret[static NAME_MAX + 1]) {
        Crew *c = m->crew;
        uint64_t pid = 0;
        int r = 0;

        (void) pthread_mutex_lock(&c->lock);
        while (r == 0 && !c->ended) {
                if (now_monotonic() >= c->deadline) {
                        time_is_over(c);
                        break;
                }
                r = call_next(m, ret);
                if (r == 0)
                        wait_for_others(c);
        }
        c->n_busy += r > 0;
        if (r > 0)
                (void) parse_u64(ret, &pid);
        m->at = (int) pid;
        m->since = now_monotonic();
        m->n_asleep = 0;
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}

/* What was found is handed over at once: the next look may be the one that does not come to its end. 1; 0: it was left behind
 * meanwhile, and is not waited for; or -ENOMEM. */
static int come_back(Member *m, void *part) {
        Crew *c = m->crew;
        int r = 1;

        (void) pthread_mutex_lock(&c->lock);
        if (m->files_only && !m->is_left)
                gap_note(&c->gaps, GAP_MAPPINGS, m->at, 0);
        m->at = 0;
        if (m->is_left)
                r = 0;
        else {
                process_roll_spent(&c->roll, m->owner, now_monotonic() - m->since);
                if (c->work->hand_over(part, c->whole) < 0)
                        r = -ENOMEM;
                if (--c->n_busy == 0)
                        (void) pthread_cond_broadcast(&c->news);
        }
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}

static int work(Member *m, void *part) {
        Crew *c = m->crew;
        char name[NAME_MAX + 1];

        int r = part ? c->work->begin(part, c->whole, c->deadline) : -ENOMEM;
        while (r >= 0 && !c->over && (r = next_process(m, name)) > 0) {
                bool is_idle = c->only == 0 && process_roll_shares_kthreadd(&c->roll, m->at);
                int looked = is_idle ? 0 : (m->files_only ? c->work->look_at_files : c->work->look)(part, dirfd(c->roll.proc), name);
                r = come_back(m, part);
                if (looked < 0)
                        r = looked;
                if (r <= 0)
                        break;
        }
        return r;
}

static bool all_are_back(const Crew *c, bool or_left) {
        for (size_t i = 0; i < c->n_members; i++)
                if (!c->members[i].is_back && !(or_left && c->members[i].is_left))
                        return false;
        return true;
}

static void *member_main(void *userdata) {
        Member *m = userdata;
        Crew *c = m->crew;
        void *part = calloc(1, c->work->part_size);

        m->tid = gettid();
        int r = work(m, part);
        if (part)
                c->work->end(part);
        free(part);
        (void) pthread_mutex_lock(&c->lock);
        m->result = r;
        m->is_back = true;
        bool last = c->over && all_are_back(c, false);
        (void) pthread_cond_broadcast(&c->news);
        (void) pthread_mutex_unlock(&c->lock);
        if (last)
                crew_free(c);
        return NULL;
}

/* Whoever called has handlers for signals; they are not for these threads. */
static int start_member(Crew *c) {
        Member *m = &c->members[c->n_members];
        sigset_t all, before;

        if (c->n_members >= THREADS_MAX)
                return -EAGAIN;
        m->crew = c;
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = -pthread_create(&m->thread, NULL, member_main, m);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        c->n_members += r == 0;
        return r;
}

static int start_members(Crew *c) {
        int r = 0;

        (void) pthread_mutex_lock(&c->lock);
        for (size_t i = 0; i < (c->only > 0 ? 1 : THREADS) && r >= 0; i++)
                r = start_member(c);
        (void) pthread_mutex_unlock(&c->lock);
        /* Fewer will do. */
        return c->n_members > 0 ? 0 : r;
}

/* Or it waits for somebody: a file system whose server is a process. */
static bool is_asleep(Member *m) {
        m->n_asleep = thread_state(getpid(), m->tid) == 'S' ? m->n_asleep + 1 : 0;
        return m->n_asleep >= ASLEEP_WATCHES;
}

/* Only its memory is locked: a second look leaves that out. */
static void give_to_another(Crew *c, const Member *m) {
        if (m->files_only || !c->work->look_at_files || c->n_again >= THREADS_MAX)
                gap_note(&c->gaps, GAP_HANG, m->at, 0);
        else
                c->again[c->n_again++] = (Again) { .pid = m->at, .owner = m->owner };
}

/* Whoever takes long at a process that hangs does not come back before that does; somebody else goes on. */
static void leave_behind(Crew *c) {
        uint64_t now = now_monotonic();

        for (size_t i = 0, n = c->n_members; i < n; i++) {
                Member *m = &c->members[i];
                if (m->is_left || m->at == 0 || now < m->since + HANG_MSEC * USEC_PER_MSEC)
                        continue;
                if (!is_asleep(m) && !(thread_hangs(getpid(), m->tid) && process_hangs(m->at)))
                        continue;
                m->is_left = true;
                process_roll_spent(&c->roll, m->owner, now - m->since);
                c->n_busy--;
                give_to_another(c, m);
                (void) start_member(c);
                (void) pthread_cond_broadcast(&c->news);
        }
}

static void wait_for_all(Crew *c) {
        uint64_t end = c->deadline == UINT64_MAX ? UINT64_MAX : c->deadline + GRACE_SEC * USEC_PER_SEC;

        for (uint64_t now; !all_are_back(c, true) && (now = now_monotonic()) < end;) {
                uint64_t next = now + WATCH_MSEC * USEC_PER_MSEC;
                const struct timespec until = timespec_of(next < end ? next : end);
                (void) pthread_cond_clockwait(&c->news, &c->lock, CLOCK_MONOTONIC, &until);
                leave_behind(c);
        }
}

int crew_end(Crew *c, void *ret) {
        int r = 0;

        (void) pthread_mutex_lock(&c->lock);
        wait_for_all(c);
        c->over = true;
        size_t n = c->n_members;
        bool all = all_are_back(c, false);
        for (size_t i = 0; i < n; i++)
                if (c->members[i].is_back && c->members[i].result < 0)
                        r = c->members[i].result;
        while (c->n_again > 0)
                gap_note(&c->gaps, GAP_HANG, c->again[--c->n_again].pid, 0);
        /* Where the last of them was left behind, not all of the roll was called. */
        if ((c->only == 0 || gaps_none(&c->gaps)) && (!c->ended || !all_are_back(c, true)))
                gap_note(&c->gaps, GAP_TIME, 0, 0);
        if (r >= 0)
                c->work->take(c->whole, &c->gaps, ret);
        for (size_t i = 0; i < n && !all; i++)
                (void) pthread_detach(c->members[i].thread);
        (void) pthread_mutex_unlock(&c->lock);
        if (!all)
                return r;
        for (size_t i = 0; i < n; i++)
                (void) pthread_join(c->members[i].thread, NULL);
        crew_free(c);
        return r;
}

int crew_start(const CrewWork *work, void *whole, uint64_t deadline, int pid, Crew **ret) {
        Crew *c = calloc(1, sizeof(*c));
        if (!c) {
                work->free(whole);
                return -ENOMEM;
        }
        (void) pthread_mutex_init(&c->lock, NULL);
        (void) pthread_cond_init(&c->news, NULL);
        c->work = work;
        c->whole = whole;
        c->deadline = deadline;
        c->only = pid;

        int r = process_roll_begin(&c->roll);
        if (r >= 0 && pid == 0 && work->leave_out)
                work->leave_out(whole, deadline, &c->roll);
        if (r >= 0)
                r = start_members(c);
        if (r < 0) {
                crew_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

int crew_run(const CrewWork *work, void *whole, uint64_t deadline, int pid, void *ret) {
        Crew *c = NULL;

        int r = crew_start(work, whole, deadline, pid, &c);
        return r < 0 ? r : crew_end(c, ret);
}
