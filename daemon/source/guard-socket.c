/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
