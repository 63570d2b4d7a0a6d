/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is due later: lines of time, number and word in STORE "/timers". */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared.h"
#include "users/private.h"
#include "users/process.h"

enum {
        TIMERS = 128,
};

typedef struct Timer {
        uint64_t due;
        int pid;
        char what[16];
} Timer;

static size_t timers_read(Timer timers[static TIMERS]) {
        FILE *f = fopen(STORE "/timers", "re");
        size_t n = 0;

        while (f && n < TIMERS && fscanf(f, "%" SCNu64 " %d %15s\n", &timers[n].due, &timers[n].pid, timers[n].what) == 3)
                n++;
        if (f)
                (void) fclose(f);
        return n;
}

static void timers_write(const Timer *timers, size_t n) {
        FILE *f = fopen(STORE "/timers", "we");

        for (size_t i = 0; f && i < n; i++)
                fprintf(f, "%" PRIu64 " %d %s\n", timers[i].due, timers[i].pid, timers[i].what);
        if (!f || fclose(f) != 0)
                sim_die("the timers cannot be written");
}

void timer_add(pid_t pid, const char *what, uint64_t in) {
        Timer timers[TIMERS];
        size_t n = timers_read(timers);

        if (in == NEVER)
                return;
        if (n >= TIMERS)
                sim_die("more than %d things are to happen", TIMERS);
        timers[n] = (Timer) { .due = sim_now() + in, .pid = pid };
        (void) snprintf(timers[n].what, sizeof(timers[n].what), "%s", what);
        timers_write(timers, n + 1);
}

uint64_t world_next(void) {
        Timer timers[TIMERS];
        uint64_t next = NEVER;

        for (size_t n = timers_read(timers); n-- > 0;)
                next = timers[n].due < next ? timers[n].due : next;
        return next;
}

void world_block_came(uint64_t id) {
        if (tree_has(STORE "/onlines"))
                timer_add((pid_t) id, "online", tree_number(STORE "/onlines") * MSEC);
}

/* As udev's rules of some machines do. */
static void block_online(int id) {
        char path[PATH_MAX];

        (void) snprintf(path, sizeof(path), BLOCKS "/memory%d/state", id);
        if (tree_has("%s", path))
                sim_trace("somebody else: online > %s = %d", path, kernel_attr_write(path, "online"));
}

static void happens(const Timer *t) {
        if (strcmp(t->what, "online") == 0) {
                block_online(t->pid);
                return;
        }
        if (strcmp(t->what, "start") == 0) {
                process_copy(t->pid, 1);
                return;
        }
        if (!process_is(t->pid))
                return;
        if (strcmp(t->what, "goes-on") == 0 && process_state(t->pid) == 'D')
                process_state_put(t->pid, 'S');
        else if (strcmp(t->what, "continued") == 0) {
                sim_trace("somebody sets process %d going again", t->pid);
                (void) process_go_on(t->pid);
        } else if (strcmp(t->what, "terminated") == 0)
                process_pending_put(t->pid, SIGTERM, true);
        else if (strcmp(t->what, "killed") == 0)
                process_pending_put(t->pid, SIGKILL, true);
        process_act(t->pid);
        char group[TEXT];
        group_of(t->pid, group);
        if (*group && process_is(t->pid))
                group_tell(group);
}

void world_turn(void) {
        Timer timers[TIMERS], due[TIMERS];
        uint64_t now = sim_now();
        size_t n = timers_read(timers), kept = 0, n_due = 0;

        for (size_t i = 0; i < n; i++)
                if (timers[i].due <= now)
                        due[n_due++] = timers[i];
                else
                        timers[kept++] = timers[i];
        if (n_due == 0)
                return;
        timers_write(timers, kept);
        for (size_t i = 0; i < n_due; i++)
                happens(&due[i]);
}
