/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's clock. It is this one's, and jumps ahead whenever all processes of the machine wait: whoever waits for a minute has waited for it at once,
 * and whoever computes has not lost a deadline. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"
#include "users/process.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define WORKER "safe-remove-worker"

enum {
        IDLE_LOOKS = 2, /* of a millisecond: somebody who was woken up may not run yet */
};

static uint64_t real_now(clockid_t id) {
        struct timespec ts;

        (void) REAL(clock_gettime)(id, &ts);
        return (uint64_t) ts.tv_sec * NSEC_PER_SEC + (uint64_t) ts.tv_nsec;
}

/* Guard and daemon wait for sockets by timers of the kernel's, which nobody can move on: theirs is this machine's clock. */
static SimShared *shared_clock(void) {
        static int is_worker = -1;
        SimShared *s = shared();

        if (is_worker < 0)
                is_worker = strcmp(program_invocation_short_name, WORKER) == 0;
        return !s || is_worker || !s->whole ? s : NULL;
}

uint64_t sim_now(void) {
        SimShared *s = shared_clock();

        return real_now(CLOCK_MONOTONIC) + (s ? s->ahead : 0);
}

int clock_gettime(clockid_t id, struct timespec *ret) {
        SimShared *s = shared_clock();

        int r = REAL(clock_gettime)(id, ret);
        if (r < 0 || !s || (id != CLOCK_MONOTONIC && id != CLOCK_REALTIME && id != CLOCK_BOOTTIME))
                return r;
        uint64_t t = (uint64_t) ret->tv_sec * NSEC_PER_SEC + (uint64_t) ret->tv_nsec + s->ahead + (id == CLOCK_REALTIME ? s->wall_ahead : 0);
        ret->tv_sec = (time_t) (t / NSEC_PER_SEC);
        ret->tv_nsec = (long) (t % NSEC_PER_SEC);
        return 0;
}

/* 'R', 'S', ...; 0: it is not there any more. */
static char state_of(pid_t pid) {
        char path[64], stat[512];

        (void) snprintf(path, sizeof(path), "/proc/.real/%d/stat", pid);
        int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : REAL(read)(fd, stat, sizeof(stat) - 1);
        if (fd >= 0)
                REAL(close)(fd);
        if (n <= 0)
                return 0;
        stat[n] = '\0';
        const char *end = strrchr(stat, ')');
        return !end || end[2] == 'Z' || end[2] == 'X' ? 0 : end[2];
}

void process_known(pid_t pid) {
        SimShared *s = shared();

        if (!s || pid <= 0)
                return;
        for (int again = 0; again < 2; again++)
                for (size_t i = 0; i < SIM_PROCESSES; i++) {
                        int32_t was = 0;
                        if (again && (was = s->processes[i].pid) != 0 && state_of(was))
                                continue;
                        if (s->processes[i].pid == pid)
                                return;
                        if (atomic_compare_exchange_strong(&s->processes[i].pid, &was, pid)) {
                                s->processes[i].until = 0;
                                return;
                        }
                }
        sim_die("more than %d processes", SIM_PROCESSES);
}

static SimProcess *own_place(SimShared *s) {
        static SimProcess *place;
        int32_t pid = getpid();

        for (size_t i = 0; (!place || place->pid != pid) && i < SIM_PROCESSES; i++)
                if (s->processes[i].pid == pid)
                        place = &s->processes[i];
        if (place && place->pid == pid)
                return place;
        process_known(pid);
        return own_place(s);
}

/* Nobody has anything left to do before the next of those who wait for a time: then it is that time. Who sleeps otherwise waits for one of them. */
static void time_goes_on(SimShared *s) {
        uint64_t next = world_next(), now = sim_now();

        for (size_t i = 0; i < SIM_PROCESSES; i++) {
                int32_t pid = s->processes[i].pid;
                uint64_t until = s->processes[i].until;
                if (pid == 0)
                        continue;
                char state = pid == getpid() ? 'S' : state_of(pid);
                /* One that has just begun to wait, or to run, is not what it was a moment ago. */
                if (state == 'R' || state == 'D' || s->processes[i].until != until)
                        return;
                if (state && until > 0 && until < next)
                        next = until;
        }
        if (next != UINT64_MAX && next > now)
                s->ahead += next - now;
}

/* Until *ready() says so or the time has come. */
static int wait_for(SimShared *s, uint64_t deadline, struct pollfd *fds, nfds_t n) {
        SimProcess *p = own_place(s);
        unsigned idle = 0;

        for (;;) {
                if (world_next() <= sim_now()) {
                        model_enter();
                        world_turn();
                        model_leave();
                }
                int r = REAL(poll)(fds, n, 0);
                if (r != 0 || sim_now() >= deadline) {
                        p->until = 0;
                        return r;
                }
                p->until = deadline;
                r = REAL(poll)(fds, n, 1);
                if (r != 0) {
                        p->until = 0;
                        return r;
                }
                if (++idle >= IDLE_LOOKS)
                        time_goes_on(s);
        }
}

int poll(struct pollfd *fds, nfds_t n, int timeout) {
        SimShared *s = shared_clock();

        if (!s || timeout == 0)
                return REAL(poll)(fds, n, timeout);
        return wait_for(s, timeout < 0 ? UINT64_MAX : sim_now() + (uint64_t) timeout * NSEC_PER_MSEC, fds, n);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size) {
        (void) size;
        return poll(fds, n, timeout);
}

void sim_sleep_until(uint64_t deadline) {
        SimShared *s = shared_clock();

        if (s)
                (void) wait_for(s, deadline, NULL, 0);
}

int nanosleep(const struct timespec *t, struct timespec *left) {
        if (!shared_clock())
                return REAL(nanosleep)(t, left);
        sim_sleep_until(sim_now() + (uint64_t) t->tv_sec * NSEC_PER_SEC + (uint64_t) t->tv_nsec);
        return 0;
}
