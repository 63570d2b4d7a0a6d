/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What is on record of cards that were pulled, or died, without having been removed: STATE_DIR/incidents/ID/incident.json, "safe-remove/incident/1" (docs/PROTOCOL.md). Their
 * numbers are their own. The newest hundred are kept. All of it may wait for a disk without end, which is for a worker alone. */

/* Gives it the next number as "id" and writes it down durably. 0 or a negative errno. */
int incident_record(json_object *incident);

/* "": the newest. -ENOENT: there is none; -EINVAL: no number; -EPROTONOSUPPORT: a newer version's. New reference. */
int incident_read(const char *id, json_object **ret);

/* Newest first: [{"id", "slot", "found_usec", "cause", "removal", "outcome", "message"}]. What cannot be read is left out. 0 or a negative errno. */
int incident_list(json_object **ret);

/* What the kernel has said since then (its log's clock, near the monotonic one), as ["[12.345678] text"]: the newest thousand records at most. New reference;
 * an empty array where the log cannot be read. */
json_object *incident_kernel_log(uint64_t since_usec);

/* Adds {"usec": wall clock, "what"} to a timeline. */
void timeline_add(json_object *timeline, uint64_t wall_usec, const char *what);

/* Adds what the removal of that number did and when, and the kernel's records since then that name one of `names` (an array of strings). */
void timeline_add_removal(json_object *timeline, const char *id);
void timeline_add_kernel(json_object *timeline, uint64_t since_usec, json_object *names);

/* In the order of time. */
void timeline_sort(json_object *timeline);
