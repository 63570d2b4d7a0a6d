/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/block/swap.h"
#include "kernel/memory/own-memory.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/sysfs/escape.h"

void swap_entries_done(SwapEntries *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].path);
        free(l->items);
        *l = (SwapEntries) { 0 };
}

/* Fields stand in columns, with tabs and blanks between. */
static char *take_field(char **rest) {
        char *field;

        do
                field = strsep(rest, " \t");
        while (field && !*field);
        return field;
}

static int take_kib(char **rest, uint64_t *ret) {
        const char *field = take_field(rest);
        uint64_t kib, bytes;

        if (!field || parse_u64(field, &kib) < 0 || __builtin_mul_overflow(kib, 1024, &bytes))
                return -EBADMSG;
        *ret = bytes;
        return 0;
}

/* The kernel's own are negative. */
static int take_priority(char **rest, int *ret) {
        const char *field = take_field(rest);
        bool negative = field && *field == '-';
        uint64_t v;

        if (!field || parse_u64(field + negative, &v) < 0 || v > INT32_MAX)
                return -EBADMSG;
        *ret = negative ? -(int) v : (int) v;
        return 0;
}

static int parse_line(char *line, SwapEntry *s) {
        char *rest = line, *path = take_field(&rest);
        const char *type = take_field(&rest);

        if (!path || !type)
                return -EBADMSG;
        s->file = streq(type, "file");

        int r = take_kib(&rest, &s->size);
        if (r >= 0)
                r = take_kib(&rest, &s->used);
        if (r >= 0)
                r = take_priority(&rest, &s->priority);
        if (r < 0)
                return r;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        octal_unescape(s->path);
        return 0;
}

int swaps_parse(const char *text, SwapEntries *l) {
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        (void) strsep(&rest, "\n");
        for (char *line; (line = strsep(&rest, "\n"));) {
                SwapEntry s = { 0 };

                if (!*line)
                        continue;
                int r = parse_line(line, &s);
                if (r >= 0)
                        r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
                if (r < 0) {
                        free(s.path);
                        return r;
                }
                l->items[l->n_items++] = s;
        }
        return 0;
}

typedef struct Work {
        const char *path;
        json_object *id;        /* of a file; NULL: a device */
        int flags;
} Work;

static int id_apart(void *data, char **ret_text) {
        _cleanup_json_ json_object *id = NULL;
        const Work *w = data;
        struct stat st;

        int r = mount_ns_enter_host();
        if (r < 0)
                return r;
        _cleanup_close_ int fd = path_open_straight(w->path);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        id = S_ISREG(st.st_mode) ? file_id(fd) : NULL;
        if (!id)
                return -ENODATA;
        *ret_text = strdup(json_text(id));
        return *ret_text ? 0 : -ENOMEM;
}

int swap_file_id(const char *path, uint64_t timeout_usec, json_object **ret) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;
        Work w = { .path = path };

        int r = run_apart(id_apart, &w, &options, &text);
        if (r < 0)
                return r;
        return text ? json_parse(text, strlen(text), ret) : -EBADMSG;
}

/* How the kernel is told which: a file by a descriptor of that very one. -ESTALE: it is not there. */
static int enter_and_name(const Work *w, char **ret_path) {
        _cleanup_json_ json_object *now = NULL;

        int r = mount_ns_enter_host();
        if (r < 0)
                return r;
        if (!w->id) {
                *ret_path = strdup(w->path);
                return *ret_path ? 0 : -ENOMEM;
        }
        int fd = path_open_straight(w->path); /* until this process ends */
        if (fd < 0)
                return fd == -ELOOP || fd == -ENOENT ? -ESTALE : fd;
        now = file_id(fd);
        if (!now || !file_id_same(w->id, now))
                return file_id_tells(w->id, now) ? -ESTALE : -ENODATA;
        *ret_path = strf("/proc/self/fd/%d", fd);
        return *ret_path ? 0 : -ENOMEM;
}

static int off_apart(void *data, char **ret_text) {
        _cleanup_free_ char *path = NULL;

        int r = enter_and_name(data, &path);
        /* What comes back finds room by the policy of who takes the swap off, where its owner has none: on other cards too. */
        (void) own_memory_unbind();
        return r < 0 ? r : swapoff(path) < 0 ? -errno : 0;
}

int swap_off(const char *path, json_object *id, const ApartOptions *options) {
        _cleanup_free_ char *what = strf("swapoff %s", path);
        ApartOptions told = *options;
        Work w = { .path = path, .id = id };

        told.what = what;
        return what ? run_apart(off_apart, &w, &told, NULL) : -ENOMEM;
}

static int on_apart(void *data, char **ret_text) {
        _cleanup_free_ char *path = NULL;
        const Work *w = data;

        int r = enter_and_name(w, &path);
        return r < 0 ? r : swapon(path, w->flags) < 0 ? -errno : 0;
}

int swap_on(const char *path, json_object *id, int priority, const ApartOptions *options) {
        _cleanup_free_ char *what = strf("swapon %s", path);
        ApartOptions told = *options;
        Work w = { .path = path, .id = id };

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
