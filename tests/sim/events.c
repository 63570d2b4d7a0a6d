/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events, and what goes wrong at them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"

#define NSEC_PER_MSEC UINT64_C(1000000)
#define REMOVALS "/removals/"
#define CANCEL "{\"type\": \"cancel\", \"why\": \"command\"}\n"

enum {
        LOOK_MSEC = 1000,
};

SimShared *shared(void) {
        static SimShared *map;
        static bool looked;

        if (looked)
                return map;
        int fd = REAL(open)(STORE "/shared", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return NULL;
        looked = true;
        map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        REAL(close)(fd);
        if (map == MAP_FAILED)
                map = NULL;
        return map;
}

void note_touched(void) {
        SimShared *s = shared();

        if (s)
                s->touched_length = (uint64_t) s->journal_length;
}

static void end_process(int32_t pid) {
        if (pid > 0) /* one that is not there, or not known yet, is not to be taken for a group */
                (void) kill(pid, SIGKILL);
}

static void end_both(const SimShared *s) {
        end_process(s->worker);
        (void) kill(getpid(), SIGKILL);
        for (;;)
                (void) REAL(poll)(NULL, 0, LOOK_MSEC);
}

static void end_some(const SimShared *s, int64_t who) {
        if (who & WHO_DAEMON)
                end_process(s->daemon);
        if (who & WHO_GUARD)
                end_process(s->guard);
        if (who & WHO_WORKER)
                end_both(s);
}

/* By the daemon's end of what the worker reads from. One that has ended meanwhile cannot be called off. */
static void cancel(SimShared *s) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/.real/%d/fd/0", s->worker);
        int fd = REAL(open)(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || REAL(write)(fd, CANCEL, strlen(CANCEL)) != (ssize_t) strlen(CANCEL))
                sim_trace("nobody is there any more who could be called off: %m");
        if (fd >= 0)
                (void) REAL(close)(fd);
}

static void wait_msec(int64_t msec) {
        char path[64];

        if (msec == 0) {
                (void) snprintf(path, sizeof(path), STORE "/hung/%d", getpid());
                (void) REAL(close)(REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
        sim_sleep_until(msec > 0 ? sim_now() + (uint64_t) msec * NSEC_PER_MSEC : UINT64_MAX);
}

/* FNV-1a */
static uint64_t hash(const char *text) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (; *text; text++)
                h = (h ^ (uint8_t) *text) * UINT64_C(0x100000001b3);
        return h;
}

static uint32_t number_for(Fault *f, const char *what, uint32_t event, uint32_t touch) {
        if (*f->match)
                return strstr(what, f->match) ? ++f->seen : 0;
        return f->touch ? touch : event;
}

static bool is_hit(Fault *f, uint32_t number, uint64_t what) {
        if (f->event == 0 || number == 0 || number < f->event || (f->times > 0 && f->hit >= f->times))
                return false;
        if (f->hit == 0) {
                if (number != f->event)
                        return false;
                f->what = what;
        }
        return f->what == what;
}

static FaultKind begin(SimShared *s, const Fault *f) {
        switch ((FaultKind) f->kind) {
        case FAULT_KILL_BEFORE:
                end_both(s);
                break;
        case FAULT_KILL_WORKER:
                (void) kill(s->worker, SIGKILL);
                break;
        case FAULT_CANCEL:
                cancel(s);
                return FAULT_NONE;
        case FAULT_LATE:
                wait_msec(f->arg);
                return FAULT_NONE;
        case FAULT_KILL:
                end_some(s, f->arg);
                return FAULT_NONE;
        case FAULT_ACTOR:
                actor_acts_now(f->arg);
                return FAULT_NONE;
        default:
                break;
        }
        return (FaultKind) f->kind;
}

FaultKind event_comes(const char *what, const char *same, bool to_machine, int64_t *ret_arg) {
        SimShared *s = shared();
        FaultKind kind = FAULT_NONE;

        *ret_arg = 0;
        if (!s)
                return FAULT_NONE;
        uint32_t number = ++s->n_events, touch = to_machine ? ++s->n_touches : 0;
        sim_trace("event %u: %s", number, what);
        if (s->whole && strstr(what, REMOVALS)) /* somebody else has started it */
                s->worker = getpid();
        for (uint32_t i = 0; i < s->n_faults && kind == FAULT_NONE; i++) {
                Fault *f = &s->faults[i];
                if (!is_hit(f, number_for(f, what, number, touch), f->wide ? to_machine : hash(same)))
                        continue;
                f->hit++;
                *ret_arg = f->arg;
                sim_trace("event %u is hit by fault %u (%jd)", number, f->kind, (intmax_t) f->arg);
                kind = begin(s, f);
        }
        return kind;
}

void event_ends(FaultKind kind, int64_t arg) {
        SimShared *s = shared();

        if (kind == FAULT_ACTOR_AFTER)
                actor_acts_now(arg);
        if (kind == FAULT_KILL_AFTER || kind == FAULT_TORN)
                end_both(s);
        if (kind == FAULT_HANG)
                wait_msec(arg);
}
