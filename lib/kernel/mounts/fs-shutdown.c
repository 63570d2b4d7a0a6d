/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "kernel/mounts/fs-shutdown.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "kernel/sysfs/quirks.h"

/* XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN, F2FS_IOC_SHUTDOWN, BTRFS_IOC_SHUTDOWN: one number for all, and 0 and 2 mean the same to all.
 * (1 does not: to f2fs it is "write the metadata only".) */
#define FS_IOC_SHUTDOWN_ALL _IOR('X', 125, uint32_t)
#define FS_IOC_THAW _IOWR('X', 120, int)

enum {
        STACK_DEPTH_MAX = 16,
};

/* From the kernels' sources; btrfs had it as an experiment before, which distributions do not build. */
static const struct {
        const char *type;
        unsigned major, minor;
} known[] = {
        { "xfs", 2, 6 }, { "ext4", 4, 11 }, { "ext3", 4, 11 }, { "f2fs", 4, 2 }, { "btrfs", 7, 2 },
};

FsShutdown fs_shutdown_from_string(const char *word) {
        return streq_ptr(word, "flush") ? FS_SHUTDOWN_FLUSH : streq_ptr(word, "noflush") ? FS_SHUTDOWN_NO_FLUSH : FS_SHUTDOWN_NO;
}

int fs_shutdown_check(const char *type, const char *release, char **ret_why) {
        struct utsname name = { 0 };

        if (!release && uname(&name) >= 0)
                release = name.release;
        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                if (!streq(known[i].type, type))
                        continue;
                if (kernel_is_at_least(release, known[i].major, known[i].minor))
                        return 0;
                *ret_why = strf("kernel %s cannot shut down %s, %u.%u can", release ?: "?", type, known[i].major, known[i].minor);
                return -EOPNOTSUPP;
        }
        *ret_why = strf("%s cannot be shut down", type);
        return -EOPNOTSUPP;
}

/* On a path that is not mounted any more these calls would be for the file system below: it must be the mount that was looked at, whose
 * id may be another one's by now, and the device. (btrfs gives files other numbers than its mounts.) */
static int mount_is(const MountedFs *fs, json_object *mount, int proc_fd, int fd) {
        bool btrfs = streq(fs->type, "btrfs");
        struct statfs sfs;
        struct stat st;
        uint64_t id = 0;

        int r = mount_id_of(proc_fd, fd, &id);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0 || fstatfs(fd, &sfs) < 0)
                return -errno;
        if (btrfs ? sfs.f_type != BTRFS_SUPER_MAGIC : fs->dev != 0 && st.st_dev != fs->dev)
                return -ESTALE;
        return id == json_u64(mount, "id") ? 0 : -ESTALE;
}

/* -EIO from an XFS that is shut down: not even its root can be opened then. */
static int mount_open(const MountedFs *fs, json_object *mount, char **ret_why) {
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
        if (r >= 0)
                r = fd < 0 ? -errno : mount_is(fs, mount, proc_fd, fd);
        if (r < 0) {
                *ret_why = strf("%s cannot be opened: %s", target, strerror(-r));
                return r;
        }
        return TAKE_FD(fd);
}

/* A file system that is shut down refuses a new file, whatever else it still answers from memory. On a frozen one this would wait until
 * it is thawed. -ENODATA: it cannot be told. */
static int is_dead(int fd, json_object *mount) {
        bool read_only = mount_has_option(json_str(mount, "options"), "ro") || mount_has_option(json_str(mount, "super_options"), "ro");
        struct stat st;

        if (mount_has_option(json_str(mount, "super_options"), "shutdown"))
                return 1;
        if (fstat(fd, &st) < 0)
                return errno == EIO ? 1 : -errno;
        if (!S_ISDIR(st.st_mode) || read_only)
                return -ENODATA;
        _cleanup_close_ int file = openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        return file < 0 && (errno == EIO || errno == ESHUTDOWN || errno == EROFS);
}

/* Once: 1 when somebody had frozen it, which is over now. A freeze from below (dm) is another matter. */
static int shut_down_once(int fd, json_object *mount, FsShutdown how, int *ret_error) {
        uint32_t flag = (uint32_t) how;
        int error = ioctl(fd, FS_IOC_SHUTDOWN_ALL, &flag) < 0 ? -errno : 0;
        /* After the shutdown: whoever is let go on can write nothing any more. */
        int thawed = ioctl(fd, FS_IOC_THAW, 0) >= 0;

        if (error >= 0) {
                int r = is_dead(fd, mount);
                error = r == 0 ? -EIO : r == -ENODATA ? 0 : r < 0 ? r : 0;
        }
        *ret_error = error;
        return thawed;
}

/* Where it is frozen, kernels before 6.12 do nothing at all, XFS without saying so: once more, now that it is not. */
static int shut_down(int fd, json_object *mount, FsShutdown how, char **ret_why) {
        const char *target = json_str(mount, "target");
        int error = 0;

        if (shut_down_once(fd, mount, how, &error) > 0 && error < 0 && error != -ENOTTY)
                (void) shut_down_once(fd, mount, how, &error);
        if (error < 0)
                *ret_why = error == -EIO ? strf("%s was told to shut down and did not", target)
                                         : strf("%s cannot be shut down: %s", target, strerror(-error));
        return error;
}

typedef struct Quiesce {
        const MountedFs *fs;
        json_object *mount;
        FsShutdown shutdown;
} Quiesce;

static int quiesce_apart(void *data, char **ret_text) {
        const Quiesce *q = data;
        const char *target = json_str(q->mount, "target");

        _cleanup_close_ int fd = mount_open(q->fs, q->mount, ret_text);
        if (fd == -EIO && q->shutdown != FS_SHUTDOWN_NO)
                return 0;
        if (fd < 0)
                return fd;
        if (q->shutdown == FS_SHUTDOWN_NO_FLUSH || syncfs(fd) >= 0)
                return q->shutdown == FS_SHUTDOWN_NO ? 0 : shut_down(fd, q->mount, q->shutdown, ret_text);

        int r = -errno;
        if (q->shutdown != FS_SHUTDOWN_NO && r == -EIO && is_dead(fd, q->mount) > 0)
                return 0;
        *ret_text = strf("what is in memory for %s cannot be written: %s", target, strerror(-r));
        return r;
}

int fs_quiesce(const MountedFs *fs, json_object *mount, FsShutdown shutdown, uint64_t timeout_usec, char **ret_why) {
        const ApartOptions options = { .what = "shutdown of the card's file system", .timeout_usec = timeout_usec };
        Quiesce q = { .fs = fs, .mount = mount, .shutdown = shutdown };

        return run_apart(quiesce_apart, &q, &options, ret_why);
}

static int is_shut_down_apart(void *data, char **ret_text) {
        const Quiesce *q = data;

        _cleanup_close_ int fd = mount_open(q->fs, q->mount, ret_text);
        if (fd < 0)
                return fd == -EIO ? 1 : fd;
        int r = is_dead(fd, q->mount);
        return r == -ENODATA ? 0 : r;
}

int fs_is_shut_down(const MountedFs *fs, json_object *mount, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        Quiesce q = { .fs = fs, .mount = mount, .shutdown = FS_SHUTDOWN_NO };

        return run_apart(is_shut_down_apart, &q, &options, NULL);
}

static bool gone(const char *path, unsigned depth) {
        _cleanup_listing_ Listing lower = { 0 };
        uint64_t size = 0;

        if (!path_existsf("%s/dev", path))
                return true;
        if (depth == 0)
                return false;
        /* What a partition is on is the folder around it. */
        if (path_existsf("%s/partition", path)) {
                _cleanup_free_ char *disk = strf("%s/..", path);
                return disk && gone(disk, depth - 1);
        }
        /* An array that does not run has no size either. */
        if (listing_readf(&lower, "%s/slaves", path) < 0 || lower.n == 0)
                return attr_read_u64f(&size, "%s/size", path) >= 0 && size == 0;
        for (size_t i = 0; i < lower.n; i++) {
                _cleanup_free_ char *below = strf("%s/slaves/%s", path, lower.names[i]);
                if (!below || !gone(below, depth - 1))
                        return false;
        }
        return true;
}

bool fs_media_gone(dev_t dev) {
        _cleanup_free_ char *path = strf("/sys/dev/block/%u:%u", major(dev), minor(dev));

        return path && gone(path, STACK_DEPTH_MAX);
}

static char *held_up(const char *path, unsigned depth, char **ret_remedy) {
        _cleanup_free_ char *state = NULL, *name = NULL;
        _cleanup_listing_ Listing lower = { 0 };
        uint64_t suspended = 0;
        char *what = NULL;

        if (attr_read_u64f(&suspended, "%s/dm/suspended", path) >= 0 && suspended && attr_readf(&name, "%s/dm/name", path) >= 0) {
                _cleanup_free_ char *quoted = shell_quoted(name);
                *ret_remedy = strf("dmsetup resume %s", quoted);
                return strf("/dev/mapper/%s is suspended", name);
        }
        if (attr_readf(&state, "%s/md/array_state", path) >= 0 && streq(state, "suspended") && link_namef(&name, "%s", path) >= 0) {
                *ret_remedy = strf("echo active > /sys/block/%s/md/array_state", name);
                return strf("/dev/%s is suspended", name);
        }
        if (depth == 0)
                return NULL;
        if (path_existsf("%s/partition", path)) {
                _cleanup_free_ char *disk = strf("%s/..", path);
                return disk ? held_up(disk, depth - 1, ret_remedy) : NULL;
        }
        if (listing_readf(&lower, "%s/slaves", path) < 0)
                return NULL;
        for (size_t i = 0; i < lower.n && !what; i++) {
                _cleanup_free_ char *below = strf("%s/slaves/%s", path, lower.names[i]);
                what = below ? held_up(below, depth - 1, ret_remedy) : NULL;
        }
        return what;
}

char *fs_held_up_by(dev_t dev, char **ret_remedy) {
        _cleanup_free_ char *path = strf("/sys/dev/block/%u:%u", major(dev), minor(dev));

        return path ? held_up(path, STACK_DEPTH_MAX, ret_remedy) : NULL;
}
