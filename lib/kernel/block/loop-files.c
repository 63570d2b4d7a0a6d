/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all loop devices stand on, for whoever must not wait for one of them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "kernel/block/loop.h"
#include "kernel/pci/device-places.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

enum {
        ASK_SEC = 1,
        HANGS_MAX = 2, /* of files that do not answer */
};

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
        if (loop_number(name, &number) < 0 || attr_read(path, &file) < 0 || !l->wanted(name, file, l->userdata))
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

static int ask_apart(void *data, char **ret_text) {
        const Asking *a = data;

        for (; *a->at < a->files->n; ++*a->at) {
                LoopFile *file = &a->files->files[*a->at];
                struct loop_info64 info = { 0 };

                _cleanup_close_ int fd = loop_open(a->files->names[*a->at], O_RDONLY);
                if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) >= 0) {
                        file->node = info.lo_rdevice;
                        file->device = info.lo_device;
                        file->answered = true;
                }
                file->asked = true;
        }
        return 0;
}

/* One after the other, and from one that hangs on in another process. */
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

static const LoopFile *find(const LoopFiles *l, const char *name) {
        uint64_t number;
        size_t i;

        return l->files && loop_number(name, &number) >= 0 && id_map_find(&l->places, number, &i) ? &l->files[i] : NULL;
}

const LoopFile *loop_files_find(const LoopFiles *l, const char *name) {
        const LoopFile *file = find(l, name);

        return file && file->answered ? file : NULL;
}

bool loop_files_unasked(const LoopFiles *l, const char *name) {
        const LoopFile *file = find(l, name);

        return file ? !file->asked : loop_is_bound(name);
}
