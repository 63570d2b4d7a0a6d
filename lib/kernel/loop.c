/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/apart.h"
#include "kernel/attr.h"
#include "kernel/device-places.h"
#include "kernel/loop.h"
#include "kernel/mount-ns.h"

#define DELETED " (deleted)" /* behind the path of a file without a name (fs/d_path.c), and perhaps in the name of one that has it */

enum {
        ASK_SEC = 1,
        HANGS_MAX = 2, /* of files that do not answer */
};

typedef struct Work {
        const char *name;
        bool autoclear;
        json_object *setup;
} Work;

/* "loop3" -> 3: the name goes into a path and a command. */
static int number_of(const char *name, uint64_t *ret) {
        const char *digits = startswith(name, "loop");

        return digits ? parse_u64(digits, ret) : -EINVAL;
}

static int device_open(const char *name, int mode) {
        _cleanup_free_ char *path = NULL;
        uint64_t number;

        int r = number_of(name, &number);
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

static int read_apart(void *data, char **ret_text) {
        const Work *w = data;
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *file = NULL;
        struct loop_info64 info = { 0 };
        uint64_t block_size = 0;

        _cleanup_close_ int fd = device_open(w->name, O_RDONLY);
        if (fd < 0)
                return fd;
        if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                return -errno;
        /* The path in the status is cut off at 63 bytes. */
        int r = attr_readf(&file, "/sys/block/%s/loop/backing_file", w->name);
        if (r >= 0)
                r = attr_read_u64f(&block_size, "/sys/block/%s/queue/logical_block_size", w->name);
        if (r < 0)
                return r;
        json_set_str(o, "backing_file", file);
        json_set_u64(o, "offset", info.lo_offset);
        json_set_u64(o, "sizelimit", info.lo_sizelimit);
        json_set_u64(o, "flags", info.lo_flags);
        json_set_u64(o, "block_size", block_size);
        *ret_text = strdup(json_text(o));
        return *ret_text ? 0 : -ENOMEM;
}

int loop_read(const char *name, uint64_t timeout_usec, json_object **ret) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;
        Work w = { .name = name };

        int r = run_apart(read_apart, &w, &options, &text);
        if (r < 0)
                return r;
        return text ? json_parse_names(text, strlen(text), ret) : -EBADMSG;
}

/* 1: the name leads elsewhere, or nowhere. */
static int name_apart(void *data, char **ret_text) {
        const Work *w = data;
        _cleanup_free_ char *file = NULL;
        struct loop_info64 info = { 0 };
        struct stat st;

        _cleanup_close_ int fd = device_open(w->name, O_RDONLY);
        if (fd < 0)
                return fd;
        if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                return -errno;
        int r = attr_readf(&file, "/sys/class/block/%s/loop/backing_file", w->name);
        if (r >= 0)
                r = mount_ns_enter_host();
        if (r < 0)
                return r;
        bool there = stat(file, &st) >= 0 && st.st_ino == info.lo_inode && st.st_dev == info.lo_device;
        *ret_text = strdup(there ? "there" : "lost");
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
        return run_apart(name_apart, &w, &options, &text) < 0 || !text || streq(text, "lost");
}

void loop_files_done(LoopFiles *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->names[i]);
                free(l->paths[i]);
        }
        if (l->files)
                (void) munmap(l->files, l->n * sizeof(LoopFile));
        free(l->names);
        free(l->paths);
        id_map_done(&l->places);
        *l = (LoopFiles) { 0 };
}

typedef struct Listed {
        LoopFiles *files;
        loop_wanted_t wanted;
        void *userdata;
} Listed;

/* place_visit_t */
static int list(const char *path, void *userdata) {
        _cleanup_free_ char *name = path_part(path, 2), *file = NULL;
        Listed *l = userdata;
        size_t n = l->files->n;
        uint64_t number;

        if (!name)
                return -ENOMEM;
        if (number_of(name, &number) < 0 || attr_read(path, &file) < 0 || !l->wanted(name, file, l->userdata))
                return 0;
        int r = strings_add(&l->files->names, &n, &l->files->a_names, name);
        if (r < 0)
                return r;
        n = l->files->n;
        r = strings_add(&l->files->paths, &n, &l->files->a_paths, file);
        if (r < 0) {
                free(l->files->names[l->files->n]);
                return r;
        }
        l->files->n = n;
        r = id_map_add(&l->files->places, number, n - 1);
        return r < 0 ? r : 0;
}

typedef struct Asking {
        const LoopFiles *files;
        size_t *at; /* shared */
} Asking;

static void ask(const char *name, LoopFile *file) {
        struct loop_info64 info = { 0 };

        _cleanup_close_ int fd = device_open(name, O_RDONLY);
        if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
                return;
        file->node = info.lo_rdevice;
        file->device = info.lo_device;
        file->answered = true;
}

static int ask_apart(void *data, char **ret_text) {
        const Asking *a = data;

        for (; *a->at < a->files->n; ++*a->at)
                ask(a->files->names[*a->at], &a->files->files[*a->at]);
        return 0;
}

/* One behind the other, and from one that hangs on in another process. */
static int ask_all(LoopFiles *l) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = ASK_SEC * USEC_PER_SEC };
        size_t *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
                return -errno;

        for (size_t hangs = 0, first = 0; first < l->n && hangs < HANGS_MAX; hangs++) {
                *at = first;
                int r = run_apart(ask_apart, &(Asking) { l, at }, &options, NULL);
                first = r == -ETIME || r == -EINPROGRESS ? *at + 1 : l->n;
        }
        (void) munmap(at, sizeof(*at));
        return 0;
}

int loop_files_load(LoopFiles *l, loop_wanted_t wanted, void *userdata) {
        int r = places_visit("/sys/class/block/loop*/loop/backing_file", list, &(Listed) { l, wanted, userdata });
        if (r < 0 || l->n == 0)
                return r;
        void *files = mmap(NULL, l->n * sizeof(LoopFile), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (files == MAP_FAILED)
                return -errno;
        l->files = files;
        return ask_all(l);
}

const LoopFile *loop_files_find(const LoopFiles *l, const char *name) {
        uint64_t number;
        size_t i;

        if (!l->files || number_of(name, &number) < 0 || !id_map_find(&l->places, number, &i))
                return NULL;
        return l->files[i].answered ? &l->files[i] : NULL;
}

static int detach_apart(void *data, char **ret_text) {
        const Work *w = data;

        _cleanup_close_ int fd = device_open(w->name, O_RDONLY);
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

        _cleanup_close_ int fd = device_open(w->name, O_RDWR);
        if (fd == -EACCES || fd == -EROFS)
                fd = device_open(w->name, O_RDONLY);
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

/* The path is one of the host's. */
static int file_open(const char *path, bool read_only, bool direct) {
        int r = mount_ns_enter_host();
        if (r < 0)
                return r;
        int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return fd < 0 ? -errno : fd;
}

static int make(const char *name) {
        uint64_t number;

        int r = number_of(name, &number);
        if (r < 0 || path_existsf("/sys/block/%s", name))
                return r;
        _cleanup_close_ int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return ioctl(fd, LOOP_CTL_ADD, (long) number) < 0 && errno != EEXIST ? -errno : 0;
}

static int attach_apart(void *data, char **ret_text) {
        const Work *w = data;
        uint32_t flags = (uint32_t) json_u64(w->setup, "flags");
        struct loop_config config = {
                .block_size = (uint32_t) json_u64(w->setup, "block_size"),
                .info = {
                        .lo_offset = json_u64(w->setup, "offset"),
                        .lo_sizelimit = json_u64(w->setup, "sizelimit"),
                        .lo_flags = flags & ~(uint32_t) LO_FLAGS_AUTOCLEAR,
                },
        };
        const char *file = json_str(w->setup, "backing_file");

        int r = make(w->name);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = device_open(w->name, flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR);
        if (fd < 0)
                return fd;
        _cleanup_close_ int backing = file_open(file, flags & LO_FLAGS_READ_ONLY, flags & LO_FLAGS_DIRECT_IO);
        if (backing < 0)
                return backing;
        config.fd = (uint32_t) backing;
        /* As losetup does it: what LOOP_GET_STATUS64 shows of the name ends there. */
        (void) memccpy(config.info.lo_file_name, file, '\0', sizeof(config.info.lo_file_name) - 1);
        return ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

int loop_attach(const char *name, json_object *setup, uint64_t timeout_usec) {
        const ApartOptions options = { .what = "attaching a loop device", .timeout_usec = timeout_usec };
        Work w = { .name = name, .setup = setup };

        return run_apart(attach_apart, &w, &options, NULL);
}
