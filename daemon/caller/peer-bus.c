/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "peer-bus.h"

static int configure(sd_bus *bus, int in, int out, int unread) {
        sd_id128_t id;

        int r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_set_sender(bus, BUS_NAME);
        if (r >= 0)
                r = sd_bus_start(bus);
        /* sd-bus takes 8 MiB where it may. */
        return r < 0 ? r : setsockopt(out, SOL_SOCKET, SO_SNDBUF, &unread, sizeof(unread)) < 0 ? -errno : 0;
}

int peer_bus_new(int *in, int *out, int unread, sd_bus **ret) {
        _cleanup_close_ int reads = TAKE_FD(*in), writes = in == out ? -EBADF : TAKE_FD(*out);
        int output = writes < 0 ? reads : writes, input = reads;
        sd_bus *bus = NULL;

        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, input, output);
        if (r >= 0) {
                TAKE_FD(reads);
                TAKE_FD(writes);
                r = configure(bus, input, output, unread);
        }
        if (r < 0)
                sd_bus_close_unref(bus);
        else
                *ret = bus;
        return r;
}
