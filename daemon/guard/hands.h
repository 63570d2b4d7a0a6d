/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/util.h"

/* The guard's hands: processes that were made ready before there was anything to do, so that between a press and the hold nothing has to be
 * started. Taking a driver off a port can hang in the kernel; then one hand hangs, and neither the guard nor the next slot. */

typedef enum HandWork {
        HAND_HOLD = 'h',       /* mark the slot as held, take pciehp off its port, let its power LED blink */
        HAND_GIVE = 'g',       /* the way back: lights, driver, mark */
} HandWork;

typedef struct Hands Hands;

/* `why` is NULL when it was done, else says in a line why not. It may give the next piece of work. */
typedef void (*hand_done_t)(HandWork work, const char *port, const char *why, void *userdata);

int hands_new(sd_event *event, hand_done_t done, void *userdata, Hands **ret);
void hands_free(Hands *h);

/* What a slot is held for. */
typedef struct HandPress {
        uint64_t sequence;     /* the number of the kernel's record that is answered by it, or 0 */
        uint64_t usec;         /* when it was heard; 0: of no press */
} HandPress;

/* 0, or a negative errno when no process could be had. */
int hands_work(Hands *h, HandWork work, const char *port, HandPress press);

/* Pieces of work that are not done. */
unsigned hands_busy(const Hands *h);
