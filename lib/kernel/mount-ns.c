/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/mount-ns.h"

/* From linux/nsfs.h of 6.12; Debian 12's headers are older. */
struct mnt_ns_info {
        uint32_t size, nr_mounts;
        uint64_t mnt_ns_id;
};

#ifndef NS_GET_USERNS
#define NS_GET_USERNS _IO(0xb7, 1)
#endif

#ifndef NS_MNT_GET_NEXT
#define NS_MNT_GET_NEXT _IOR(0xb7, 11, struct mnt_ns_info)
#define NS_MNT_GET_PREV _IOR(0xb7, 12, struct mnt_ns_info)
#endif

void mount_ns_list_done(MountNsList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].path);
        free(l->items);
        *l = (MountNsList) { 0 };
}

int mount_ns_add(MountNsList *l, uint64_t id, int pid, char *path) {
        _cleanup_free_ char *owned = path;

        for (size_t i = 0; i < l->n_items; i++)
                if (l->items[i].id == id)
                        return 0;
        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
        if (r < 0)
                return r;
        l->items[l->n_items++] = (MountNs) { .id = id, .pid = pid, .path = TAKE_PTR(owned) };
        return 0;
}

int mount_ns_parse(const char *name, uint64_t *ret) {
        const char *number = startswith(name, "mnt:["), *end = number ? strchr(number, ']') : NULL;
        _cleanup_free_ char *digits = end ? strndup(number, (size_t) (end - number)) : NULL;

        return digits && streq(end, "]") ? parse_u64(digits, ret) : -EBADMSG;
}

int mount_ns_id(const char *path, uint64_t *ret) {
        _cleanup_free_ char *name = NULL;

        int r = link_readf(&name, "%s", path);
        return r < 0 ? r : mount_ns_parse(name, ret);
}

int mount_ns_host(uint64_t *ret) {
        return mount_ns_id("/proc/1/ns/mnt", ret);
}

/* Takes over the path. Who ends meanwhile is no error: the namespace goes too, or somebody else is in it. */
static int add_path(MountNsList *l, int pid, char *path) {
        _cleanup_free_ char *owned = path;
        uint64_t id;

        if (!owned)
                return -ENOMEM;
        return mount_ns_id(owned, &id) < 0 ? 0 : mount_ns_add(l, id, pid, TAKE_PTR(owned));
}

/* The folder of threads counts them as links, besides the two that every folder has (fs/proc/base.c:proc_task_getattr). */
static bool has_threads(const char *pid) {
        _cleanup_free_ char *path = strf("/proc/%s/task", pid);
        struct stat st;

        return path && stat(path, &st) >= 0 && st.st_nlink > 3;
}

/* A thread may have a namespace of its own. */
static int add_process(MountNsList *l, const char *pid) {
        _cleanup_listing_ Listing threads = { 0 };
        uint64_t number;

        if (parse_u64(pid, &number) < 0)
                return 0;
        int r = add_path(l, (int) number, strf("/proc/%s/ns/mnt", pid));
        if (r < 0 || !has_threads(pid) || listing_readf(&threads, "/proc/%s/task", pid) < 0)
                return r;
        for (size_t i = 0; i < threads.n && r >= 0; i++)
                r = add_path(l, (int) number, strf("/proc/%s/task/%s/ns/mnt", pid, threads.names[i]));
        return r;
}

static int fd_id(int fd, uint64_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

/* Walks along all mount namespaces of the kernel from the host's in one direction. visit() returns 0 to go on. -ENOTTY before
 * 6.12. */
static int walk(unsigned long direction, int (*visit)(int fd, void *data), void *data) {
        _cleanup_close_ int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

        while (fd >= 0) {
                struct mnt_ns_info info = { .size = sizeof(info) };

                int r = visit(fd, data);
                if (r != 0)
                        return r;
                int next = ioctl(fd, direction, &info);
                close(fd);
                fd = next;
        }
        return errno == ENOENT ? 0 : -errno;
}

/* The user namespace of PID 1 and who it is asked of. */
typedef struct Walk {
        MountNsList *list;
        uint64_t host_users;
} Walk;

static bool belongs_elsewhere(int fd, uint64_t host_users) {
        _cleanup_close_ int users = ioctl(fd, NS_GET_USERNS);
        uint64_t id;

        return users < 0 || fd_id(users, &id) < 0 || id != host_users;
}

static int visit_add(int fd, void *data) {
        Walk *w = data;
        size_t before = w->list->n_items;
        uint64_t id;

        int r = fd_id(fd, &id);
        if (r >= 0)
                r = mount_ns_add(w->list, id, 0, NULL);
        if (r >= 0 && w->list->n_items > before)
                w->list->items[before].foreign = belongs_elsewhere(fd, w->host_users);
        return r;
}

/* Where it cannot be opened its process tells: nobody is in one of lesser users than his own. */
static bool is_foreign(const MountNs *ns, uint64_t host_users) {
        const char *end = strstr(ns->path, "/ns/mnt");
        _cleanup_free_ char *folder = end ? strndup(ns->path, (size_t) (end - ns->path)) : NULL, *theirs = NULL, *ours = NULL;

        _cleanup_close_ int fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0)
                return belongs_elsewhere(fd, host_users);
        return folder && link_readf(&theirs, "%s/ns/user", folder) >= 0 && link_readf(&ours, "/proc/1/ns/user") >= 0 && !streq(theirs, ours);
}

static uint64_t users_of_host(void) {
        struct stat st;

        return stat("/proc/1/ns/user", &st) < 0 ? 0 : st.st_ino;
}

int mount_ns_list(MountNsList *l) {
        _cleanup_listing_ Listing processes = { 0 };
        Walk w = { .list = l, .host_users = users_of_host() };

        int r = listing_readf(&processes, "/proc");
        for (size_t i = 0; i < processes.n && r >= 0; i++)
                r = add_process(l, processes.names[i]);
        if (r >= 0)
                r = walk(NS_MNT_GET_NEXT, visit_add, &w);
        if (r >= 0)
                r = walk(NS_MNT_GET_PREV, visit_add, &w);
        if (r == -ENOTTY)
                r = mount_ns_list_kept(l);
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                if (l->items[i].path)
                        l->items[i].foreign = is_foreign(&l->items[i], w.host_users);
        return r;
}

typedef struct Wanted {
        uint64_t id;
        int fd;
} Wanted;

static int visit_find(int fd, void *data) {
        Wanted *w = data;
        uint64_t id;

        int r = fd_id(fd, &id);
        if (r < 0 || id != w->id)
                return r;
        w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        return w->fd < 0 ? -errno : 1;
}

int mount_ns_open(uint64_t id, const char *path) {
        static const unsigned long directions[] = { NS_MNT_GET_NEXT, NS_MNT_GET_PREV };
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        Wanted wanted = { .id = id, .fd = -EBADF };
        uint64_t found = 0;

        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -EBADF;
        if (fd >= 0 && fd_id(fd, &found) >= 0 && found == id)
                return TAKE_FD(fd);

        for (size_t i = 0; i < ELEMENTSOF(directions); i++) {
                int r = walk(directions[i], visit_find, &wanted);
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

int mount_ns_text(const MountNs *ns, char **ret) {
        const char *end = ns->path ? strstr(ns->path, "/ns/mnt") : NULL;
        _cleanup_free_ char *folder = end ? strndup(ns->path, (size_t) (end - ns->path)) : NULL;
        _cleanup_free_ char *root = NULL, *path = NULL, *text = NULL;
        uint64_t id;

        if (!end)
                return -EAGAIN;
        path = folder ? strf("%s/mountinfo", folder) : NULL;
        if (!path)
                return -ENOMEM;
        int r = link_readf(&root, "%s/root", folder);
        if (r < 0 || !streq(root, "/"))
                return r == -ENOMEM ? r : -EAGAIN;
        r = read_file(path, &text, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EAGAIN;
        if (mount_ns_id(ns->path, &id) < 0 || id != ns->id)
                return -EAGAIN;
        *ret = TAKE_PTR(text);
        return 0;
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

int mount_ns_read(int proc_fd, MountEntries *l) {
        _cleanup_free_ char *text = NULL;

        int r = read_file_at(proc_fd, "self/mountinfo", &text, NULL);
        return r < 0 ? r : mountinfo_parse(text, l);
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
