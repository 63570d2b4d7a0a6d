/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/kmsg.h"

/* What the kernel's log of this boot tells of PCI functions, of those that are gone as well: it outlives the card, and whoever was not there to
 * look at it. What was overwritten meanwhile is not known any more. */
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
        uint64_t first;         /* sequence number of the oldest record: what was said before is not known any more */
} BootLog;

void boot_log_done(BootLog *l);

#define _cleanup_boot_log_ _cleanup_(boot_log_done)

/* Reads all of it. 0, or a negative errno with what was read until then. */
int boot_log_load(BootLog *l);

/* Takes in one record: that of a function that was found (drivers/pci/probe.c:pci_setup_device), and that of an NVMe controller
 * (drivers/nvme/host/pci.c:nvme_probe), which is another function's, or nobody's, when it is said anew. The kernel's own alone count. 0 or
 * -ENOMEM. */
int boot_log_take(BootLog *l, const KmsgRecord *record);

/* The one that is called so now; or NULL. */
const LogEntry *boot_log_controller(const BootLog *l, const char *controller);
