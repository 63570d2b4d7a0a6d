/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <spawn.h>

#include "base/spawn.h"

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
