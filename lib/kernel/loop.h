/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* Loop devices. Their setup as JSON: {"backing_file", "offset", "sizelimit", "flags", "block_size"}; flags are the kernel's
 * LO_FLAGS_ bits. */

/* What the kernel says; the path of the file as seen from the host's root. -ENXIO: nothing is bound to it. */
int loop_read(const char *name, uint64_t timeout_usec, json_object **ret);

/* Is its file a deleted one, of which it has the last hold? By the file's numbers, since a name may really end in "(deleted)"; where
 * the kernel or the file does not answer, by the name alone. */
bool loop_has_last_hold(const char *name, uint64_t timeout_usec);

/* Lets go of the file. With the device open elsewhere the kernel says yes and does it when the last one closes it: look at
 * loop_is_bound(). */
int loop_detach(const char *name, uint64_t timeout_usec);
bool loop_is_bound(const char *name);

/* Whether it lets go of its file by itself once nobody has it open (umount of `mount -o loop`). */
int loop_set_autoclear(const char *name, bool autoclear, uint64_t timeout_usec);

/* Binds the setup to that very device, which is made where it is not there. Autoclear is left off: without an opener it would
 * let go at once. */
int loop_attach(const char *name, json_object *setup, uint64_t timeout_usec);
