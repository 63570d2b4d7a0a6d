/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With the calls of the new mount interface, since they separate what the old one mixes: the file system is set up where its
 * device can be seen, and the finished mount is then put into a namespace in which there may be no /dev at all. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "kernel/apart.h"
#include "kernel/mount-ns.h"
#include "kernel/mount-options.h"
#include "kernel/remount.h"

enum {
        /* What fsconfig() takes as one string (fs/fsopen.c). */
        VALUE_MAX = 255,
};

typedef struct Again {
        json_object *fs, *mount;
        const char *source;
        char *why, *lost;       /* owned */
} Again;

static int fail(Again *a, int r, const char *what) {
        free(a->why);
        a->why = strf("%s: %s: %s", json_str(a->mount, "target"), what, strerror(-r));
        return r;
}

static void lose(Again *a, const char *what) {
        char *longer = strf("%s%s%s", a->lost ?: "", a->lost ? "," : "", what);

        free(a->lost);
        a->lost = longer;
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
                        lose(a, key);
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

/* Only a part of it: cloning needs the whole to be mounted (fs/namespace.c:__do_loopback), so that is done in a namespace that
 * nobody else sees and that goes with this process. Its root is as good a place as any; nothing is looked up below it. */
static int part_of(Again *a, int whole, int ns) {
        const char *root = json_str(a->mount, "root");

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            move_mount(whole, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return fail(a, -errno, "a namespace to take a part of it in");
        _cleanup_close_ int part = open_tree(whole, root + 1, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
        if (part < 0)
                return fail(a, -errno, root);
        int r = mount_ns_enter(ns);
        return r < 0 ? fail(a, r, "its mount namespace") : TAKE_FD(part);
}

static int attributes_set(Again *a, int fd) {
        _cleanup_free_ char *unknown = NULL;
        uint64_t bits = 0;

        int r = mount_attributes(json_str(a->mount, "options"), &bits, &unknown);
        if (r < 0)
                return r;
        if (unknown)
                lose(a, unknown);
        struct mount_attr attr = { .attr_clr = MOUNT_ATTR__ATIME, .attr_set = bits };
        return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? fail(a, -errno, "the options of the mount") : 0;
}

/* After it was put there: below a shared mount everything becomes shared. Whose slave it was cannot be said again; one that is
 * still in its place came back with its master's. */
static int propagation_set(Again *a, int fd) {
        const char *fields = json_str(a->mount, "propagation");
        struct mount_attr attr = { .propagation = mount_propagation(fields) };

        if (strstr(fields, "master:"))
                lose(a, "slave");
        if (attr.propagation == MS_SLAVE)
                attr.propagation = MS_PRIVATE;
        return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? fail(a, -errno, "its propagation") : 0;
}

static int again(Again *a) {
        bool here = streq(json_str(a->fs, "type"), "overlay");
        const char *root = json_str(a->mount, "root"), *target = json_str(a->mount, "target");

        _cleanup_close_ int ns = mount_ns_open(json_u64(a->mount, "ns"), json_str(a->mount, "ns_path"));
        if (ns < 0)
                return ns;

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

        _cleanup_close_ int part = streq(root, "/") ? fcntl(whole, F_DUPFD_CLOEXEC, 0) : part_of(a, whole, ns);
        if (part < 0)
                return part;
        r = attributes_set(a, part);
        if (r >= 0 && move_mount(part, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                r = fail(a, -errno, "move_mount");
        return r < 0 ? r : propagation_set(a, part);
}

static int again_apart(void *data, char **ret_text) {
        Again *a = data;

        int r = again(a);
        *ret_text = r < 0 ? a->why : a->lost;
        return r;
}

int mount_again(json_object *fs, json_object *mount, const char *source, uint64_t timeout_usec, char **ret_lost, char **ret_why) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        Again a = { .fs = fs, .mount = mount, .source = source };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(again_apart, &a, &options, &text);
        if (r < 0)
                *ret_why = TAKE_PTR(text);
        else
                *ret_lost = TAKE_PTR(text);
        return r;
}
