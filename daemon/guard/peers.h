/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/json.h"

/* Who listens to the guard: the daemon, over the socket /run/safe-remove/guard (source/guard-socket.h says who gets in). A
 * listener that does not read is dropped, and hears all that counts when it comes again. Whoever has said nothing yet (a daemon before its
 * first word, or who looks on) hears everything and counts for nobody. */

typedef struct Peers Peers;

typedef struct PeersHandler {
        void (*message)(json_object *message, void *userdata);
        void (*gone)(unsigned left, void *userdata); /* of those who have spoken */
} PeersHandler;

/* NULL where it cannot be, which is logged: presses are held all the same, and given back. */
Peers *peers_new(sd_event *event, const PeersHandler *handler, void *userdata);
void peers_free(Peers *p);

/* To all of them (`p` may be NULL: to nobody). Takes over `message`. False: nobody who counts has heard it. */
bool peers_tell(Peers *p, json_object *message);
