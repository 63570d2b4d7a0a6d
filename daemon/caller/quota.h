/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* How much may be said to a user in the text of replies. Who never reads leaves it with the bus, which takes only so much from a service,
 * and then nothing more for anybody. So there is a store for each user that fills up as time passes; root has no end to his. */

typedef struct Quota Quota;

int quota_new(Quota **ret);

/* The same for whatever else is counted: `full` of it at once, and one more in each `usec`. */
int quota_new_of(int64_t full, uint64_t usec, Quota **ret);

void quota_free(Quota *q); /* NULL is fine */

/* Takes the bytes at that time (monotonic). Only an empty store says no, so that an answer of any size can be had. */
bool quota_take(Quota *q, uint32_t user, size_t bytes, uint64_t now);
bool quota_has(Quota *q, uint32_t user, uint64_t now); /* is it not empty? */

/* What has been said already. So far below nothing that it is made up for in seconds, not in hours. */
void quota_owe(Quota *q, uint32_t user, size_t bytes, uint64_t now);
