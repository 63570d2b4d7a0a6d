/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

#define DELETED " (deleted)" /* after the path of a file without a name (fs/d_path.c), and perhaps in the name of one that has it */

#define SETTINGS ((uint32_t) (LO_FLAGS_READ_ONLY | LO_FLAGS_PARTSCAN | LO_FLAGS_DIRECT_IO)) /* autoclear is the last mount's */

enum {
        ID_SEC = 5, /* for finding a file by its path */
};

typedef struct Work {
        const char *name;
        bool autoclear;
        json_object *setup;
} Work;

int loop_number(const char *name, uint64_t *ret) {
        const char *digits = startswith(name, "loop");

        return digits ? parse_u64(digits, ret) : -EINVAL;
}

int loop_open(const char *name, int mode) {
        _cleanup_free_ char *path = NULL;
        uint64_t number;

        int r = loop_number(name, &number);
        if (r < 0)
                return r;
        path = strf("/dev/loop%ju", (uintmax_t) number);
        if (!path)
                return -ENOMEM;
        int fd = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

bool loop_is_bound(const char *name) {
        return path_existsf("/sys/block/%s/loop/backing_file", name);
}

static int status_read(const char *name, struct loop_info64 *ret) {
        _cleanup_close_ int fd = loop_open(name, O_RDONLY);

        return fd < 0 ? fd : ioctl(fd, LOOP_GET_STATUS64, ret) < 0 ? -errno : 0;
}

static int read_apart(void *data, char **ret_text) {
        const Work *w = data;
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *file = NULL;
        struct loop_info64 info = { 0 };
        uint64_t block_size = 0;

        int r = status_read(w->name, &info);
        /* The path in the status is cut off at 63 bytes. */
        if (r >= 0)
                r = attr_readf(&file, "/sys/block/%s/loop/backing_file", w->name);
        if (r >= 0)
                r = attr_read_u64f(&block_size, "/sys/block/%s/queue/logical_block_size", w->name);
        if (r < 0)
                return r;
        json_set_str(o, "backing_file", file);
        json_set_u64(o, "offset", info.lo_offset);
        json_set_u64(o, "sizelimit", info.lo_sizelimit);
        json_set_u64(o, "flags", info.lo_flags);
        json_set_u64(o, "block_size", block_size);
        json_set_u64(o, "device", info.lo_device);
        json_set_u64(o, "inode", info.lo_inode);
        *ret_text = strdup(json_text(o));
        return *ret_text ? 0 : -ENOMEM;
}

static bool is_of(int file, const struct loop_info64 *info) {
        struct stat st;

        return file >= 0 && fstat(file, &st) >= 0 && st.st_ino == info->lo_inode && st.st_dev == info->lo_device;
}

/* Nothing of its settings: whoever serves a folder on the way to the file may not answer. */
static int id_apart(void *data, char **ret_text) {
        const Work *w = data;
        _cleanup_json_ json_object *o = json_object_new_object();
        struct loop_info64 info = { 0 };

        int r = status_read(w->name, &info);
        if (r >= 0)
                r = mount_ns_enter_host();
        if (r < 0)
                return r;
        _cleanup_close_ int file = path_open_straight(json_str(w->setup, "backing_file"));
        if (info.lo_rdevice != 0)
                json_set_strf(o, "node", "%u:%u", major(info.lo_rdevice), minor(info.lo_rdevice));
        else if (is_of(file, &info))
                json_set(o, "file", file_id(file));
        *ret_text = strdup(json_text(o));
        return *ret_text ? 0 : -ENOMEM;
}

/* Which file that is, as far as it can be found out. */
static void add_id(const char *name, json_object *setup) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = ID_SEC * USEC_PER_SEC };
        Work w = { .name = name, .setup = setup };
        _cleanup_json_ json_object *id = NULL;
        _cleanup_free_ char *text = NULL;

        if (run_apart(id_apart, &w, &options, &text) < 0 || !text || json_parse(text, strlen(text), &id) < 0)
                return;
        if (json_has(id, "file"))
                json_set(setup, "file", json_ref(json_get(id, "file")));
        if (json_has(id, "node"))
                json_set_str(setup, "node", json_str(id, "node"));
}

int loop_read(const char *name, uint64_t timeout_usec, json_object **ret) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;
        Work w = { .name = name };

        int r = run_apart(read_apart, &w, &options, &text);
        if (r >= 0)
                r = text ? json_parse_names(text, strlen(text), ret) : -EBADMSG;
        if (r >= 0)
                add_id(name, *ret);
        return r;
}

/* "there", or "lost": the name leads elsewhere, or nowhere; so may that of a "node", which is found by its number. */
static int name_apart(void *data, char **ret_text) {
        const Work *w = data;
        _cleanup_free_ char *file = NULL;
        struct loop_info64 info = { 0 };
        struct stat st;

        int r = status_read(w->name, &info);
        if (r >= 0)
                r = attr_readf(&file, "/sys/class/block/%s/loop/backing_file", w->name);
        if (r >= 0)
                r = mount_ns_enter_host();
        if (r < 0)
                return r;
        bool there = stat(file, &st) >= 0 && st.st_ino == info.lo_inode && st.st_dev == info.lo_device;
        *ret_text = strdup(there ? "there" : info.lo_rdevice != 0 ? "node" : "lost");
        return *ret_text ? 0 : -ENOMEM;
}

bool loop_has_last_hold(const char *name, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *file = NULL, *text = NULL;
        Work w = { .name = name };

        if (attr_readf(&file, "/sys/class/block/%s/loop/backing_file", name) < 0)
                return false;
        if (!endswith(file, DELETED))
                return false;
        return run_apart(name_apart, &w, &options, &text) < 0 || !text || !streq(text, "there");
}

bool loop_leads_elsewhere(const char *name, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;
        Work w = { .name = name };

        return run_apart(name_apart, &w, &options, &text) >= 0 && streq_ptr(text, "lost");
}

static int detach_apart(void *data, char **ret_text) {
        const Work *w = data;

        _cleanup_close_ int fd = loop_open(w->name, O_RDONLY);
        if (fd < 0)
                return fd;
        return ioctl(fd, LOOP_CLR_FD, 0) < 0 && errno != ENXIO ? -errno : 0;
}

int loop_detach(const char *name, uint64_t timeout_usec) {
        const ApartOptions options = { .what = "detaching a loop device", .timeout_usec = timeout_usec };
        Work w = { .name = name };

        return run_apart(detach_apart, &w, &options, NULL);
}

static int autoclear_apart(void *data, char **ret_text) {
        const Work *w = data;
        struct loop_info64 info;

        _cleanup_close_ int fd = loop_open(w->name, O_RDWR);
        if (fd == -EACCES || fd == -EROFS)
                fd = loop_open(w->name, O_RDONLY);
        if (fd < 0)
                return fd;
        if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                return -errno;
        info.lo_flags = w->autoclear ? info.lo_flags | LO_FLAGS_AUTOCLEAR : info.lo_flags & ~(uint32_t) LO_FLAGS_AUTOCLEAR;
        return ioctl(fd, LOOP_SET_STATUS64, &info) < 0 ? -errno : 0;
}

int loop_set_autoclear(const char *name, bool autoclear, uint64_t timeout_usec) {
        const ApartOptions options = { .what = "setting up a loop device", .timeout_usec = timeout_usec };
        Work w = { .name = name, .autoclear = autoclear };

        return run_apart(autoclear_apart, &w, &options, NULL);
}

/* -ESTALE with *ret_why: that is not the one which was noted. */
static int check_file(json_object *setup, int fd, char **ret_why) {
        const char *node = json_str(setup, "node"), *why = NULL;
        struct stat st;
        dev_t dev = 0;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (node)
                why = S_ISBLK(st.st_mode) && dev_parse(node, &dev) >= 0 && st.st_rdev == dev ? NULL : "another device has its name";
        else if (!json_has(setup, "file"))
                why = "which file it was is not on record: nobody could say then, or an earlier version has written it";
        else {
                _cleanup_json_ json_object *now = file_id(fd);
                if (!S_ISREG(st.st_mode) || !now || !file_id_same(json_get(setup, "file"), now))
                        why = S_ISREG(st.st_mode) && !file_id_tells(json_get(setup, "file"), now) ? FILE_ID_TELLS_NOTHING : "another file has its name";
        }
        *ret_why = why ? strdup(why) : NULL;
        return !why ? 0 : *ret_why ? -ESTALE : -ENOMEM;
}

/* An O_PATH descriptor: of what is not the one that was noted nothing is opened. The path is one of the host's, and anybody may have a folder on
 * the way to it. */
static int file_find(json_object *setup, char **ret_why) {
        int r = mount_ns_enter_host();
        if (r < 0)
                return r;
        _cleanup_close_ int fd = path_open_straight(json_str(setup, "backing_file"));
        if (fd == -ELOOP)
                *ret_why = strdup("a link or a file is on the way to it now");
        else if (fd == -ENOENT)
                *ret_why = strdup("it is not there");
        if (fd < 0)
                return *ret_why ? -ESTALE : fd;
        r = check_file(setup, fd, ret_why);
        return r < 0 ? r : TAKE_FD(fd);
}

/* As the kernel had the numbers then: it was never let go of, or somebody was quicker. A file system that was mounted anew meanwhile may have
 * another number. */
static bool is_as_noted(json_object *setup, const struct loop_info64 *info) {
        dev_t dev = 0;

        if (json_has(setup, "node"))
                return dev_parse(json_str(setup, "node"), &dev) >= 0 && dev == info->lo_rdevice;
        return json_has(setup, "inode") && json_u64(setup, "inode") == info->lo_inode && json_u64(setup, "device") == info->lo_device;
}

/* How an open loop device is bound, against what was noted and the file that was found (or none). 0 with *ret_differs naming settings that it does
 * not have, or NULL; -ESTALE with *ret_why: to something else, or to another part of it; -ENXIO: to nothing. */
static int compare_bound(const Work *w, int fd, int file, char **ret_differs, char **ret_why) {
        struct loop_info64 info = { 0 };
        uint64_t block_size = 0;

        if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                return -errno;
        free(TAKE_PTR(*ret_why));
        if (!is_as_noted(w->setup, &info) && !is_of(file, &info))
                *ret_why = strdup("it is bound to another file by now");
        else if (info.lo_offset != json_u64(w->setup, "offset") || info.lo_sizelimit != json_u64(w->setup, "sizelimit"))
                *ret_why = strdup("it is bound to another part of it by now");
        if (*ret_why)
                return -ESTALE;
        int r = attr_read_u64f(&block_size, "/sys/block/%s/queue/logical_block_size", w->name);
        uint32_t other = (info.lo_flags ^ (uint32_t) json_u64(w->setup, "flags")) & SETTINGS;
        if (other & LO_FLAGS_READ_ONLY)
                (void) text_add(ret_differs, ", ", "read-only");
        if (other & LO_FLAGS_DIRECT_IO)
                (void) text_add(ret_differs, ", ", "direct I/O");
        if (other & LO_FLAGS_PARTSCAN)
                (void) text_add(ret_differs, ", ", "partitions");
        if (r < 0 || block_size != json_u64(w->setup, "block_size"))
                (void) text_add(ret_differs, ", ", "block size");
        return 0;
}

static int make(const char *name) {
        uint64_t number;

        int r = loop_number(name, &number);
        if (r < 0 || path_existsf("/sys/block/%s", name))
                return r;
        _cleanup_close_ int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return ioctl(fd, LOOP_CTL_ADD, (long) number) < 0 && errno != EEXIST ? -errno : 0;
}

static int configure(const Work *w, int fd, int file) {
        const char *path = json_str(w->setup, "backing_file");
        uint32_t flags = (uint32_t) json_u64(w->setup, "flags");
        struct loop_config config = {
                .block_size = (uint32_t) json_u64(w->setup, "block_size"),
                .info = {
                        .lo_offset = json_u64(w->setup, "offset"),
                        .lo_sizelimit = json_u64(w->setup, "sizelimit"),
                        .lo_flags = flags & ~(uint32_t) LO_FLAGS_AUTOCLEAR,
                },
        };

        _cleanup_close_ int backing = path_reopen(file, (flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) |
                                                  (flags & LO_FLAGS_DIRECT_IO ? O_DIRECT : 0) | O_NONBLOCK | O_NOCTTY);
        if (backing < 0)
                return backing;
        config.fd = (uint32_t) backing;
        /* As losetup does it: what LOOP_GET_STATUS64 shows of the name ends there. */
        (void) memccpy(config.info.lo_file_name, path, '\0', sizeof(config.info.lo_file_name) - 1);
        return ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

/* The device before the namespace is changed: it is one of ours. */
static int attach(const Work *w, char **ret_differs, char **ret_why) {
        int r = make(w->name);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = loop_open(w->name, json_u64(w->setup, "flags") & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR);
        if (fd < 0)
                return fd;
        _cleanup_close_ int file = file_find(w->setup, ret_why);
        r = compare_bound(w, fd, file, ret_differs, ret_why);
        if (r != -ENXIO)
                return r;
        r = file < 0 ? file : configure(w, fd, file);
        if (r < 0 && r != -EBUSY)
                return r;
        int q = compare_bound(w, fd, file, ret_differs, ret_why);
        /* Nothing is bound to it: somebody has it open for himself alone. */
        return q == -ENXIO && r < 0 ? r : q;
}

static int attach_apart(void *data, char **ret_text) {
        _cleanup_free_ char *other = NULL, *why = NULL;

        int r = attach(data, &other, &why);
        *ret_text = r < 0 ? TAKE_PTR(why) : TAKE_PTR(other);
        return r;
}

int loop_attach(const char *name, json_object *setup, uint64_t timeout_usec, char **ret_text) {
        const ApartOptions options = { .what = "attaching a loop device", .interruptible = true, .timeout_usec = timeout_usec };
        Work w = { .name = name, .setup = setup };

        return run_apart(attach_apart, &w, &options, ret_text);
}

static int is_so_apart(void *data, char **ret_text) {
        _cleanup_free_ char *other = NULL, *why = NULL;
        const Work *w = data;

        _cleanup_close_ int fd = loop_open(w->name, O_RDONLY);
        if (fd < 0)
                return fd;
        _cleanup_close_ int file = file_find(w->setup, &why);
        int r = compare_bound(w, fd, file, &other, &why);
        *ret_text = r < 0 ? NULL : strdup("so");
        return r < 0 || *ret_text ? r : -ENOMEM;
}

int loop_is_bound_so(const char *name, json_object *setup, uint64_t timeout_usec) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = timeout_usec };
        Work w = { .name = name, .setup = setup };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(is_so_apart, &w, &options, &text);
        return r == -ESTALE || r == -ENXIO ? 0 : r < 0 ? r : 1;
}
