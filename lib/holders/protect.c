/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "holders/protect.h"
#include "holders/message-bus.h"

void protection_done(Protection *p) {
        free(p->pids);
        *p = (Protection) { 0 };
}

static bool has_pid(const Protection *p, int pid) {
        for (size_t i = 0; i < p->n_pids; i++)
                if (p->pids[i] == pid)
                        return true;
        return false;
}

static int parent_of(int pid, int *ret) {
        ProcessStat st;

        _cleanup_free_ char *path = strf("/proc/%d", pid);
        if (!path)
                return -ENOMEM;
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return -errno;
        int r = process_stat(dirfd, &st);
        if (r < 0)
                return r;
        *ret = st.ppid;
        return 0;
}

/* A process and whatever it descends from. The line of one that ended meanwhile ends there. */
static int add_with_ancestors(Protection *p, int pid) {
        while (pid > 0 && !has_pid(p, pid)) {
                int r = vec_grow((void **) &p->pids, p->n_pids, &p->n_allocated, sizeof(int));
                if (r < 0)
                        return r;
                p->pids[p->n_pids++] = pid;
                r = parent_of(pid, &pid);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        return 0;
        }
        return 0;
}

/* The leader of a session keeps its number from being given to another process, as long as the session has members. */
int protection_find(const HoldTargets *targets, Protection *ret) {
        _cleanup_(protection_done) Protection p = { .targets = targets };

        int r = add_with_ancestors(&p, getpid());
        for (size_t i = 0; i < targets->n_protect_sessions && r >= 0; i++)
                r = add_with_ancestors(&p, targets->protect_sessions[i]);
        if (r < 0)
                return r;
        *ret = p;
        p = (Protection) { 0 };
        return 0;
}

bool protection_covers(const Protection *p, int pid, const ProcessStat *st, const char *unit) {
        if (pid == 1 || st->kernel_thread || has_pid(p, pid) || unit_is_message_bus(unit))
                return true;
        for (size_t i = 0; i < p->targets->n_protect_sessions; i++)
                if (st->session == p->targets->protect_sessions[i])
                        return true;
        return false;
}
