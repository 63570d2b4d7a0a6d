/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors on the way to somebody else. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pin.h"

typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(3 * sizeof(int))];
} Control;

static int send_and_close(int socket, Pins *pins) {
        const int fds[] = { pins->ring, pins->pipe, pins->xdp };
        Control control = {};
        char byte = 0;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control };
        size_t n = 0;

        for (size_t i = 0; i < 3; i++)
                if (fds[i] >= 0)
                        memcpy(CMSG_DATA(&control.header) + n++ * sizeof(int), &fds[i], sizeof(int));
        if (n == 0)
                return 0;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.header = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int)) };
        if (sendmsg(socket, &message, 0) < 0)
                return complain("sendmsg");

        for (size_t i = 0; i < 3; i++)
                if (fds[i] >= 0)
                        (void) close(fds[i]);
        *pins = (Pins) { -1, -1, -1 };
        return 0;
}

static int keep(int socket) {
        Control control = {};
        char byte;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
        };

        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0)
                return complain("recvmsg");
        (void) close(socket);
        for (;;)
                (void) pause();
}

/* The child has nothing but what comes through the socket: it is there before anything is mapped, so it is not asked for here but
 * made to let go of what it inherited. */
int pass_on(Pins *pins) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
                return complain("socketpair");

        pid_t child = fork();
        if (child < 0)
                return complain("fork");
        if (child == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (int fd = 3; fd < 64; fd++)
                        if (fd != ends[0])
                                (void) close(fd);
                _exit(keep(ends[0]) < 0);
        }
        (void) close(ends[0]);
        return send_and_close(ends[1], pins) < 0 ? -1 : child;
}

int leave_in_queue(Pins *pins) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
                return complain("socketpair");
        return send_and_close(ends[1], pins);
}
