/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/memory/memory-groups.h"
#include "kernel/memory/node-memory.h"

#define CGROUPS "/sys/fs/cgroup"

enum {
        DEPTH_MAX = 32,
};

typedef struct Look {
        const int *nodes;
        size_t n;
        uint64_t deadline;
        MemoryGroups *groups;
} Look;

static void group_done(MemoryGroup *g) {
        free(g->cgroup);
        free(g->mems);
}

void memory_groups_done(MemoryGroups *g) {
        for (size_t i = 0; i < g->n_items; i++)
                group_done(&g->items[i]);
        free(g->items);
}

/* The one line of a small file; NULL where the controller is not there. */
static int read_line(int dir, const char *name, char **ret) {
        _cleanup_free_ char *text = NULL;

        int r = read_file_at(dir, name, &text, NULL);
        if (r == -ENOENT || r == -EOPNOTSUPP) {
                *ret = NULL;
                return 0;
        }
        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int memory_stat_anonymous(const char *text, uint64_t *ret) {
        const char *value = startswith(text, "anon ");

        if (!value) {
                value = strstr(text, "\nanon ");
                value = value ? value + strlen("\nanon ") : "";
        }
        _cleanup_free_ char *number = strndup(value, strcspn(value, "\n"));
        if (!number)
                return -ENOMEM;
        return parse_u64(number, ret) < 0 ? -EBADMSG : 0;
}

static int read_anonymous(int dir, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;

        int r = read_file_at(dir, "memory.stat", &text, NULL);
        return r == -ENOENT ? 0 : r < 0 ? r : memory_stat_anonymous(text, ret);
}

int swap_left_parse(const char *max, const char *current, uint64_t *ret) {
        uint64_t m, c;

        if (!max || !current || streq(max, "max")) {
                *ret = UINT64_MAX;
                return 0;
        }
        if (parse_u64(max, &m) < 0 || parse_u64(current, &c) < 0)
                return -EBADMSG;
        *ret = m > c ? m - c : 0;
        return 0;
}

static int read_swap_left(int dir, uint64_t *ret) {
        _cleanup_free_ char *max = NULL, *current = NULL;

        int r = read_line(dir, "memory.swap.max", &max);
        if (r >= 0)
                r = read_line(dir, "memory.swap.current", &current);
        return r < 0 ? r : swap_left_parse(max, current, ret);
}

static int read_pid(int dir, int *ret) {
        _cleanup_free_ char *line = NULL;
        uint64_t pid = 0;

        int r = read_line(dir, "cgroup.procs", &line);
        if (r < 0)
                return r == -EOPNOTSUPP ? 0 : r; /* a threaded group */
        if (line && *line && (parse_u64(line, &pid) < 0 || pid > INT32_MAX))
                return -EBADMSG;
        *ret = (int) pid;
        return 0;
}

static int read_group(Look *l, int dir, const char *path, uint64_t swap_left) {
        MemoryGroup g = { .swap_left = swap_left };

        int r = read_pid(dir, &g.pid);
        if (r < 0 || g.pid == 0)
                return r;
        r = read_line(dir, "cpuset.mems.effective", &g.mems);
        if (r >= 0 && g.mems)
                r = node_list_within(g.mems, l->nodes, l->n);
        g.bound = r > 0;
        if (r >= 0)
                r = read_anonymous(dir, &g.anonymous);
        if (r >= 0)
                r = vec_grow((void **) &l->groups->items, l->groups->n_items, &l->groups->n_allocated, sizeof(g));
        g.cgroup = r >= 0 ? strdup(path) : NULL;
        if (r >= 0 && !g.cgroup)
                r = -ENOMEM;
        if (r < 0) {
                group_done(&g);
                return r;
        }
        l->groups->items[l->groups->n_items++] = g;
        return 0;
}

/* A group that ended meanwhile is none, and not one that could not be looked at. */
static int taken(Look *l, int r) {
        if (r < 0 && r != -ENOMEM && r != -ENOENT && r != -ENODEV)
                l->groups->complete = false;
        return r == -ENOMEM ? r : 0;
}

/* `swap_left` is what the groups above leave to it. The root is passed over: only kernel threads are in it, and what it says of
 * memory is said of the whole machine. */
static int walk(Look *l, int parent, const char *name, const char *path, uint64_t swap_left, unsigned depth) {
        uint64_t own = UINT64_MAX;

        _cleanup_close_ int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir < 0)
                return taken(l, -errno);
        if (depth >= DEPTH_MAX || now_monotonic() >= l->deadline)
                return taken(l, -ETIME);

        int r = read_swap_left(dir, &own);
        if (own < swap_left)
                swap_left = own;
        if (r >= 0 && *path)
                r = read_group(l, dir, path, swap_left);
        r = taken(l, r);
        if (r < 0)
                return r;
        _cleanup_close_ int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *d = copy < 0 ? NULL : fdopendir(copy);
        if (!d)
                return taken(l, -errno);
        (void) TAKE_FD(copy);
        for (struct dirent *e; (e = readdir(d));) {
                if (e->d_type != DT_DIR || e->d_name[0] == '.')
                        continue;
                _cleanup_free_ char *below = strf("%s/%s", path, e->d_name);
                r = below ? walk(l, dir, e->d_name, below, swap_left, depth + 1) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        return 0;
}

int memory_groups_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryGroups *ret) {
        MemoryGroups groups = { .complete = true };
        Look l = { .nodes = nodes, .n = n, .groups = &groups, .deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX };

        if (access(CGROUPS "/cgroup.controllers", F_OK) < 0)
                groups.complete = false;
        else {
                int r = walk(&l, AT_FDCWD, CGROUPS, "", UINT64_MAX, 0);
                if (r < 0) {
                        memory_groups_done(&groups);
                        return r;
                }
        }
        *ret = groups;
        return 0;
}

/* Whoever could not be looked at is taken to be free to swap: the limit is then the swap itself. */
static uint64_t sum_up(const MemoryGroups *g, uint64_t free, bool limits) {
        uint64_t sum = 0;

        if (!g->complete)
                return free;
        for (size_t i = 0; i < g->n_items && sum < free; i++) {
                const MemoryGroup *m = &g->items[i];
                sum += limits && m->swap_left < m->anonymous ? m->swap_left : m->anonymous;
        }
        return sum < free ? sum : free;
}

uint64_t memory_groups_swappable(const MemoryGroups *g, uint64_t free) {
        return sum_up(g, free, true);
}

uint64_t memory_groups_anonymous(const MemoryGroups *g, uint64_t free) {
        return sum_up(g, free, false);
}

const char *memory_group_unit(const MemoryGroup *g) {
        const char *name = strrchr(g->cgroup, '/') + 1, *dot = strrchr(name, '.');

        if (!dot || (!streq(dot, ".service") && !streq(dot, ".scope")) || streq(name, "init.scope") || startswith(name, "safe-remove"))
                return NULL;
        return name;
}
