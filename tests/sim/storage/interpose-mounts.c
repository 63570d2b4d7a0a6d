/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls about mounts and their namespaces, of which a process of the simulated machine is in one, at first in that of process 1. What a file system
 * has is not there: folders below /mnt, and below STORE "/fs/MAJOR:MINOR", stand for those of its parts that are mounted somewhere. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "interpose.h"
#include "model.h"
#include "shared.h"
#include "storage/block.h"
#include "storage/interpose-mounts.h"
#include "storage/mounts.h"

enum {
        SET_UP_MAX = 1024, /* descriptors of what is being mounted */
};

/* Descriptors of file systems that are being set up, and of mounts that are nowhere yet, or just put somewhere. */
static struct {
        Mount mount;
        unsigned id;
} own[SET_UP_MAX];

static char current[16] = "1";
static bool alone; /* in a namespace that nobody else sees, to take a part of a mount in */

static bool is_ours(void) {
        return !interposed_inside && shared() && REAL(access)(STORE "/ns", F_OK) == 0;
}

static bool path_of(int fd, char ret[static PATH_MAX]) {
        char link[64];

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, ret, PATH_MAX - 1);
        ret[n < 0 ? 0 : n] = '\0';
        return n > 0;
}

/* --- opening */

static int open_namespace(const char *path) {
        char link[64], file[96];
        uintmax_t id;

        if (strcmp(path, "/proc/self/ns/mnt") == 0)
                (void) snprintf(link, sizeof(link), "/proc/%s/ns/mnt", current);
        else
                (void) snprintf(link, sizeof(link), "%s", path);
        ssize_t n = readlink(link, file, sizeof(file) - 1);
        file[n < 0 ? 0 : n] = '\0';
        if (sscanf(file, "mnt:[%ju]", &id) != 1)
                return answered(-ENOENT);
        (void) snprintf(file, sizeof(file), STORE "/ns/%ju", id);
        return REAL(open)(file, O_RDONLY | O_CLOEXEC);
}

static int open_fdinfo(int number) {
        char path[PATH_MAX], text[128];
        Mount m = { 0 };

        if (!path_of(number, path))
                return answered(-ENOENT);
        if (number < SET_UP_MAX && own[number].id > 0)
                m.id = own[number].id;
        else
                (void) mount_of_path(current, path, &m);
        int fd = memfd_create("fdinfo", MFD_CLOEXEC), n = snprintf(text, sizeof(text), "pos:\t0\nflags:\t012000000\nmnt_id:\t%u\nino:\t1\n", m.id);
        if (fd < 0 || pwrite(fd, text, (size_t) n, 0) != n)
                sim_die("no memory for a file");
        return fd;
}

/* Exclusively, of a device: whoever in the kernel has it stands against that. */
static int open_claim(int dirfd, const char *path) {
        struct stat st;
        char number[64];

        if (fstatat(dirfd, path, &st, 0) < 0 || !S_ISBLK(st.st_mode))
                return -2;
        (void) snprintf(number, sizeof(number), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
        if (REAL(access)(number, F_OK) < 0)
                return answered(-ENXIO);
        const char *who = block_user(major(st.st_rdev), minor(st.st_rdev));
        if (who) {
                sim_trace("%s is not to be had: %s", number, who);
                return answered(-EBUSY);
        }
        return answered(block_claim(major(st.st_rdev), minor(st.st_rdev)));
}

int mount_open(int dirfd, const char *path, int flags) {
        size_t n = strlen(path);
        const char *info = strstr(path, "self/fdinfo/");
        int fd = -2;

        if (!is_ours())
                return -2;
        model_enter();
        if (strncmp(path, "/proc/", 6) == 0 && n > 7 && strcmp(path + n - 7, "/ns/mnt") == 0 && !(flags & (O_PATH | O_NOFOLLOW)))
                fd = open_namespace(path);
        else if (strcmp(path, "self/mountinfo") == 0 || strcmp(path, "/proc/self/mountinfo") == 0) {
                char table[64];
                (void) snprintf(table, sizeof(table), "/proc/%s/mountinfo", current);
                fd = REAL(open)(table, O_RDONLY | O_CLOEXEC);
        } else if (info)
                fd = open_fdinfo(sim_number(info + strlen("self/fdinfo/")));
        model_leave();
        if (fd == -2 && (flags & O_EXCL) && !(flags & O_CREAT))
                fd = open_claim(dirfd, path);
        return fd;
}

/* The number of a namespace is that of its file, and a folder is on what is mounted there. */
void mount_stat(int fd, struct stat *st) {
        char path[PATH_MAX];
        Mount m;

        if (is_ours() && path_of(fd, path) && strncmp(path, "/mnt/", 5) == 0) {
                model_enter();
                if (mount_of_path(current, path, &m))
                        st->st_dev = makedev(m.major, m.minor);
                model_leave();
        }
        if (S_ISREG(st->st_mode) && is_ours() && path_of(fd, path) && strncmp(path, STORE "/ns/", strlen(STORE "/ns/")) == 0)
                st->st_ino = strtoull(path + strlen(STORE "/ns/"), NULL, 10);
}

/* A file below /mnt is on what is mounted there. */
bool mount_statx(int dirfd, const char *path, int flags, unsigned *ret_major, unsigned *ret_minor, uint64_t *ret_id) {
        char whole[PATH_MAX];
        Mount m;

        if (!is_ours())
                return false;
        int fd = REAL(openat)(dirfd, path, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
        bool found = fd >= 0 && path_of(fd, whole) && strncmp(whole, "/mnt/", 5) == 0;
        if (fd >= 0)
                (void) REAL(close)(fd);
        model_enter();
        found = found && mount_of_path("1", whole, &m);
        model_leave();
        if (!found)
                return false;
        *ret_major = m.major;
        *ret_minor = m.minor;
        *ret_id = m.id;
        return true;
}

/* --- namespaces */

int setns(int fd, int type) {
        char path[PATH_MAX];

        if (!is_ours() || !path_of(fd, path) || strncmp(path, STORE "/ns/", strlen(STORE "/ns/")) != 0)
                return REAL(setns)(fd, type);
        tree_get(current, sizeof(current), "%s", path);
        alone = false;
        return 0;
}

int unshare(int flags) {
        if (!is_ours() || flags != CLONE_NEWNS)
                return REAL(unshare)(flags);
        alone = true;
        return 0;
}

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
        return is_ours() && alone ? 0 : REAL(mount)(source, target, type, flags, data);
}

/* --- unmounting */

static int take(void *userdata) {
        return mount_take(current, userdata);
}

int umount2(const char *name, int flags) {
        char path[2 * PATH_MAX], what[2 * PATH_MAX + 64];

        if (!is_ours())
                return REAL(umount2)(name, flags);
        if (*name == '/')
                (void) snprintf(path, sizeof(path), "%s", name);
        else if (!getcwd(path, PATH_MAX))
                return -1;
        else
                (void) snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
        (void) snprintf(what, sizeof(what), "umount %s in %s", path, current);
        return interposed_call(what, take, path);
}

static int nothing(void *userdata) {
        (void) userdata;
        return 0;
}

int syncfs(int fd) {
        char path[PATH_MAX], what[PATH_MAX + 16];

        if (!is_ours() || !path_of(fd, path))
                return REAL(syncfs)(fd);
        (void) snprintf(what, sizeof(what), "syncfs %s", path);
        return interposed_call(what, nothing, NULL);
}

/* --- mounting */

int fsopen(const char *type, unsigned flags) {
        if (!is_ours())
                return REAL(fsopen)(type, flags);
        int fd = memfd_create("fs", MFD_CLOEXEC);
        if (fd >= SET_UP_MAX)
                sim_die("too many descriptors");
        if (fd >= 0) {
                memset(&own[fd], 0, sizeof(own[fd]));
                (void) snprintf(own[fd].mount.type, sizeof(own[fd].mount.type), "%s", type);
                (void) snprintf(own[fd].mount.super, sizeof(own[fd].mount.super), "rw");
        }
        return fd;
}

static int create(void *userdata) {
        Mount *m = userdata;
        struct stat st;
        char number[64], folder[96];

        (void) snprintf(m->root, sizeof(m->root), "/");
        (void) snprintf(m->options, sizeof(m->options), "rw,relatime");
        if (*m->source != '/')
                m->minor = mount_anonymous();
        else {
                int r = 0;
                model_leave(); /* what a node is it says to others only */
                if (stat(m->source, &st) < 0)
                        r = -errno;
                model_enter();
                if (r < 0 || !S_ISBLK(st.st_mode))
                        return r < 0 ? r : -ENOTBLK;
                m->major = major(st.st_rdev);
                m->minor = minor(st.st_rdev);
                (void) snprintf(number, sizeof(number), "/sys/dev/block/%u:%u", m->major, m->minor);
                if (REAL(access)(number, F_OK) < 0)
                        return -ENXIO;
                const char *who = mounted_at(m->major, m->minor) ? NULL : block_busy(m->major, m->minor);
                if (who)
                        return -EBUSY;
        }
        (void) snprintf(folder, sizeof(folder), STORE "/fs/%u:%u", m->major, m->minor);
        (void) REAL(mkdir)(folder, 0755);
        super_block_tell(m, true);
        return 0;
}

int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux) {
        char what[600];

        if (!is_ours() || fd < 0 || fd >= SET_UP_MAX)
                return REAL(fsconfig)(fd, command, key, value, aux);
        Mount *m = &own[fd].mount;
        size_t n = strlen(m->super);
        switch (command) {
        case FSCONFIG_SET_FLAG:
                if (strcmp(key, "rw") != 0)
                        (void) snprintf(m->super + n, sizeof(m->super) - n, ",%s", key);
                return 0;
        case FSCONFIG_SET_STRING:
                if (strcmp(key, "source") == 0)
                        (void) snprintf(m->source, sizeof(m->source), "%s", (const char *) value);
                else
                        (void) snprintf(m->super + n, sizeof(m->super) - n, ",%s=%s", key, (const char *) value);
                return 0;
        default:
                (void) snprintf(what, sizeof(what), "a file system of %s (%s)", m->source, m->type);
                return interposed_call(what, create, m);
        }
}

/* A folder that stands for a file system, or a part of it, with what is known of the mount. */
static int detached(const Mount *m) {
        char folder[PATH_MAX];

        (void) snprintf(folder, sizeof(folder), STORE "/fs/%u:%u%s", m->major, m->minor, strcmp(m->root, "/") == 0 ? "" : m->root);
        int fd = REAL(open)(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= SET_UP_MAX)
                sim_die("too many descriptors");
        if (fd >= 0) {
                own[fd].mount = *m;
                own[fd].id = 0;
        }
        return fd;
}

int fsmount(int fd, unsigned flags, unsigned attributes) {
        return is_ours() && fd >= 0 && fd < SET_UP_MAX ? detached(&own[fd].mount) : REAL(fsmount)(fd, flags, attributes);
}

static bool in_store(const char *path, Mount *ret) {
        static const char top[] = STORE "/fs/";
        int at = 0;

        if (strncmp(path, top, strlen(top)) != 0 || sscanf(path + strlen(top), "%u:%u%n", &ret->major, &ret->minor, &at) != 2)
                return false;
        (void) snprintf(ret->root, sizeof(ret->root), "%.255s", path[strlen(top) + at] ? path + strlen(top) + at : "/");
        for (size_t i = 0; i < SET_UP_MAX; i++) {
                const Mount *m = &own[i].mount;
                if (!*m->type || m->major != ret->major || m->minor != ret->minor)
                        continue;
                memcpy(ret->type, m->type, sizeof(ret->type));
                memcpy(ret->source, m->source, sizeof(ret->source));
                memcpy(ret->super, m->super, sizeof(ret->super));
                memcpy(ret->options, m->options, sizeof(ret->options));
        }
        return true;
}

int open_tree(int dirfd, const char *name, unsigned flags) {
        char path[PATH_MAX], root[PATH_MAX];
        Mount m = { 0 };

        if (!is_ours() || *name || !path_of(dirfd, path))
                return REAL(open_tree)(dirfd, name, flags);
        model_enter();
        bool found = in_store(path, &m);
        if (!found && mount_of_path(current, path, &m)) {
                const char *below = strcmp(m.target, "/") == 0 ? path : path + strlen(m.target);
                (void) snprintf(root, sizeof(root), "%s%s", strcmp(m.root, "/") == 0 && *below ? "" : m.root, below);
                (void) snprintf(m.root, sizeof(m.root), "%.255s", root);
                found = true;
        }
        model_leave();
        return found ? detached(&m) : answered(-EINVAL);
}

typedef struct Put {
        int fd;
        char target[PATH_MAX];
} Put;

static int put(void *userdata) {
        const Put *p = userdata;
        int r = mount_put(current, p->target, &own[p->fd].mount);

        if (r > 0)
                own[p->fd].id = (unsigned) r;
        return r < 0 ? r : 0;
}

int move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags) {
        char what[PATH_MAX + 64];
        Put p = { .fd = from_dirfd };

        if (!is_ours() || from_dirfd < 0 || from_dirfd >= SET_UP_MAX || *from)
                return REAL(move_mount)(from_dirfd, from, to_dirfd, to, flags);
        if (alone && strcmp(to, "/") == 0)
                return 0;
        if (!path_of(to_dirfd, p.target))
                return answered(-ENOENT);
        (void) snprintf(what, sizeof(what), "mount %s on %s in %s", own[p.fd].mount.source, p.target, current);
        return interposed_call(what, put, &p);
}

static void options_text(const struct mount_attr *a, char ret[static 128]) {
        static const struct {
                uint64_t bit;
                const char *word;
        } words[] = {
                { MOUNT_ATTR_NOSUID, ",nosuid" }, { MOUNT_ATTR_NODEV, ",nodev" }, { MOUNT_ATTR_NOEXEC, ",noexec" }, { MOUNT_ATTR_NODIRATIME, ",nodiratime" },
        };

        (void) snprintf(ret, 128, "%s", a->attr_set & MOUNT_ATTR_RDONLY ? "ro" : "rw");
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (a->attr_set & words[i].bit)
                        strcat(ret, words[i].word);
        uint64_t atime = a->attr_set & MOUNT_ATTR__ATIME;
        strcat(ret, atime == MOUNT_ATTR_NOATIME ? ",noatime" : atime == MOUNT_ATTR_STRICTATIME ? "" : ",relatime");
}

typedef struct Change {
        unsigned id;
        const char *options, *propagation;
} Change;

static int change(void *userdata) {
        const Change *c = userdata;

        mount_change(c->id, c->options, c->propagation);
        return 0;
}

int mount_setattr(int dirfd, const char *name, unsigned flags, struct mount_attr *a, size_t size) {
        char options[128], path[PATH_MAX], what[128];
        Mount m;

        if (!is_ours() || *name || !path_of(dirfd, path))
                return REAL(mount_setattr)(dirfd, name, flags, a, size);
        Change c = { .id = own[dirfd].id, .options = a->attr_clr | a->attr_set ? options : NULL };
        c.propagation = a->propagation == MS_SHARED ? "shared" : a->propagation == MS_SLAVE ? "slave" : a->propagation == MS_PRIVATE ? "private" : NULL;
        options_text(a, options);
        if (strncmp(path, STORE, strlen(STORE)) == 0 && c.id == 0) {
                char *fields = own[dirfd].mount.fields;
                unsigned g = strstr(fields, "shared:") ? (unsigned) sim_number(strstr(fields, "shared:") + strlen("shared:")) : 0;
                if (c.options)
                        (void) snprintf(own[dirfd].mount.options, sizeof(own[dirfd].mount.options), "%s", options);
                if (a->propagation == MS_SLAVE && g > 0)
                        (void) snprintf(fields, sizeof(own[dirfd].mount.fields), "master:%u", g);
                else if (a->propagation == MS_PRIVATE || a->propagation == MS_SLAVE)
                        *fields = '\0';
                return 0;
        }
        if (c.id == 0 && mount_of_path(current, path, &m))
                c.id = m.id;
        (void) snprintf(what, sizeof(what), "attributes of mount %u", c.id);
        return interposed_call(what, change, &c);
}

/* All of them belong to the machine's own users. Nobody can walk from one to the next here. */
int ioctl(int fd, unsigned long request, ...) {
        char path[PATH_MAX];
        va_list ap;

        va_start(ap, request);
        void *argument = va_arg(ap, void *);
        va_end(ap);
        if (request == NS_GET_USERNS && is_ours() && path_of(fd, path) && strncmp(path, STORE "/ns/", strlen(STORE "/ns/")) == 0)
                return REAL(open)("/proc/1/ns/user", O_RDONLY | O_CLOEXEC);
        return block_ioctl(fd, request, argument);
}
