/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <systemd/sd-event.h>

#include "base/json.h"
#include "base/run-dir.h"

/* Who listens to the guard: the daemon, over the socket /run/safe-remove/guard (SOCK_SEQPACKET, one JSON object a message). Nobody but root
 * and the guard's own user gets in. A listener that does not read is dropped, and hears all that counts when it comes again. */

typedef struct Peers Peers;

typedef struct PeersHandler {
        void (*message)(json_object *message, void *userdata);
        void (*gone)(unsigned left, void *userdata);
} PeersHandler;

int peers_new(sd_event *event, const PeersHandler *handler, void *userdata, Peers **ret);
void peers_free(Peers *p);

#define GUARD_SOCKET "guard" /* its name, for run_socket() */

/* To all of them (`p` may be NULL: to nobody). Takes over `message`. */
void peers_tell(Peers *p, json_object *message);
