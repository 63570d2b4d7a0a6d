/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors on the way to somebody else. */
#include <linux/io_uring.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pin.h"

typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(2 * sizeof(int))];
} Control;

/* What may be sent: an io_uring may not (net/core/scm.c:scm_fp_copy), lest it should hold itself. */
static size_t sendable(const Pins *pins, int ret[2]) {
        size_t n = 0;

        if (pins->pipe >= 0)
                ret[n++] = pins->pipe;
        if (pins->xdp >= 0)
                ret[n++] = pins->xdp;
        return n;
}

static void close_all(const int *fds, size_t n) {
        for (size_t i = 0; i < n; i++)
                (void) close(fds[i]);
}

/* The byte tells the number of the ring, 255 for none. */
static int send_and_close(int socket, Pins *pins) {
        int fds[2];
        size_t n = sendable(pins, fds);
        Control control = {};
        unsigned char byte = (unsigned char) pins->ring;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

        if (n > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n * sizeof(int));
                control.header = (struct cmsghdr) {
                        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int)),
                };
                memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
        }
        if (sendmsg(socket, &message, 0) < 0)
                return complain("sendmsg");

        close_all(fds, n);
        pins->pipe = pins->xdp = -1;
        return 0;
}

static int take_ring(int number) {
        int parent = (int) syscall(SYS_pidfd_open, getppid(), 0);
        if (parent < 0)
                return complain("pidfd_open");

        int ring = (int) syscall(SYS_pidfd_getfd, parent, number, 0);
        (void) close(parent);
        return ring < 0 ? complain("pidfd_getfd") : ring;
}

static int keep(int socket) {
        Control control = {};
        unsigned char byte;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
        };

        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0)
                return complain("recvmsg");
        if (byte != (unsigned char) -1 && take_ring(byte) < 0)
                return -1;
        if (send(socket, &byte, 1, 0) < 0)
                return complain("send");
        (void) close(socket);
        for (;;)
                (void) pause();
}

/* The child has nothing but what is handed to it: what it inherited it lets go of. */
static pid_t have_keeper(int socket) {
        pid_t child = fork();

        if (child < 0)
                return complain("fork");
        if (child > 0)
                return child;
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int fd = 3; fd < 64; fd++)
                if (fd != socket)
                        (void) close(fd);
        _exit(keep(socket) < 0);
}

int pass_on(Pins *pins) {
        unsigned char byte;
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return complain("socketpair");

        pid_t child = have_keeper(ends[0]);
        (void) close(ends[0]);
        if (child < 0 || send_and_close(ends[1], pins) < 0)
                return -1;
        if (recv(ends[1], &byte, 1, 0) != 1)
                return complain("recv");
        (void) close(ends[1]);
        if (pins->ring >= 0)
                (void) close(pins->ring);
        pins->ring = -1;
        return child;
}

int leave_in_queue(Pins *pins) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
                return complain("socketpair");
        return send_and_close(ends[1], pins);
}

int hide_in_ring(Pins *pins) {
        struct io_uring_params params = {};
        int fds[2];
        size_t n = sendable(pins, fds);

        if (n == 0)
                return 0;
        int ring = (int) syscall(SYS_io_uring_setup, 4, &params);
        if (ring < 0)
                return complain("io_uring_setup");
        if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, fds, n) < 0)
                return complain("IORING_REGISTER_FILES");
        close_all(fds, n);
        pins->pipe = pins->xdp = -1;
        return 0;
}
