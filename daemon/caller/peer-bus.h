/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#define BUS_NAME "org.saferemove1"

/* D-Bus from peer to peer, at the server's end, with the rights and the name that a bus would see to. `in` and `out` may be the same; they are
 * the connection's from now on (and -EBADF), whatever comes of it. What is not read is kept in the socket up to `unread` bytes. */
int peer_bus_new(int *in, int *out, int unread, sd_bus **ret);
