/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

/* Workers are started for the daemon here, in the guard's unit and with its rights, so that the daemon needs none. A process of its own does
 * it (the starter), which the guard only keeps there: neither a start nor a program that comes slowly from a disk delays a press.
 *
 * One connection to /run/safe-remove/workers is one worker (docs/PROTOCOL.md, "Guard"). Whose connection ends is gone: his worker is killed, with
 * all that it has started, and nobody gets another one before it has died; a few seconds later all the same, for one that sits in the kernel is
 * known by its record. A guard that ends takes no worker along: its starter takes no more orders and stays until the last one has ended. */

typedef struct Workers Workers;

/* NULL where it cannot be, which is logged: presses are answered all the same. The caller ignores SIGCHLD; nobody waits for a starter. */
Workers *workers_new(sd_event *event);
void workers_free(Workers *w);
