/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A descriptor that nobody has, since it waits in a socket: whose socket that is is told. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "holders/scan/in-flight.h"
#include "tests/unit/own-processes.h"

enum { CANNOT_RUN = 77 };

static void test_count(void) {
        uint64_t n = 4711;

        CHECK_INT(in_flight_count("pos:\t0\nino:\t9\nscm_fds: 2\n", &n), 0);
        CHECK_INT(n, 2);
        CHECK_INT(in_flight_count("pos:\t0\nscm_fds:\t17\nmore: 1\n", &n), 0);
        CHECK_INT(n, 17);
        CHECK_INT(in_flight_count("pos:\t0\nino:\t9\n", &n), -ENOENT);
        CHECK_INT(in_flight_count("pos:\t0\nscm_fds: many\n", &n), -EINVAL);
        CHECK_INT(n, 17);
}

static void send_descriptor(void) {
        union {
                struct cmsghdr head;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
        char byte = 0;
        struct iovec text = { &byte, 1 };
        struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space) };
        int fds[2], file = open("/dev/null", O_RDONLY | O_CLOEXEC);

        CHECK(file >= 0);
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        memcpy(CMSG_DATA(&control.head), &file, sizeof(int));
        CHECK_INT(sendmsg(fds[0], &m, 0), 1);
        CHECK_INT(close(file), 0);
}

int main(void) {
        _cleanup_free_ char *before = NULL, *text = NULL;

        test_count();
        if (!see_own_processes())
                return CANNOT_RUN;
        int r = in_flight_text(10 * USEC_PER_SEC, &before);
        if (r == -EOPNOTSUPP)
                return CANNOT_RUN;
        CHECK_INT(r, 0);
        CHECK_STR(before, NULL);

        pid_t pid = waiting_child_start(send_descriptor);
        _cleanup_free_ char *want = strf("1 descriptor waits in a socket of process %d (test-in-flight), /proc/%d/fdinfo/", pid, pid);
        CHECK_INT(in_flight_text(10 * USEC_PER_SEC, &text), 0);
        waiting_child_end(pid);
        CHECK(text && startswith(text, want));
        return EXIT_SUCCESS;
}
