/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "base/fileio.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/sysfs/attr.h"

typedef struct Wanted {
        uint64_t id;
        int fd;
} Wanted;

static int visit_find(int fd, void *data) {
        Wanted *w = data;
        uint64_t id;

        int r = mount_ns_id_of(fd, &id);
        if (r < 0 || id != w->id)
                return r;
        w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return w->fd < 0 ? -errno : 1;
}

/* The namespaces that are still to be visited, and who visits them. */
typedef struct Visit {
        const MountNs *items;
        IdMap left;             /* by id; places of those that were visited are in `seen` */
        bool *seen;
        size_t n_seen;
        bool ended;             /* by who visits them */
        int (*visit)(const MountNs *ns, int fd, void *data);
        void *data;
} Visit;

static void visit_done(Visit *v) {
        id_map_done(&v->left);
        free(v->seen);
}

static int visit_one(int fd, void *data) {
        Visit *v = data;
        uint64_t id;
        size_t i;

        int r = mount_ns_id_of(fd, &id);
        if (r < 0 || !id_map_find(&v->left, id, &i) || v->seen[i])
                return r;
        v->seen[i] = true;
        v->n_seen++;
        r = v->visit(&v->items[i], fd, v->data);
        v->ended = r != 0;
        return r;
}

static int visit_rest(Visit *v, size_t n) {
        int walked = mount_ns_walk(NS_MNT_GET_NEXT, visit_one, v), r = 0;

        if (walked == 0)
                walked = mount_ns_walk(NS_MNT_GET_PREV, visit_one, v);
        if (walked == 0 || v->ended)
                return walked;
        for (size_t i = 0; i < n && r == 0; i++) {
                /* Where the kernel cannot be walked: somebody else may be in it by now. */
                _cleanup_close_ int fd = v->seen[i] ? -EBADF : walked == -ENOTTY ? mount_ns_open(v->items[i].id, v->items[i].path) : walked;
                if (!v->seen[i] && fd != -ENOENT && fd != -ESRCH)
                        r = v->visit(&v->items[i], fd, v->data);
        }
        return r;
}

int mount_ns_open_each(const MountNs *items, size_t n, int (*visit)(const MountNs *ns, int fd, void *data), void *data) {
        _cleanup_(visit_done) Visit v = { .items = items, .seen = calloc(n + 1, sizeof(bool)), .visit = visit, .data = data };
        int r = v.seen ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = id_map_add(&v.left, items[i].id, i);
        for (size_t i = 0; i < n && r >= 0; i++) {
                _cleanup_close_ int fd = items[i].path ? open(items[i].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -EBADF;
                r = fd >= 0 ? visit_one(fd, &v) : 0;
                if (r != 0)
                        return r;
        }
        return r < 0 || v.n_seen == n ? r : visit_rest(&v, n);
}

int mount_ns_open(uint64_t id, const char *path) {
        static const unsigned long directions[] = { NS_MNT_GET_NEXT, NS_MNT_GET_PREV };
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        Wanted wanted = { .id = id, .fd = -EBADF };
        uint64_t found = 0;

        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -EBADF;
        if (fd >= 0 && mount_ns_id_of(fd, &found) >= 0 && found == id)
                return TAKE_FD(fd);

        for (size_t i = 0; i < ELEMENTSOF(directions); i++) {
                int r = mount_ns_walk(directions[i], visit_find, &wanted);
                if (r == -ENOTTY)
                        break;
                if (r != 0)
                        return r < 0 ? r : wanted.fd;
        }

        /* A kernel that cannot be walked. */
        int r = mount_ns_list(&l);
        for (size_t i = 0; i < l.n_items && r >= 0; i++)
                if (l.items[i].id == id && l.items[i].path) {
                        int other = open(l.items[i].path, O_RDONLY | O_CLOEXEC);
                        return other < 0 ? -errno : other;
                }
        return r < 0 ? r : -ENOENT;
}

int mount_ns_text(const MountNs *ns, size_t max, char **ret) {
        _cleanup_free_ char *folder = mount_ns_process_folder(ns), *root = NULL, *path = NULL, *text = NULL;
        size_t length;
        uint64_t id;

        if (!folder)
                return -EAGAIN;
        path = strf("%s/mountinfo", folder);
        if (!path)
                return -ENOMEM;
        int r = link_readf(&root, "%s/root", folder);
        if (r < 0 || !streq(root, "/"))
                return r == -ENOMEM ? r : -EAGAIN;
        r = read_file_at_most(AT_FDCWD, path, max, &text, &length);
        if (r < 0)
                return r == -ENOMEM || r == -EFBIG ? r : -EAGAIN;
        if (mount_ns_id(ns->path, &id) < 0 || id != ns->id)
                return -EAGAIN;
        *ret = TAKE_PTR(text);
        return (int) length;
}

int mount_ns_enter(int fd) {
        return setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

int mount_ns_enter_host(void) {
        uint64_t host;

        int r = mount_ns_host(&host);
        if (r < 0)
                return r;
        _cleanup_close_ int ns = mount_ns_open(host, "/proc/1/ns/mnt");
        return ns < 0 ? ns : mount_ns_enter(ns);
}

int mount_ns_read(int proc_fd, size_t max, MountEntries *l) {
        _cleanup_free_ char *text = NULL;
        size_t length;

        int r = read_file_at_most(proc_fd, "self/mountinfo", max, &text, &length);
        if (r >= 0)
                r = mountinfo_parse(text, l);
        return r < 0 ? r : (int) length;
}

int mount_id_of(int proc_fd, int fd, uint64_t *ret) {
        _cleanup_free_ char *text = NULL, *info = strf("self/fdinfo/%d", fd);

        if (!info)
                return -ENOMEM;
        int r = read_file_at(proc_fd, info, &text, NULL);
        if (r < 0)
                return r;

        const char *id = strstr(text, "mnt_id:");
        if (!id)
                return -EBADMSG;
        *ret = strtoull(id + strlen("mnt_id:"), NULL, 10);
        return 0;
}

int mount_id_at(int proc_fd, const char *path, uint64_t *ret) {
        /* O_PATH: the file system is not called, and nothing is held once it is closed again. */
        _cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : mount_id_of(proc_fd, fd, ret);
}

int mount_place_open(int proc_fd, const char *target, uint64_t id) {
        uint64_t found = 0;

        _cleanup_close_ int fd = path_open_straight(target);
        int r = fd < 0 ? fd : mount_id_of(proc_fd, fd, &found);
        return r < 0 ? r : found != id ? -ESTALE : TAKE_FD(fd);
}
