/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/util.h"

/* Connections over the socket that everybody may connect to, /run/safe-remove/daemon/public. A flooded bus daemon serves nobody in time, so here are
 * turns: one message of each user's at a time, however many connections he has. Nothing of it is read further than that: a message comes to
 * D-Bus' library only when it is there as a whole, is short, has no descriptors, and the one before has been answered as far as that goes at
 * once; so nothing that somebody sends, or does not read, is kept here. */

typedef struct Public Public;

/* A new connection: registers the objects. */
typedef int (*public_serve_t)(sd_bus *bus, void *userdata);

/* Makes the socket, in the place of an older one. */
int public_new(sd_event *event, public_serve_t serve, void *userdata, Public **ret);
void public_free(Public *p); /* NULL is fine */
DEFINE_CLEANUP_FUNC(Public, public_free)

/* Is the connection one of these? Then who is at its other end, by the kernel's word. */
bool public_who(const Public *p, const sd_bus *bus, uint32_t *ret_uid, uint32_t *ret_pid);

/* Tells all of them, and closes those that do not read what they are told. */
void public_tell(Public *p, int (*tell)(sd_bus *bus, void *userdata), void *userdata);
