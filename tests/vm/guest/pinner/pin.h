/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What the command line asks for. */
typedef struct Request {
        const char *path;       /* the card's device, or the number of a node */
        bool node;              /* its memory instead of a device's */
        size_t size;            /* of the mapping */
        size_t offset;          /* where in the device it begins */
        size_t at, length;      /* what of it is pinned; length 0: all of it */
        bool ring, pipe, xdp, peek;
        const char *direct;     /* a block device that is read into it, without end */
        bool unmap, close, fork;
        bool dup;               /* a second descriptor of each stays, whatever becomes of the first */
        bool hide;              /* descriptors of pipes and sockets are kept by an io_uring alone */
        bool pass, queue;       /* hand descriptors to a child; leave them in a socket's queue */
        bool stubborn;
} Request;

/* What pins: a descriptor each, -1 for none. */
typedef struct Pins {
        int ring, pipe, xdp;
} Pins;

/* All return 0 or a descriptor, or -1 after saying on standard error what failed. */
int complain(const char *what);

int pin_by_ring(void *start, size_t length);
int pin_by_pipe(void *start, size_t length);
int pin_by_xdp(void *start, size_t length);

/* These pin again and again, for a moment each: a process of its own does it, whose pid they return. */
int peek_forever(const void *start, size_t length);
int read_forever(const char *device, void *start, size_t length);

/* To a child that keeps them, whose pid is returned: through a socket, but for the ring, which the kernel lets nobody send and the
 * child takes by pidfd_getfd(2). Ours are closed. */
int pass_on(Pins *pins);

/* Through a socket to nobody, or into the table of files of an io_uring. Ours are closed, but for the ring. 0 or -1. */
int leave_in_queue(Pins *pins);
int hide_in_ring(Pins *pins);
