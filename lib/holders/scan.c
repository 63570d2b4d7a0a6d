/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/scan.h"

enum {
        /* The holders may be frozen while they are looked for, so that the time counts; nearly all of it is spent in the
         * kernel, where the looks do not get into each other's way. Also on fewer CPUs: where there is much to do, who has more
         * threads has more turns. */
        THREADS = 4,
};

/* Threads that take one process after the other. */
typedef struct Crew {
        const HoldTargets *targets;
        const Protection *protection;
        MapsWay way;
        uint64_t deadline;
        DIR *proc;
        pthread_mutex_t lock;   /* of proc */
} Crew;

typedef struct Member {
        Crew *crew;
        Scan scan;
        pthread_t thread;
        bool started;
        int result;
} Member;

/* 0 at the end of the folder, else 1 with a name. */
static int next_process(Crew *c, char ret[static NAME_MAX + 1]) {
        const struct dirent *e;

        (void) pthread_mutex_lock(&c->lock);
        do
                e = readdir(c->proc);
        while (e && (e->d_name[0] < '0' || e->d_name[0] > '9'));
        if (e)
                strcpy(ret, e->d_name);
        (void) pthread_mutex_unlock(&c->lock);
        return e ? 1 : 0;
}

static void *work(void *userdata) {
        Member *m = userdata;
        Crew *c = m->crew;
        char name[NAME_MAX + 1];

        m->result = scan_init(&m->scan, c->targets, c->protection, c->way, c->deadline);
        while (m->result >= 0 && next_process(c, name) > 0) {
                if (now_monotonic() >= c->deadline) {
                        m->scan.holders.complete = false;
                        break;
                }
                m->result = scan_process(&m->scan, dirfd(c->proc), name);
        }
        return NULL;
}

/* Whoever called has handlers for signals; they are not for these threads. One that cannot be started is done without. */
static void start(Member members[static THREADS]) {
        sigset_t all, before;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        for (size_t i = 1; i < THREADS; i++)
                members[i].started = pthread_create(&members[i].thread, NULL, work, &members[i]) == 0;
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int compare(const void *a, const void *b) {
        const Holder *x = a, *y = b;

        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int scan_with(Crew *c, Holders *holders) {
        Member members[THREADS] = { 0 };
        int r = 0;

        for (size_t i = 0; i < THREADS; i++)
                members[i].crew = c;
        start(members);
        work(&members[0]);
        for (size_t i = 0; i < THREADS; i++) {
                if (members[i].started)
                        (void) pthread_join(members[i].thread, NULL);
                if (r >= 0)
                        r = members[i].result;
                if (r >= 0 && (i == 0 || members[i].started))
                        r = holders_move(holders, &members[i].scan.holders);
                scan_done(&members[i].scan);
        }
        if (r >= 0 && holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(Holder), compare);
        return r;
}

int holders_scan_by(MapsWay way, const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;
        Crew c = { .targets = targets, .way = way, .deadline = deadline, .lock = PTHREAD_MUTEX_INITIALIZER };

        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        if (!holders)
                return -ENOMEM;
        holders->complete = true;
        _cleanup_(closedirp) DIR *proc = opendir("/proc");
        if (!proc)
                return -errno;
        _cleanup_(protection_done) Protection protection = { 0 };
        int r = protection_find(targets, &protection);
        if (r < 0)
                return r;

        c.proc = proc;
        c.protection = &protection;
        r = scan_with(&c, holders);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(holders);
        return 0;
}

int holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        return holders_scan_by(MAPS_BEST, targets, budget_usec, ret);
}
