/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/json.h"

/* Whose turn a caller's is. Who may map ranges of user numbers (subuid(5), newuidmap(1)) can call under each of them and under his own
 * number, and would have as many turns and quotas: all of them are one user, by the lowest of: the number that passwd(5) has for the name, or
 * the first of the ranges where it has none; those whose ranges overlap are one. A number in no range is its own, and so is root, whose
 * ranges are one user of their own. A worker reads the files (worker/sub-uid.c), at the start, and again once they have been asked about and some time
 * is over: this is what it said last, so that another answer may come later. What a caller may do and see is asked of his own number, never of this. */
uint32_t sub_uid_user(uint32_t uid);

/* Has them read, now and later. */
void sub_uid_begin(sd_event *event);
void sub_uid_end(void);

/* They are these from now on: an array of {"first", "last", "user"}, in order and without overlap; or -ENOMEM. */
int sub_uid_take(json_object *list);
