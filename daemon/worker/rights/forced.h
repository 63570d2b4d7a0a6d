/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker/removal/removal.h"

/* At a removal's end: for the kernel's audit log, a record for each word of force of which a step was begun, for an erasure, for processes that were
 * ended, stopped or frozen, and where inhibitors were passed over; `res` is whether the card is out. Where that log takes no more, why (newly allocated); the removal has ended all the same. */
char *forced_audit(const Removal *m, Outcome outcome);
