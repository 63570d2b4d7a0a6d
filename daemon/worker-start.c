/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>

#include "base/util.h"
#include "worker-start.h"

#define WORKER_NAME "safe-remove-worker"

static void attributes_destroyp(posix_spawnattr_t **a) {
        if (*a)
                (void) posix_spawnattr_destroy(*a);
}

static void actions_destroyp(posix_spawn_file_actions_t **a) {
        if (*a)
                (void) posix_spawn_file_actions_destroy(*a);
}

/* sd-event has signals blocked in us, and a blocked mask survives exec. */
static int set_attributes(posix_spawnattr_t *a) {
        sigset_t none, all;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);

        int r = posix_spawnattr_setsigmask(a, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(a, &all);
        if (r == 0)
                r = posix_spawnattr_setpgroup(a, 0);
        if (r == 0)
                r = posix_spawnattr_setflags(a,
                                POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
        return -r;
}

static int spawn_with(const char *path, const char *verb, int fd, posix_spawn_file_actions_t *actions, pid_t *ret) {
        char *const argv[] = { (char *) WORKER_NAME, (char *) verb, NULL };
        posix_spawnattr_t storage;

        int r = posix_spawnattr_init(&storage);
        if (r != 0)
                return -r;
        _cleanup_(attributes_destroyp) _unused_ posix_spawnattr_t *attributes = &storage;

        r = set_attributes(&storage);
        if (r < 0)
                return r;
        r = posix_spawn_file_actions_adddup2(actions, fd, STDIN_FILENO);
        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_adddup2(actions, fd, STDOUT_FILENO);
        if (r != 0)
                return -r;
        return -posix_spawn(ret, path, actions, &storage, argv, environ);
}

int worker_process_start(const char *verb, pid_t *ret_pid, int *ret_fd) {
        const char *path = getenv("SAFE_REMOVE_WORKER") ?: LIBEXEC_DIR "/" WORKER_NAME;
        posix_spawn_file_actions_t storage;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];

        int r = posix_spawn_file_actions_init(&storage);
        if (r != 0)
                return -r;
        _cleanup_(actions_destroyp) _unused_ posix_spawn_file_actions_t *actions = &storage;

        r = spawn_with(path, verb, theirs, actions, ret_pid);
        if (r < 0)
                return r;

        *ret_fd = TAKE_FD(ours);
        return 0;
}
