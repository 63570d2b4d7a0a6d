/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls about swaps, and the machine's programs, of which none is run: the child that would become one does itself what it would do. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "interpose.h"
#include "model.h"
#include "shared.h"
#include "storage/block.h"
#include "storage/interpose-mounts.h"

#define LOOPS "/sys/devices/virtual/block"
#define PROGRAMS "/proc/.programs/"

typedef struct Swap {
        char path[PATH_MAX];
        int flags;
} Swap;

static int swap_set(void *userdata) {
        const Swap *s = userdata;

        return s->flags < 0 ? swap_stop(s->path) : swap_start(s->path, s->flags);
}

/* Flags below 0: off. */
static int swap_any(const char *path, int flags) {
        Swap s = { .flags = flags };
        char what[PATH_MAX + 16];

        /* A file is named by a descriptor. */
        ssize_t n = strncmp(path, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0 ? readlink(path, s.path, sizeof(s.path) - 1) : -1;
        if (n < 0)
                n = snprintf(s.path, sizeof(s.path), "%s", path);
        s.path[n] = '\0';
        (void) snprintf(what, sizeof(what), "%s %s", flags < 0 ? "swapoff" : "swapon", s.path);
        return interposed_call(what, swap_set, &s);
}

int swapoff(const char *path) {
        return shared() && !interposed_inside ? swap_any(path, -1) : REAL(swapoff)(path);
}

int swapon(const char *path, int flags) {
        return shared() && !interposed_inside ? swap_any(path, flags) : REAL(swapon)(path, flags);
}

static int run(void *userdata) {
        return -program_run(userdata);
}

int execve(const char *path, char *const argv[], char *const environment[]) {
        char what[1024] = "";

        if (!shared() || strncmp(path, PROGRAMS, strlen(PROGRAMS)) != 0)
                return REAL(execve)(path, argv, environment);
        for (size_t i = 0; argv[i] && strlen(what) + strlen(argv[i]) + 2 < sizeof(what); i++)
                (void) snprintf(what + strlen(what), sizeof(what) - strlen(what), "%s%s", i > 0 ? " " : "", argv[i]);
        _exit(interposed_call(what, run, (void *) (uintptr_t) argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* --- loop devices */

typedef struct Loop {
        char name[NAME_ROOM];
        unsigned long request;
        void *argument;
} Loop;

static bool is_bound(const char *name) {
        return tree_has(LOOPS "/%s/loop/backing_file", name);
}

static int status_get(const char *name, struct loop_info64 *ret) {
        char file[PATH_MAX];
        struct stat st = { 0 };

        if (!is_bound(name))
                return -ENXIO;
        *ret = (struct loop_info64) { .lo_number = (uint32_t) sim_number(name + strlen("loop")) };
        tree_get(file, sizeof(file), LOOPS "/%s/loop/backing_file", name);
        (void) memccpy(ret->lo_file_name, file, '\0', sizeof(ret->lo_file_name) - 1);
        ret->lo_offset = tree_number(LOOPS "/%s/loop/offset", name);
        ret->lo_sizelimit = tree_number(LOOPS "/%s/loop/sizelimit", name);
        ret->lo_flags = (tree_number(LOOPS "/%s/ro", name) ? LO_FLAGS_READ_ONLY : 0) | (tree_number(LOOPS "/%s/loop/autoclear", name) ? LO_FLAGS_AUTOCLEAR : 0) |
                        (tree_number(LOOPS "/%s/loop/partscan", name) ? LO_FLAGS_PARTSCAN : 0) | (tree_number(LOOPS "/%s/loop/dio", name) ? LO_FLAGS_DIRECT_IO : 0);
        model_leave(); /* what it is it says to others only */
        int r = stat(file, &st);
        unsigned major, minor;
        uint64_t id;
        if (r == 0 && mount_statx(AT_FDCWD, file, 0, &major, &minor, &id))
                st.st_dev = makedev(major, minor);
        model_enter();
        ret->lo_rdevice = S_ISBLK(st.st_mode) ? st.st_rdev : 0;
        ret->lo_device = st.st_dev;
        ret->lo_inode = st.st_ino;
        return 0;
}

/* In use: when the last one has closed it (loop_clr_fd()). */
static int clear(const char *name) {
        unsigned major, minor;
        char number[32];

        if (!is_bound(name))
                return -ENXIO;
        tree_get(number, sizeof(number), LOOPS "/%s/dev", name);
        if (sscanf(number, "%u:%u", &major, &minor) == 2 && block_user(major, minor)) {
                tree_put("1", LOOPS "/%s/loop/autoclear", name);
                return 0;
        }
        tree_hide(LOOPS "/%s/loop", name);
        return 0;
}

static int configure(const char *name, const struct loop_config *c) {
        char link[64], file[PATH_MAX], text[32];

        if (is_bound(name))
                return -EBUSY;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%u", c->fd);
        ssize_t n = readlink(link, file, sizeof(file) - 1);
        if (n < 0)
                return -EBADF;
        file[n] = '\0';
        if (!tree_show(LOOPS "/%s/loop", name))
                return -ENOMEM;
        tree_put(file, LOOPS "/%s/loop/backing_file", name);
        (void) snprintf(text, sizeof(text), "%ju", (uintmax_t) c->info.lo_offset);
        tree_put(text, LOOPS "/%s/loop/offset", name);
        (void) snprintf(text, sizeof(text), "%ju", (uintmax_t) c->info.lo_sizelimit);
        tree_put(text, LOOPS "/%s/loop/sizelimit", name);
        tree_put(c->info.lo_flags & LO_FLAGS_AUTOCLEAR ? "1" : "0", LOOPS "/%s/loop/autoclear", name);
        return 0;
}

static int set(void *userdata) {
        const Loop *l = userdata;
        const struct loop_info64 *info = l->argument;

        if (l->request == LOOP_CLR_FD)
                return clear(l->name);
        if (l->request == LOOP_CONFIGURE)
                return configure(l->name, l->argument);
        if (!is_bound(l->name))
                return -ENXIO;
        tree_put(info->lo_flags & LO_FLAGS_AUTOCLEAR ? "1" : "0", LOOPS "/%s/loop/autoclear", l->name);
        return 0;
}

int block_ioctl(int fd, unsigned long request, void *argument) {
        char link[64], path[PATH_MAX];
        Loop l = { .request = request, .argument = argument };

        bool is = request == LOOP_GET_STATUS64 || request == LOOP_SET_STATUS64 || request == LOOP_CLR_FD || request == LOOP_CONFIGURE;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = is && shared() && !interposed_inside ? readlink(link, path, sizeof(path) - 1) : -1;
        if (n >= 0)
                path[n] = '\0';
        if (n < 0 || strncmp(path, "/dev/loop", strlen("/dev/loop")) != 0)
                return REAL(ioctl)(fd, request, argument);
        (void) snprintf(l.name, sizeof(l.name), "%.63s", path + strlen("/dev/"));
        if (request != LOOP_GET_STATUS64) {
                char what[96];
                (void) snprintf(what, sizeof(what), "%s: %s", l.name, request == LOOP_CLR_FD ? "detach" : request == LOOP_CONFIGURE ? "attach" : "flags");
                return interposed_call(what, set, &l);
        }
        model_enter();
        int r = status_get(l.name, argument);
        model_leave();
        return answered(r);
}
