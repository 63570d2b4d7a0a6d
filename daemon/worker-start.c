/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "base/spawn.h"
#include "worker-start.h"

#define WORKER_NAME "safe-remove-worker"

int worker_process_start(const char *verb, pid_t *ret_pid, int *ret_fd) {
        const char *path = getenv("SAFE_REMOVE_WORKER") ?: LIBEXEC_DIR "/" WORKER_NAME, *const argv[] = { WORKER_NAME, verb, NULL };
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];
        const Spawn worker = {
                .path = path,
                .argv = argv,
                .environment = environ,
                .in = theirs,
                .out = theirs,
                .err = STDERR_FILENO,
                .own_group = true,
        };

        int r = spawn_process(&worker, ret_pid);
        if (r < 0)
                return r;

        *ret_fd = TAKE_FD(ours);
        return 0;
}
