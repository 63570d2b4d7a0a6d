/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "recorded/snapshot-processes.h"

enum {
        TABLE_MAX = 16 * 1024 * 1024,
        GROUPS_DEEP = 16,
};

#define GROUPS "/sys/fs/cgroup"

typedef struct Look {
        Emit *e;
        char **spaces;          /* mount namespaces that are recorded */
        size_t n_spaces, n_spaces_allocated;
        char **disks;           /* where disks other than the root are mounted */
        size_t n_disks, n_disks_allocated;
        char **daemons;         /* numbers of automounters */
        size_t n_daemons, n_daemons_allocated;
        char *mems;             /* the memory nodes of the root of all groups */
} Look;

static void strings_free(char **strings, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(strings[i]);
        free(strings);
}

static bool has_string(char **strings, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (streq(strings[i], s))
                        return true;
        return false;
}

static void note(Look *l, int r) {
        if (r < 0)
                l->e->error = l->e->error ?: r;
}

static char *of_process(const char *pid, const char *name) {
        return strf("/proc/%s/%s", pid, name);
}

/* "90 25 259:1 / /srv rw shared:46 - ext4 /dev/nvme0n1p1 rw": where it is mounted, if that is a disk. And "pgrp=812" of an automounter. */
static void take_mount(Look *l, char *line) {
        char *rest = strstr(line, " - "), *pgrp = strstr(line, "pgrp="), *target = line;
        char type[64], source[PATH_MAX + 1];

        if (pgrp && isdigit((unsigned char) pgrp[5])) {
                _cleanup_free_ char *number = strndup(pgrp + 5, strspn(pgrp + 5, "0123456789"));
                note(l, number ? strings_add(&l->daemons, &l->n_daemons, &l->n_daemons_allocated, number) : -ENOMEM);
        }
        if (!rest || sscanf(rest, " - %63s %4096s", type, source) != 2 || !startswith(source, "/dev/"))
                return;
        for (int i = 0; i < 4 && target; i++)
                target = strchr(target, ' ') ? strchr(target, ' ') + 1 : NULL;
        _cleanup_free_ char *path = target ? strndup(target, strcspn(target, " ")) : NULL;
        if (path && !streq(path, "/") && !has_string(l->disks, l->n_disks, path))
                note(l, strings_add(&l->disks, &l->n_disks, &l->n_disks_allocated, path));
}

static void take_mounts(Look *l, const char *path) {
        _cleanup_free_ char *text = NULL;

        if (read_file_at_most(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0)
                return;
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));)
                take_mount(l, line);
}

static void record_links(Look *l, const char *pid) {
        static const char *const names[] = { "root", "ns/mnt", "ns/user" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = of_process(pid, names[i]);
                if (path)
                        emit_link(l->e, path);
        }
}

static void record_space(Look *l, const char *pid) {
        _cleanup_free_ char *space = of_process(pid, "ns/mnt"), *root = of_process(pid, "root"), *name = NULL, *top = NULL,
                            *mountinfo = of_process(pid, "mountinfo"), *group = of_process(pid, "cgroup");

        if (!space || !root || !mountinfo || !group || read_link_at(AT_FDCWD, space, &name) < 0 || read_link_at(AT_FDCWD, root, &top) < 0 ||
            !streq(top, "/") || has_string(l->spaces, l->n_spaces, name) || !emit_file(l->e, mountinfo, TABLE_MAX))
                return;
        note(l, strings_add(&l->spaces, &l->n_spaces, &l->n_spaces_allocated, name));
        take_mounts(l, mountinfo);
        record_links(l, pid);
        if (l->n_spaces > 1)
                (void) emit_file(l->e, group, 0);
}

/* Nodes that say nothing of a disk or a card. */
static bool is_common_node(const char *name) {
        static const char *const names[] = { "null", "full", "random", "urandom", "tty", "pts/", "ptmx", "console", "kmsg", "input/", "dri/", "snd/", "fuse",
                                             "shm/", "mqueue", "hugepages/", "rtc", "hpet", "net/tun", "log" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (startswith(name, names[i]))
                        return true;
        return false;
}

static bool is_of_disk(const Look *l, const char *path) {
        const char *node = startswith(path, "/dev/");

        if (node)
                return !is_common_node(node);
        for (size_t i = 0; i < l->n_disks; i++) {
                const char *rest = startswith(path, l->disks[i]);
                if (rest && (*rest == '/' || !*rest))
                        return true;
        }
        return false;
}

static bool link_is_of_disk(const Look *l, const char *path) {
        _cleanup_free_ char *target = NULL;

        return read_link_at(AT_FDCWD, path, &target) >= 0 && is_of_disk(l, target);
}

/* The lines of disks' files alone: "7f12-7f13 rw-s 0 103:1 12 /srv/x". Where they are in the process is its own affair. */
static char *mappings(const Look *l, const char *pid) {
        _cleanup_free_ char *path = of_process(pid, "maps"), *text = NULL, *kept = strdup("");
        unsigned long at = 0x10000;

        if (!path || !kept || read_file_at_most(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0)
                return NULL;
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                const char *file = strchr(line, '/'), *more = strchr(line, ' ');
                unsigned long from, to;

                if (!file || !more || !is_of_disk(l, file) || sscanf(line, "%lx-%lx", &from, &to) != 2)
                        continue;
                if (text_add(&kept, "", "%08lx-%08lx%s\n", at, at + (to - from), more) < 0)
                        return NULL;
                at += to - from + 0x10000;
        }
        return TAKE_PTR(kept);
}

/* Open files of disks. Whether there are any. */
static bool record_files(Look *l, const char *pid, bool record) {
        _cleanup_free_ char *folder = of_process(pid, "fd");
        _cleanup_(closedirp) DIR *d = folder ? opendir(folder) : NULL;
        bool any = false;

        for (struct dirent *f; d && (f = readdir(d));) {
                _cleanup_free_ char *link = strf("%s/%s", folder, f->d_name), *info = strf("/proc/%s/fdinfo/%s", pid, f->d_name);
                if (!link || !info || !isdigit((unsigned char) f->d_name[0]) || !link_is_of_disk(l, link))
                        continue;
                any = true;
                if (!record)
                        break;
                emit_link(l->e, link);
                (void) emit_file(l->e, info, 0);
        }
        return any;
}

static void record_holder(Look *l, const char *pid, const char *maps) {
        static const char *const files[] = { "stat", "status", "comm", "cgroup" };
        static const char *const folders[] = { "map_files", "fd", "fdinfo" };
        _cleanup_free_ char *maps_path = of_process(pid, "maps"), *exe = of_process(pid, "exe"), *cwd = of_process(pid, "cwd"),
                            *numa = of_process(pid, "numa_maps");

        if (!maps_path || !exe || !cwd || !numa) {
                note(l, -ENOMEM);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *path = of_process(pid, folders[i]);
                if (path)
                        emit_folder(l->e, path);
        }
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = of_process(pid, files[i]);
                if (path)
                        (void) emit_file(l->e, path, 0);
        }
        emit_text(l->e, maps_path, maps ?: "", maps ? strlen(maps) : 0);
        emit_text(l->e, numa, "", 0);
        emit_link(l->e, exe);
        emit_link(l->e, cwd);
        record_links(l, pid);
        (void) record_files(l, pid, true);
}

/* Threads of journals, automounters, and writers of ours that a removal has left behind. */
static void record_named(Look *l, const char *pid) {
        static const char *const journals[] = { "jbd2/", "xfsaild/", "f2fs_" };
        _cleanup_free_ char *comm_path = of_process(pid, "comm"), *stat_path = of_process(pid, "stat"), *group = of_process(pid, "cgroup"), *comm = NULL,
                            *stat = NULL;

        if (!comm_path || !stat_path || !group)
                return;
        (void) read_file(comm_path, &comm, NULL);
        for (size_t i = 0; comm && i < ELEMENTSOF(journals); i++)
                if (startswith(comm, journals[i]))
                        (void) emit_file(l->e, comm_path, 0);
        if (read_file(stat_path, &stat, NULL) >= 0 && strstr(stat, "(safe-remove-wor"))
                (void) emit_file(l->e, stat_path, 0);
        if (has_string(l->daemons, l->n_daemons, pid))
                (void) emit_file(l->e, group, 0);
}

static void record_process(Look *l, const char *pid) {
        static const char *const links[] = { "exe", "cwd", "root" };
        _cleanup_free_ char *maps = mappings(l, pid);
        bool holds = (maps && *maps) || record_files(l, pid, false);

        record_named(l, pid);
        for (size_t i = 0; i < ELEMENTSOF(links) && !holds; i++) {
                _cleanup_free_ char *path = of_process(pid, links[i]);
                holds = path && link_is_of_disk(l, path);
        }
        if (holds)
                record_holder(l, pid, maps);
}

/* A group that may use other memory nodes than all others; the groups of the first processes do not matter. */
static void record_group(Look *l, const char *folder, unsigned depth) {
        static const char *const names[] = { "cpuset.mems", "cpuset.mems.effective", "cgroup.procs", "memory.stat", "memory.max", "memory.current" };
        _cleanup_free_ char *path = strf("%s/cpuset.mems.effective", folder), *mems = NULL;
        _cleanup_(closedirp) DIR *d = opendir(folder);
        bool other = path && read_file(path, &mems, NULL) >= 0 && !streq_ptr(mems, l->mems);

        for (size_t i = 0; i < ELEMENTSOF(names) && other && depth > 0; i++) {
                _cleanup_free_ char *file = strf("%s/%s", folder, names[i]);
                if (file)
                        (void) emit_file(l->e, file, 0);
        }
        for (struct dirent *g; d && depth < GROUPS_DEEP && (g = readdir(d));) {
                _cleanup_free_ char *inner = strf("%s/%s", folder, g->d_name);
                if (inner && g->d_type == DT_DIR && g->d_name[0] != '.')
                        record_group(l, inner, depth + 1);
        }
}

static int by_number(const struct dirent **a, const struct dirent **b) {
        return strverscmp((*a)->d_name, (*b)->d_name);
}

static int is_number(const struct dirent *e) {
        _cleanup_free_ char *own = strf("%d", getpid());

        return isdigit((unsigned char) e->d_name[0]) && !streq_ptr(own, e->d_name);
}

void snapshot_processes(Emit *e) {
        struct dirent **pids = NULL;
        Look l = { .e = e };

        int n = scandir("/proc", &pids, is_number, by_number);
        for (int i = 0; i < n; i++)
                record_space(&l, pids[i]->d_name);
        for (int i = 0; i < n; i++) {
                record_process(&l, pids[i]->d_name);
                free(pids[i]);
        }
        free(pids);
        (void) read_file(GROUPS "/cpuset.mems.effective", &l.mems, NULL);
        record_group(&l, GROUPS, 0);
        strings_free(l.spaces, l.n_spaces);
        strings_free(l.disks, l.n_disks);
        strings_free(l.daemons, l.n_daemons);
        free(l.mems);
}
