/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "base/json.h"
#include "kernel/held-slot.h"

/* Who listens to the guard: the daemon, over the socket /run/safe-remove/guard (SOCK_SEQPACKET, one JSON object a message). Nobody but root
 * and the guard's own user gets in. A listener that does not read is dropped, and hears all that counts when it comes again. */

typedef struct Peers Peers;

typedef struct PeersHandler {
        void (*message)(json_object *message, void *userdata);
        void (*gone)(unsigned left, void *userdata);
} PeersHandler;

int peers_new(sd_event *event, const PeersHandler *handler, void *userdata, Peers **ret);
void peers_free(Peers *p);

/* Where the socket is. -ENAMETOOLONG, or -ENOMEM. */
static inline int guard_address(struct sockaddr_un *ret) {
        _cleanup_free_ char *path = strf("%s/guard", run_dir());

        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (!path || strlen(path) >= sizeof(ret->sun_path))
                return path ? -ENAMETOOLONG : -ENOMEM;
        strcpy(ret->sun_path, path);
        return 0;
}

/* To all of them (`p` may be NULL: to nobody). Takes over `message`. */
void peers_tell(Peers *p, json_object *message);
