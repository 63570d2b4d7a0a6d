/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* The system manager, PID 1, asked through the socket that it has for root alone (/run/systemd/private): what systemctl does, without a
 * process for each question, and without a bus that anybody can keep busy. This is the one file of lib/ that knows sd-bus.
 *
 * Each function makes a connection of its own and waits no longer than `timeout_usec` (base/clock.h: time_for()) for everything together.
 * 0, or a negative errno with *ret_why newly allocated (NULL without memory): -ENOENT where there is no such manager, -ETIME when it
 * does not answer in time, -EIO when it says no. What it was asked for before may be done still: a manager serves its oldest message
 * first, so what is asked of it later, by whomever, comes after that. */

/* The properties of units, loaded for that where they are not yet: {"NAME": {"Id": "NAME", "ActiveState": "active", ...}}, by the names asked
 * for (array of strings). Texts, flags, numbers and lists of texts as what they are in JSON; of any other list nothing but its
 * length, as that many nulls; what is nothing of these is left out. */
int system_manager_show(json_object *names, uint64_t timeout_usec, json_object **ret, char **ret_why);

/* The files that it has read for a unit, in the order in which they count (later wins): array of paths, which the caller owns. A unit that there is
 * not has none. */
int system_manager_files(const char *unit, uint64_t timeout_usec, json_object **ret, char **ret_why);

/* Queues a job for each of them, in their order, going on past one that is refused: "StopUnit", "StartUnit". With `wait` it comes back when the
 * last job has ended, and a job that failed is -EIO. */
int system_manager_queue(const char *method, json_object *names, bool wait, uint64_t timeout_usec, char **ret_why);

/* Has the manager do something at once, and waits for its end: "FreezeUnit" and "ThawUnit" of a unit, "Reload" with no unit (NULL). */
int system_manager_do(const char *method, const char *unit, uint64_t timeout_usec, char **ret_why);
