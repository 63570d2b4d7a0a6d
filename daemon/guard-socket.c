/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/run-dir.h"
#include "daemon/guard-socket.h"

int guard_connect(const char *name) {
        struct sockaddr_un address;

        int r = run_socket(name, &address);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int guard_listen(const char *name, int backlog) {
        struct sockaddr_un address;

        int r = run_socket(name, &address);
        return r < 0 ? r : run_listen(&address, SOCK_SEQPACKET, true, backlog);
}

int guard_accept(int listener) {
        return run_accept(listener, true, NULL);
}
