/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With the calls of the new mount interface, since they separate what the old one mixes: the file system is set up where its
 * device can be seen, and the finished mount is then put into a namespace in which there may be no /dev at all. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/remount.h"
#include "kernel/process/apart.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum {
        /* What fsconfig() takes as one string (fs/fsopen.c). */
        VALUE_MAX = 255,
};

typedef struct Again {
        const MountAgain *wanted;
        json_object *fs, *mount;
        const char *source;
        char *why, *lost;       /* owned */
} Again;

#define LINK_MADE "a link or a file is on the way to it now"

static int fail(Again *a, int r, const char *what) {
        free(a->why);
        a->why = strf("%s: %s: %s", json_str(a->mount, "target"), what, strerror(-r));
        return r;
}

/* Overlay's list of layers may be longer than a value: each by itself then, as kernels from 6.8 on take it. */
static int set_layers(int fd, const char *list) {
        _cleanup_free_ char *copy = strdup(list);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        for (char *layer; (layer = strsep(&rest, ":"));)
                if (fsconfig(fd, FSCONFIG_SET_STRING, "lowerdir+", layer, 0) < 0)
                        return -errno;
        return 0;
}

static int set_option(int fd, const char *key, const char *value) {
        if (value && streq(key, "lowerdir") && strlen(value) > VALUE_MAX)
                return set_layers(fd, value);
        if (fsconfig(fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) < 0)
                return -errno;
        return 0;
}

/* What mountinfo shows of a file system is mostly what it accepts. An option that it shows and does not know is no reason to
 * leave it unmounted, but is told. */
static int set_options(Again *a, int fd) {
        _cleanup_free_ char *copy = strdup(json_str(a->fs, "super_options") ?: "");
        char *rest = copy;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        for (char *word; (word = strsep(&rest, ",")) && r >= 0;) {
                const char *key, *value;
                bool skip;

                super_option_split(word, &key, &value, &skip);
                r = skip ? 0 : set_option(fd, key, value);
                if (r == -EINVAL) {
                        (void) text_add(&a->lost, ",", "%s", key);
                        r = 0;
                }
        }
        if (r >= 0 && streq(json_str(a->fs, "type"), "btrfs"))
                r = set_option(fd, "subvolid", "5");
        return r;
}

/* A mount of the whole file system that is nowhere yet. */
static int fs_detached(Again *a) {
        _cleanup_close_ int fd = fsopen(json_str(a->fs, "type"), FSOPEN_CLOEXEC);
        if (fd < 0)
                return fail(a, -errno, json_str(a->fs, "type"));

        int r = set_option(fd, "source", a->source);
        if (r >= 0)
                r = set_options(a, fd);
        if (r < 0)
                return fail(a, r, "the options are not accepted");
        if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return fail(a, -errno, a->source);
        int mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, 0);
        return mount_fd < 0 ? fail(a, -errno, "fsmount") : mount_fd;
}

/* Of the way to it some may be anybody's on the file system: a link there is one to a part that nobody planned. */
static int part_clone(int whole, const char *way) {
        _cleanup_close_ int part = path_open_straight_at(whole, way);
        if (part < 0)
                return part;

        int fd = open_tree(part, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Only a part of it: cloning needs the whole to be mounted (fs/namespace.c:__do_loopback), so that is done in a namespace that
 * nobody else sees and that goes with this process. Its root is as good a place as any; nothing is looked up below it. */
static int part_of(Again *a, int whole, int ns) {
        const char *root = json_str(a->mount, "root");

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            move_mount(whole, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return fail(a, -errno, "a namespace to take a part of it in");
        _cleanup_close_ int part = part_clone(whole, root);
        if (part < 0)
                return fail(a, part, part == -ELOOP ? LINK_MADE : root);
        int r = mount_ns_enter(ns);
        return r < 0 ? fail(a, r, "its mount namespace") : TAKE_FD(part);
}

#define ALL_ATTRIBUTES (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME | \
                        MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR__ATIME)

static int attributes_set(int fd, const char *options, char **ret_unknown) {
        uint64_t bits = 0;

        int r = mount_attributes(options, &bits, ret_unknown);
        if (r < 0)
                return r;
        struct mount_attr attr = { .attr_set = bits, .attr_clr = ALL_ATTRIBUTES & ~bits };
        /* The three ways to keep access times are one field, which is cleared as a whole. */
        attr.attr_clr |= MOUNT_ATTR__ATIME;
        return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static int propagation_set(int fd, unsigned long propagation) {
        struct mount_attr attr = { .propagation = propagation };

        return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* A copy of one that is there. What lies over the way to the part that is wanted would be copied instead: then -ESTALE, and a link on the way is
 * none (path_open_straight_at()). */
static int copy_of(Again *a) {
        json_object *model = a->wanted->model;
        const char *root = json_str(a->mount, "root"), *above = json_str(model, "root"), *fields = json_str(a->mount, "propagation");
        const char *rest = streq(above, "/") ? root : root + strlen(above);
        uint64_t id = 0;

        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int ns = mount_ns_open(json_u64(model, "ns"), json_str(model, "ns_path"));
        int r = proc_fd < 0 ? -errno : ns < 0 ? ns : mount_ns_enter(ns);
        _cleanup_close_ int whole = r < 0 ? r : mount_place_open(proc_fd, json_str(model, "target"), json_u64(model, "id"));
        _cleanup_close_ int part = whole < 0 ? whole : path_open_straight_at(whole, rest);
        r = part < 0 ? part : mount_id_of(proc_fd, part, &id);
        if (r >= 0 && id != json_u64(model, "id"))
                r = -ESTALE;
        _cleanup_close_ int fd = r < 0 ? r : open_tree(part, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (fd < 0)
                return r < 0 ? r : -errno;
        if (a->wanted->slave)
                r = propagation_set(fd, MS_SLAVE);
        if (r >= 0 && a->wanted->slave && mount_group(fields, "shared:"))
                r = propagation_set(fd, MS_SHARED);
        return r < 0 ? r : TAKE_FD(fd);
}

static int set_up_new(Again *a, int ns) {
        bool here = streq(json_str(a->fs, "type"), "overlay");
        const char *root = json_str(a->mount, "root");

        /* The layers of an overlay are paths in its namespace, a device is one in ours. */
        int r = here ? mount_ns_enter(ns) : 0;
        if (r < 0)
                return fail(a, r, "its mount namespace");
        _cleanup_close_ int whole = fs_detached(a);
        if (whole < 0)
                return whole;
        r = here ? 0 : mount_ns_enter(ns);
        if (r < 0)
                return fail(a, r, "its mount namespace");
        return streq(root, "/") ? TAKE_FD(whole) : part_of(a, whole, ns);
}

/* After it was put there: below a shared mount everything becomes shared. */
static int propagation_finish(Again *a, int fd, bool copied) {
        const char *fields = json_str(a->mount, "propagation");
        unsigned long wanted = mount_propagation(fields);

        if (!copied && mount_group(fields, "master:"))
                (void) text_add(&a->lost, ",", "slave");
        if (copied && (wanted == MS_SHARED || wanted == MS_SLAVE))
                return 0;
        int r = propagation_set(fd, wanted == MS_SLAVE ? MS_PRIVATE : wanted);
        return r < 0 ? fail(a, r, "its propagation") : 0;
}

static int again(Again *a) {
        const char *target = json_str(a->mount, "target");
        _cleanup_free_ char *unknown = NULL;

        _cleanup_close_ int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int ns = mount_ns_open(json_u64(a->mount, "ns"), json_str(a->mount, "ns_path"));
        if (ns < 0)
                return ns;

        _cleanup_close_ int fd = a->wanted->model ? copy_of(a) : -EBADF;
        bool copied = fd >= 0;
        int r = mount_ns_enter(copied ? ns : home);
        if (r < 0)
                return fail(a, r, "its mount namespace");
        if (!copied)
                fd = set_up_new(a, ns);
        if (fd < 0)
                return fd;

        r = attributes_set(fd, json_str(a->mount, "options"), &unknown);
        if (r < 0)
                return fail(a, r, "the options of the mount");
        if (unknown)
                (void) text_add(&a->lost, ",", "%s", unknown);
        _cleanup_close_ int place = path_open_straight(target);
        if (place < 0)
                return fail(a, place, place == -ELOOP ? LINK_MADE : "its folder");
        if (move_mount(fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
                return fail(a, -errno, "move_mount");
        return propagation_finish(a, fd, copied);
}

static int again_apart(void *data, char **ret_text) {
        Again *a = data;

        int r = again(a);
        *ret_text = r < 0 ? a->why : a->lost;
        return r;
}

int mount_again(const MountAgain *wanted, uint64_t timeout_usec, char **ret_lost, char **ret_why) {
        const ApartOptions options = {
                .what = wanted->anybodys ? NULL : "mount of the card's file system", .interruptible = wanted->anybodys, .timeout_usec = timeout_usec,
        };
        Again a = { .wanted = wanted, .fs = wanted->fs, .mount = wanted->mount, .source = wanted->source };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(again_apart, &a, &options, &text);
        r = r == -EINPROGRESS && wanted->anybodys ? -ETIME : r;
        if (r < 0)
                *ret_why = TAKE_PTR(text);
        else
                *ret_lost = TAKE_PTR(text);
        return r;
}

typedef struct Adjust {
        json_object *found, *wanted;
} Adjust;

/* Who put it there may have died before he could say how it passes on what is mounted below it: below a shared mount everything becomes shared. */
static int propagation_adjust(const Adjust *a, int fd) {
        unsigned long wanted = mount_propagation(json_str(a->wanted, "propagation")), is = mount_propagation(json_str(a->found, "propagation"));

        return wanted == is ? 0 : propagation_set(fd, wanted == MS_SLAVE ? MS_PRIVATE : wanted);
}

static int adjust_apart(void *data, char **ret_text) {
        const Adjust *a = data;
        _cleanup_free_ char *unknown = NULL;

        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int ns = mount_ns_open(json_u64(a->found, "ns"), json_str(a->found, "ns_path"));
        int r = proc_fd < 0 ? -errno : ns < 0 ? ns : mount_ns_enter(ns);
        _cleanup_close_ int fd = r < 0 ? r : mount_place_open(proc_fd, json_str(a->found, "target"), json_u64(a->found, "id"));
        r = fd < 0 ? fd : attributes_set(fd, json_str(a->wanted, "options"), &unknown);
        return r < 0 ? r : propagation_adjust(a, fd);
}

bool mount_is_as(json_object *found, json_object *wanted) {
        return streq_ptr(json_str(found, "options"), json_str(wanted, "options")) &&
               mount_propagation(json_str(found, "propagation")) == mount_propagation(json_str(wanted, "propagation"));
}

int mount_adjust(json_object *found, json_object *wanted, bool anybodys, uint64_t timeout_usec) {
        const ApartOptions apart = {
                .what = anybodys ? NULL : "remount of the card's file system", .interruptible = anybodys, .timeout_usec = timeout_usec,
        };
        Adjust a = { .found = found, .wanted = wanted };

        return run_apart(adjust_apart, &a, &apart, NULL);
}
