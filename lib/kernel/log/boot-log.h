/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/log/kmsg.h"

/* What the kernel's log of this boot tells of PCI functions, of those that are gone as well: it outlives the card, and whoever was not there to
 * look at it. What was overwritten before anybody took it down is not known any more. */
typedef struct LogEntry {
        char *bdf;
        uint32_t class;         /* of a function that was found: 0x010802 */
        char *controller;       /* else: what its driver calls it ("nvme0") */
        uint64_t sequence;      /* of the last record that says so */
} LogEntry;

typedef struct BootLog {
        LogEntry *items;        /* a slot may have had several cards */
        size_t n_items, n_allocated;
        bool begun;
        uint64_t first, last;   /* sequence numbers of the oldest and the newest record: none in between is missing, what was said before is not known */
        uint64_t changed;       /* and of the newest one that said any of this, or with which it begins */
} BootLog;

void boot_log_done(BootLog *l);

#define _cleanup_boot_log_ _cleanup_(boot_log_done)

/* Reads all of it, and goes on from what the guard has kept of the records that were overwritten meanwhile, where none is missing in between. A
 * negative errno, and nothing is known: it could not be read to its end. */
int boot_log_load(BootLog *l);

/* Takes in one record: that of a function that was found (drivers/pci/probe.c:pci_setup_device), and that of an NVMe controller
 * (drivers/nvme/host/pci.c:nvme_probe), which is another function's, or nobody's, when it is said anew. The kernel's own alone count. One that
 * was taken already says nothing new; after one that is missing all begins anew, as it does where there are more functions than
 * anybody remembers. 0 or -ENOMEM. */
int boot_log_take(BootLog *l, const KmsgRecord *record);

/* The one that is called so now; or NULL. */
const LogEntry *boot_log_controller(const BootLog *l, const char *controller);

/* What is known, as it is kept in /run. Of a file that is of another boot, or is not to be understood, nothing is: -ENOENT, -EBADMSG, or another
 * negative errno. */
int boot_log_keep(const BootLog *l);
int boot_log_kept(BootLog *ret);
