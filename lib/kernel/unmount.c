/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "kernel/apart.h"
#include "kernel/unmount.h"

/* XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN, F2FS_IOC_SHUTDOWN, BTRFS_IOC_SHUTDOWN: one number for all. */
#define FS_IOC_SHUTDOWN_ALL _IOR('X', 125, uint32_t)

enum {
        /* For a moment only, 0.2 s: there may be many mounts, and whoever asks for this looks again himself. */
        BUSY_TRIES = 100,
        BUSY_PAUSE_NSEC = 2 * 1000 * 1000,
};

typedef struct Quiesce {
        json_object *mount;
        FsShutdown shutdown;
} Quiesce;

static bool has_option(const char *options, const char *option) {
        size_t n = strlen(option);

        for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (strncmp(p, option, n) == 0 && (p[n] == ',' || p[n] == '\0'))
                        return true;
        return false;
}

/* The root, through a mount that is still the one that was looked at: on a path that is not mounted any more these calls would
 * be for the file system below. */
static int mount_open(json_object *mount, char **ret_why) {
        const char *target = json_str(mount, "target");
        uint64_t id = 0;

        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int ns = mount_ns_open(json_u64(mount, "ns"), json_str(mount, "ns_path"));
        int r = proc_fd < 0 ? -errno : ns < 0 ? ns : mount_ns_enter(ns);
        if (r >= 0)
                r = mount_id_at(proc_fd, target, &id);
        if (r >= 0 && id != json_u64(mount, "id"))
                r = -ESTALE;
        _cleanup_close_ int fd = r < 0 ? -EBADF : open(target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (r >= 0 && fd < 0)
                r = -errno;
        if (r < 0) {
                *ret_why = strf("%s cannot be opened: %s", target, strerror(-r));
                return r;
        }
        return TAKE_FD(fd);
}

/* A file system that is shut down refuses a new file, whatever else it still answers from memory. */
static int shutdown_verify(int fd, json_object *mount, char **ret_why) {
        struct stat st;

        if (fstat(fd, &st) >= 0 && !S_ISDIR(st.st_mode))
                return 0;
        if (has_option(json_str(mount, "options"), "ro") || has_option(json_str(mount, "super_options"), "ro"))
                return 0;
        _cleanup_close_ int file = openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (file < 0 && (errno == EIO || errno == ESHUTDOWN || errno == EROFS))
                return 0;
        *ret_why = strf("%s was told to shut down and did not", json_str(mount, "target"));
        return -EIO;
}

static int quiesce_apart(void *data, char **ret_text) {
        const Quiesce *q = data;
        const char *target = json_str(q->mount, "target");

        _cleanup_close_ int fd = mount_open(q->mount, ret_text);
        if (fd < 0)
                return fd;
        if (q->shutdown != FS_SHUTDOWN_NO_FLUSH && syncfs(fd) < 0) {
                int r = -errno;
                *ret_text = strf("what is in memory for %s cannot be written: %s", target, strerror(-r));
                return r;
        }
        if (q->shutdown == FS_SHUTDOWN_NO)
                return 0;

        uint32_t flag = (uint32_t) q->shutdown;
        if (ioctl(fd, FS_IOC_SHUTDOWN_ALL, &flag) < 0) {
                int r = -errno;
                *ret_text = strf("%s cannot be shut down: %s", target, strerror(-r));
                return r;
        }
        return shutdown_verify(fd, q->mount, ret_text);
}

int fs_quiesce(json_object *mount, FsShutdown shutdown, uint64_t timeout_usec, char **ret_why) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        Quiesce q = { .mount = mount, .shutdown = shutdown };

        return run_apart(quiesce_apart, &q, &options, ret_why);
}

/* Whoever just looks in for a moment keeps a mount busy for that moment; the kernel has no event for its end. */
static int umount_patiently(const char *target) {
        const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NSEC };
        int r = 0;

        for (unsigned n = 0; n < BUSY_TRIES; n++) {
                r = umount2(target, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
                if (r != -EBUSY)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        return r;
}

static int umount_one(const MountEntry *m, int proc_fd, const char **ret_why) {
        uint64_t id = 0;

        int r = mount_id_at(proc_fd, m->target, &id);
        if (r < 0)
                *ret_why = "its mount point cannot be reached";
        else if (id != m->id) {
                *ret_why = "another mount lies over it";
                r = -EBUSY;
        } else {
                /* A namespace that belongs to less privileged users got its mounts locked together. */
                r = umount_patiently(m->target);
                *ret_why = r == -EINVAL ? "it is locked in a namespace of less privileged users: it goes when their processes end"
                                        : NULL;
        }
        return r;
}

static void add_left(json_object *left, const MountNs *ns, const char *target, int error, const char *why) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "ns", ns->id);
        json_set_u64(o, "pid", (uint64_t) ns->pid);
        json_set_str(o, "target", target);
        json_set_u64(o, "error", (uint64_t) -error);
        json_set_str(o, "why", why ?: strerror(-error));
        json_object_array_add(left, o);
}

/* Once over the mounts of the namespace, the last one first. *ret_left is what did not go. */
static int unmount_pass(const MountedFs *fs, const MountNs *ns, int proc_fd, json_object **ret_left, size_t *ret_done) {
        _cleanup_json_ json_object *left = json_object_new_array();
        _cleanup_mount_entries_ MountEntries l = { 0 };
        size_t done = 0;

        int r = mount_ns_read(proc_fd, &l);
        if (r < 0)
                return r;
        for (size_t i = l.n_items; i > 0; i--) {
                const MountEntry *m = &l.items[i - 1];
                const char *why = NULL;

                if (!mounted_fs_is(fs, m))
                        continue;
                r = umount_one(m, proc_fd, &why);
                if (r < 0)
                        add_left(left, ns, m->target, r, why);
                else
                        done++;
        }
        *ret_left = TAKE_PTR(left);
        *ret_done = done;
        return 0;
}

typedef struct Unmount {
        const MountedFs *fs;
        json_object *left;
} Unmount;

/* As long as anything goes: what was moved stands on what was made after it, and one that is taken away by propagation makes
 * its parent free. */
static int unmount_in_ns(const MountNs *ns, int proc_fd, void *data) {
        _cleanup_json_ json_object *left = NULL;
        Unmount *u = data;
        size_t done = 0;

        do {
                json_object_put(TAKE_PTR(left));
                int r = unmount_pass(u->fs, ns, proc_fd, &left, &done);
                if (r < 0)
                        return r;
        } while (done > 0 && json_len(left) > 0);

        for (size_t i = 0; i < json_len(left); i++)
                json_object_array_add(u->left, json_ref(json_at(left, i)));
        return 0;
}

static int unmount_apart(void *data, char **ret_text) {
        Unmount u = { .fs = data, .left = json_object_new_array() };

        int r = mount_ns_for_each(unmount_in_ns, &u);
        *ret_text = strdup(json_text(u.left));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(unmount_apart, (void *) fs, &options, &text);
        if (r < 0)
                return r;
        return text ? json_parse_names(text, strlen(text), ret_left) : -EBADMSG;
}
