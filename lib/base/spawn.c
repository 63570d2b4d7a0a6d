/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/spawn.h"

enum {
        CHUNK = 64 * 1024,
};

static void attributes_destroyp(posix_spawnattr_t **a) {
        if (*a)
                (void) posix_spawnattr_destroy(*a);
}

static void actions_destroyp(posix_spawn_file_actions_t **a) {
        if (*a)
                (void) posix_spawn_file_actions_destroy(*a);
}

static int attributes_set(posix_spawnattr_t *a, bool own_group) {
        short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        sigset_t none, all;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        int r = posix_spawnattr_setsigmask(a, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(a, &all);
        if (r == 0)
                r = posix_spawnattr_setpgroup(a, 0);
        if (r == 0)
                r = posix_spawnattr_setflags(a, own_group ? (short) (flags | POSIX_SPAWN_SETPGROUP) : flags);
        return r;
}

static int actions_set(posix_spawn_file_actions_t *a, const Spawn *s) {
        int r = posix_spawn_file_actions_adddup2(a, s->in, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(a, s->out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(a, s->err, STDERR_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(a, STDERR_FILENO + 1);
        return r;
}

int spawn_process(const Spawn *s, pid_t *ret) {
        posix_spawn_file_actions_t actions_storage;
        posix_spawnattr_t attributes_storage;

        int r = posix_spawnattr_init(&attributes_storage);
        if (r != 0)
                return -r;
        _cleanup_(attributes_destroyp) _unused_ posix_spawnattr_t *attributes = &attributes_storage;
        r = posix_spawn_file_actions_init(&actions_storage);
        if (r != 0)
                return -r;
        _cleanup_(actions_destroyp) _unused_ posix_spawn_file_actions_t *actions = &actions_storage;

        r = attributes_set(&attributes_storage, s->own_group);
        if (r == 0)
                r = actions_set(&actions_storage, s);
        if (r == 0)
                r = posix_spawn(ret, s->path, &actions_storage, &attributes_storage, (char *const *) s->argv, s->environment);
        return -r;
}

static void signals_reset(void) {
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void) signal(i, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void wait_and_become(const Spawn *s, int gate, pid_t parent) {
        char go;

        signals_reset();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || (s->own_group && setpgid(0, 0) < 0) || read(gate, &go, 1) != 1)
                _exit(EXIT_FAILURE);
        if (dup2(s->in, STDIN_FILENO) < 0 || dup2(s->out, STDOUT_FILENO) < 0 || dup2(s->err, STDERR_FILENO) < 0 ||
            syscall(SYS_close_range, STDERR_FILENO + 1u, ~0u, 0u) < 0)
                _exit(EXIT_FAILURE);
        (void) execve(s->path, (char *const *) s->argv, s->environment);
        dprintf(STDERR_FILENO, "%s: %s", s->path, strerror(errno));
        _exit(127);
}

int spawn_waiting(const Spawn *s, int *ret_go, pid_t *ret) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int gate = fds[0];
        _cleanup_close_ int go = fds[1];
        pid_t parent = getpid(), pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                close(go);
                wait_and_become(s, gate, parent);
        }
        *ret_go = TAKE_FD(go);
        *ret = pid;
        return 0;
}

int read_to_end(int fd, uint64_t deadline, size_t max, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0, allocated = 0;
        ssize_t n = -1;

        while (n != 0) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                uint64_t now = now_monotonic();

                if (size > max)
                        return -EFBIG;
                if (allocated - size <= CHUNK) {
                        allocated = allocated * 2 + 2 * CHUNK;
                        char *grown = realloc(text, allocated);
                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                }
                if (now >= deadline)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int) ((deadline - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
                        return -errno;
                n = p.revents ? read(fd, text + size, CHUNK) : -1;
                if (n < 0 && p.revents && errno != EINTR)
                        return -errno;
                size += n > 0 ? (size_t) n : 0;
        }
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}
