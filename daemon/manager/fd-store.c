/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "fd-store.h"

int store_notify(const char *state, const int *fds, size_t n) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(2 * sizeof(int))];
        } control = { 0 };
        struct iovec text = { .iov_base = (char *) state, .iov_len = strlen(state) };
        size_t length = path ? strlen(path) : 0;

        if (length == 0 || length >= sizeof(address.sun_path) || !strchr("/@", *path))
                return 0;
        memcpy(address.sun_path, path, length);
        if (*path == '@')
                *address.sun_path = '\0';
        struct msghdr m = {
                .msg_name = &address, .msg_namelen = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length + (*path == '/')),
                .msg_iov = &text, .msg_iovlen = 1,
        };
        if (n > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(n * sizeof(int));
                control.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
        }
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 1;
}
