/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/run-dir.h"
#include "guard-socket.h"

int guard_connect(const char *name) {
        struct sockaddr_un address;

        int r = run_socket(name, &address);
        return r < 0 ? r : run_connect(&address, SOCK_SEQPACKET);
}

int guard_listen(const char *name, int backlog) {
        struct sockaddr_un address;

        int r = run_socket(name, &address);
        return r < 0 ? r : run_listen(&address, SOCK_SEQPACKET, RUN_GROUP, backlog);
}

int guard_accept(int listener) {
        return run_accept(listener, true, NULL);
}

int guard_send(int link, const char *text, int fd) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct iovec iov = { .iov_base = (char *) text, .iov_len = strlen(text) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        *c = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
        return sendmsg(link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* There is room for a second one, which comes as well then and is nobody's. */
static void take_one(const int *fds, size_t n, int *ret_fd) {
        for (size_t i = 1; i < n; i++)
                close(fds[i]);
        if (n > 0)
                *ret_fd = fds[0];
}

ssize_t guard_receive(int link, char *buffer, size_t size, int flags, int *ret_fd) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { .iov_base = buffer, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };

        ssize_t n = recvmsg(link, &message, flags | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;
        const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                take_one((const int *) (const void *) CMSG_DATA(c), (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), ret_fd);
        return n;
}
