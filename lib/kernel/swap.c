/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <sys/swap.h>

#include "base/fileio.h"
#include "kernel/mount-ns.h"
#include "kernel/swap.h"

typedef struct Work {
        const char *path;
        int flags;
} Work;

static int off_apart(void *data, char **ret_text) {
        const Work *w = data;

        int r = mount_ns_enter_host();
        return r < 0 ? r : swapoff(w->path) < 0 ? -errno : 0;
}

int swap_off(const char *path, const ApartOptions *options) {
        _cleanup_free_ char *what = strf("swapoff %s", path);
        ApartOptions told = *options;
        Work w = { .path = path };

        told.what = what;
        return what ? run_apart(off_apart, &w, &told, NULL) : -ENOMEM;
}

static int on_apart(void *data, char **ret_text) {
        const Work *w = data;

        int r = mount_ns_enter_host();
        return r < 0 ? r : swapon(w->path, w->flags) < 0 ? -errno : 0;
}

int swap_on(const char *path, int priority, const ApartOptions *options) {
        _cleanup_free_ char *what = strf("swapon %s", path);
        ApartOptions told = *options;
        Work w = { .path = path };

        told.what = what;
        if (priority >= 0)
                w.flags = SWAP_FLAG_PREFER | ((priority << SWAP_FLAG_PRIO_SHIFT) & SWAP_FLAG_PRIO_MASK);
        return what ? run_apart(on_apart, &w, &told, NULL) : -ENOMEM;
}

int memory_available(uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        uint64_t kib;

        int r = read_file("/proc/meminfo", &text, NULL);
        if (r < 0)
                return r;
        const char *line = strstr(text, "MemAvailable:");
        if (!line || sscanf(line, "MemAvailable: %" SCNu64 " kB", &kib) != 1)
                return -EBADMSG;
        *ret = kib * 1024;
        return 0;
}
