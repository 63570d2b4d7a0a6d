/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What all processes of a simulated machine have in common beside its tree: the clock, the count of what has happened, and what is to go wrong. Made by
 * whoever plays a history (machine.py has the same layout), in STORE "/shared". */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
        SIM_PROCESSES = 32,
        SIM_FAULTS = 8,
        SIM_MATCH = 64,
};

/* What happens at an event instead of what was asked for. Those with an error leave everything as it is; "late" ones have their effect first. */
typedef enum FaultKind {
        FAULT_NONE,
        FAULT_ERROR,            /* arg: errno */
        FAULT_LATE_ERROR,       /* arg: errno */
        FAULT_NOTHING,          /* says that all went well, and does nothing */
        FAULT_HALF,             /* says so, and leaves out what arg has as bits (model.h, Half) */
        FAULT_HANG,             /* has its effect and does not come back; arg: for so many milliseconds of simulated time, 0: for ever */
        FAULT_LATE,             /* the same, and has its effect only then */
        FAULT_KILL_BEFORE,      /* the worker, and whoever acts for it */
        FAULT_KILL_AFTER,
        FAULT_KILL_WORKER,      /* the worker alone: whoever acts for it goes on, and ends then */
        FAULT_TORN,             /* of a write to the records: so many parts of 256 of it are written, and then KILL */
        FAULT_CANCEL,           /* before it the worker is told that the removal is called off */
        FAULT_ACTOR,            /* before it somebody else acts: what, STORE "/actors/ARG" has (actor.c) */
        FAULT_ACTOR_AFTER,
        FAULT_KILL,             /* before it, whoever arg has as bits (Who) */
} FaultKind;

/* Of those who are there when whole daemons are played. */
typedef enum Who {
        WHO_WORKER = 1 << 0,    /* and whoever acts for it */
        WHO_DAEMON = 1 << 1,
        WHO_GUARD = 1 << 2,
} Who;

typedef struct Fault {
        uint32_t event;         /* the number of the event: among all, for `touch` among those that change the machine, and with `match` among those
                                 * whose words have that in them; 0: none */
        uint32_t kind;
        int64_t arg;
        uint32_t times;         /* so often; 0: for ever. From the second time on at what asks for the same, or for `wide` at any of its sort */
        uint32_t wide;
        uint32_t hit;
        uint32_t touch;
        uint64_t what;          /* of the first time, for comparison */
        uint32_t seen;          /* so many have had what is to be matched */
        char match[SIM_MATCH];
} Fault;

typedef struct SimProcess {
        _Atomic int32_t pid;            /* 0: free */
        _Atomic uint64_t until;         /* waits, at most until then (simulated, nanoseconds); 0: until something happens */
} SimProcess;

typedef struct SimShared {
        _Atomic uint64_t ahead;         /* nanoseconds that the machine's clock is ahead of this one's */
        _Atomic uint64_t wall_ahead;    /* the same of its wall clock alone, may be negative */
        _Atomic uint64_t journal_length; /* bytes of the journal that was written to last */
        _Atomic uint64_t touched_length; /* what that was when somebody was about to write to the machine for the last time */
        _Atomic uint32_t n_events;
        _Atomic uint32_t n_touches;     /* of them those that change the machine, and not the records */
        _Atomic int32_t worker;         /* its process */
        _Atomic int32_t daemon, guard;  /* 0: that is not there */
        uint32_t whole;                 /* whole daemons are played: the worker is who writes a removal's record, and the clock is the workers' alone */
        uint32_t n_faults;
        Fault faults[SIM_FAULTS];
        SimProcess processes[SIM_PROCESSES];
} SimShared;

/* events.c. NULL where no history is played. */
SimShared *shared(void);

/* Something that changes the machine (`to_machine`) or the records is about to happen: `what` says it in words, and `same` what it has in common with the
 * next attempt. What is to happen instead, with its argument. */
FaultKind event_comes(const char *what, const char *same, bool to_machine, int64_t *ret_arg);
/* It has happened, or been refused. */
void event_ends(FaultKind kind, int64_t arg);

/* clock.c. A process of the machine: no time passes while it runs. */
void process_known(int pid);

uint64_t sim_now(void); /* nanoseconds, monotonic */
void sim_sleep_until(uint64_t deadline);
