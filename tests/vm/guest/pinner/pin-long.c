/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pins that last as long as a descriptor does. */
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pin.h"

enum {
        PACKET_SIZE = 4096,
};

int pin_by_ring(void *start, size_t length) {
        struct io_uring_params params = {};
        struct iovec buffer = { .iov_base = start, .iov_len = length };

        int ring = (int) syscall(SYS_io_uring_setup, 4, &params);
        if (ring < 0)
                return complain("io_uring_setup");

        return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0 ? complain("io_uring_register") : ring;
}

/* A pipe has 16 slots, for a page each. The end that reads keeps them. */
int pin_by_pipe(void *start, size_t length) {
        struct iovec given = { .iov_base = start, .iov_len = length };
        int ends[2];

        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return complain("pipe2");

        if (vmsplice(ends[1], &given, 1, 0) < 0)
                return complain("vmsplice");
        (void) close(ends[1]);
        return ends[0];
}

int pin_by_xdp(void *start, size_t length) {
        const struct xdp_umem_reg memory = {
                .addr = (unsigned long) start, .len = length, .chunk_size = PACKET_SIZE,
        };

        int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return complain("socket");

        return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory)) < 0 ? complain("XDP_UMEM_REG") : fd;
}
