/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "holders/pins/pin-holder.h"
#include "holders/protect.h"
#include "holders/process.h"
#include "kernel/users/rdma-regions.h"

/* The inside of pins_scan(). */

typedef struct PinScan {
        const CardMemory *memory;
        size_t n_memory;
        const Holders *holders;         /* or NULL */
        uint64_t deadline;              /* monotonic */
        Protection protection;
        RdmaRegions rdma;
        FilePages *files;               /* NULL: /proc must do */
        Pins *pins;                     /* borrowed */
} PinScan;

/* What was found about one process, by kind. */
typedef struct Evidence {
        char *found;                    /* NULL: nothing; the first that is certain, else the first */
        PinGrade grade;
        uint64_t bytes;
} Evidence;

typedef struct PinLook {
        PinScan *scan;
        int pid, dirfd;                 /* /proc/PID */
        int living;                     /* another thread's where the first one has ended, else -EBADF */
        uint64_t vm_pin, vm_lck;
        IdMap files;                    /* that were looked at already: several descriptors may be of one */
        bool explained;                 /* what it has pinned was seen, and is not of the card */
        Evidence evidence[_PIN_KIND_MAX];
} PinLook;

/* Where to read what all threads share. */
static inline int pin_look_shared(const PinLook *l) {
        return process_shared(l->dirfd, l->living);
}

/* Whoever ended, and what was closed meanwhile, pins nothing; what else goes wrong makes the scan incomplete. -ENOMEM or 0. */
int pin_scan_note(PinScan *s, int pid, int error);

/* Gathers all evidence about the process. 0 or a negative errno. */
int pin_look_at_process(PinLook *l);
