/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mount-ns-budget.h"
#include "kernel/process/user-ns.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

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

enum {
        LIST_MSEC = 2000,
};

void mount_ns_list_done(MountNsList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].path);
        free(l->items);
        id_map_done(&l->by_id);
        *l = (MountNsList) { 0 };
}

int mount_ns_add(MountNsList *l, uint64_t id, int pid, char *path) {
        _cleanup_free_ char *owned = path;

        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
        if (r >= 0)
                r = id_map_add(&l->by_id, id, l->n_items);
        if (r <= 0)
                return r;
        l->items[l->n_items++] = (MountNs) { .id = id, .pid = pid, .path = TAKE_PTR(owned) };
        return 0;
}

const MountNs *mount_ns_find(const MountNsList *l, uint64_t id) {
        size_t i;

        return id_map_find(&l->by_id, id, &i) ? &l->items[i] : NULL;
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

/* The user namespace of PID 1, and the owners of those that were met already. */
typedef struct Users {
        uint64_t host;
        IdMap known;            /* places in owners */
        uint32_t *owners;
        size_t n_owners, n_allocated;
} Users;

static void users_done(Users *u) {
        id_map_done(&u->known);
        free(u->owners);
}

/* To whom a mount namespace belongs. */
static int ask_users(int fd, Users *u, MountNs *ns) {
        _cleanup_close_ int users = ioctl(fd, NS_GET_USERNS);
        uint64_t id;
        size_t i;

        if (users < 0 || fd_id(users, &id) < 0) {
                ns->foreign = true;
                ns->owner = USER_NS_OWNER_UNKNOWN;
                return 0;
        }
        ns->foreign = id != u->host;
        if (!ns->foreign)
                return 0;
        if (!id_map_find(&u->known, id, &i)) {
                i = u->n_owners;
                int r = vec_grow((void **) &u->owners, u->n_owners, &u->n_allocated, sizeof(u->owners[0]));
                if (r >= 0)
                        r = id_map_add(&u->known, id, i);
                if (r < 0)
                        return r;
                u->owners[u->n_owners++] = user_ns_owner(users, u->host);
        }
        ns->owner = u->owners[i];
        return 0;
}

bool mount_ns_is_hosts(int fd) {
        _cleanup_(users_done) Users u = { .host = user_ns_host() };
        MountNs ns = { 0 };

        return ask_users(fd, &u, &ns) >= 0 && !ns.foreign;
}

typedef struct Walk {
        MountNsList *list;
        Users *users;
        uint64_t deadline;
} Walk;

static int visit_add(int fd, void *data) {
        Walk *w = data;
        size_t before = w->list->n_items;
        uint64_t id;

        int r = fd_id(fd, &id);
        if (r >= 0)
                r = mount_ns_add(w->list, id, 0, NULL);
        if (r >= 0 && w->list->n_items > before)
                r = ask_users(fd, w->users, &w->list->items[before]);
        if (r >= 0 && now_monotonic() >= w->deadline) {
                w->list->cut = true;
                return 1;
        }
        return r;
}

/* The /proc folder of the process or thread through whose own link the path goes, or NULL: it may as well be the name of a mount, and then
 * anybody may have chosen what lies beside it. */
static char *process_folder(const MountNs *ns) {
        const char *end = ns->pid > 0 ? strstr(ns->path, "/ns/mnt") : NULL;

        return end ? strndup(ns->path, (size_t) (end - ns->path)) : NULL;
}

/* Where it cannot be opened its process tells: nobody is in one of lesser users than his own. */
static int ask_by_path(MountNs *ns, Users *u) {
        _cleanup_free_ char *folder = process_folder(ns), *theirs = NULL, *ours = NULL;

        _cleanup_close_ int fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0)
                return ask_users(fd, u, ns);
        ns->foreign = folder && link_readf(&theirs, "%s/ns/user", folder) >= 0 && link_readf(&ours, "/proc/1/ns/user") >= 0 && !streq(theirs, ours);
        ns->owner = USER_NS_OWNER_UNKNOWN;
        return 0;
}

static int list_processes(MountNsList *l) {
        _cleanup_listing_ Listing processes = { 0 };

        int r = listing_readf(&processes, "/proc");
        for (size_t i = 0; i < processes.n && r >= 0; i++)
                r = add_process(l, processes.names[i]);
        return r;
}

static int list_all(MountNsList *l, Users *users) {
        Walk w = { .list = l, .users = users, .deadline = now_monotonic() + LIST_MSEC * USEC_PER_MSEC };

        int r = walk(NS_MNT_GET_NEXT, visit_add, &w);
        if (r >= 0)
                r = walk(NS_MNT_GET_PREV, visit_add, &w);
        return r == -ENOTTY || r == -EPERM ? mount_ns_list_kept(l) : r;
}

int mount_ns_list(MountNsList *l) {
        _cleanup_(users_done) Users users = { .host = user_ns_host() };

        int r = list_processes(l);
        if (r >= 0)
                r = list_all(l, &users);
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                if (l->items[i].path)
                        r = ask_by_path(&l->items[i], &users);
        return r < 0 ? r : mount_ns_sort(l);
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

        int r = fd_id(fd, &id);
        if (r < 0 || !id_map_find(&v->left, id, &i) || v->seen[i])
                return r;
        v->seen[i] = true;
        v->n_seen++;
        r = v->visit(&v->items[i], fd, v->data);
        v->ended = r != 0;
        return r;
}

static int visit_rest(Visit *v, size_t n) {
        int walked = walk(NS_MNT_GET_NEXT, visit_one, v), r = 0;

        if (walked == 0)
                walked = walk(NS_MNT_GET_PREV, visit_one, v);
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

int mount_ns_text(const MountNs *ns, size_t max, char **ret) {
        _cleanup_free_ char *folder = process_folder(ns), *root = NULL, *path = NULL, *text = NULL;
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
