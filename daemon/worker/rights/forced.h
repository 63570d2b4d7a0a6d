/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker/removal/removal.h"

/* At a removal's end: the texts for the kernel's audit log, one for each word of force of which a step was begun, for a complaint of the kernel
 * that was acknowledged, for an erasure, for processes that were
 * ended, stopped or frozen, and where inhibitors were passed over; `res` is whether the card is out. */
json_object *forced_records(const Removal *m, Outcome outcome);

/* Has them written in another process, within 2 s. Where that log takes no more, why (newly allocated); the removal has ended all the same, which is told
 * before (see asker_audit()). */
char *forced_audit(json_object *records);
