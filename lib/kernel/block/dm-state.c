/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/block/dm-state.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/apart.h"

#define CONTROL "/dev/mapper/control"

enum {
        FIRST_BYTES = 16 * 1024,
        MOST_BYTES = 4 * 1024 * 1024,
};

void dm_targets_done(DmTargets *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].type);
                free(l->items[i].params);
                free(l->items[i].status);
        }
        free(l->items);
        *l = (DmTargets) { 0 };
}

/* Those whose parts matter. */
static bool has_parts(const char *type) {
        return streq(type, "raid") || streq(type, "multipath") || streq(type, "mirror");
}

/* In a buffer that is large enough; newly allocated. The kernel wipes its own copy. */
static int ask(int control, dev_t dev, uint32_t flags, struct dm_ioctl **ret) {
        for (size_t size = FIRST_BYTES; size <= MOST_BYTES; size *= 4) {
                _cleanup_free_ struct dm_ioctl *io = calloc(1, size);
                if (!io)
                        return -ENOMEM;
                *io = (struct dm_ioctl) {
                        .version = { DM_VERSION_MAJOR, 0, 0 },
                        .data_size = (uint32_t) size, .data_start = sizeof(*io),
                        .dev = (uint64_t) dev, .flags = flags | DM_SECURE_DATA_FLAG,
                };
                if (ioctl(control, DM_TABLE_STATUS, io) < 0)
                        return -errno;
                if (io->flags & DM_BUFFER_FULL_FLAG) {
                        explicit_bzero(io, size);
                        continue;
                }
                *ret = TAKE_PTR(io);
                return 0;
        }
        return -EFBIG;
}

/* A line for each target of the answer. 1: one of them has parts whose status is told. */
static int print(FILE *out, dev_t dev, const char *half, const struct dm_ioctl *io) {
        const char *data = (const char *) io + io->data_start, *end = (const char *) io + io->data_size;
        uint32_t at = 0;
        int parts = 0;

        for (uint32_t i = 0; i < io->target_count; i++) {
                struct dm_target_spec spec;
                const char *params = data + at + sizeof(spec);

                if (params >= end)
                        return -EBADMSG;
                memcpy(&spec, data + at, sizeof(spec));
                spec.target_type[sizeof(spec.target_type) - 1] = '\0';
                /* Those whose parameters say whether they come back. Of all others they stay in the kernel: a key may be among them. */
                const char *type = spec.target_type;
                bool table = streq(half, "table"), shown = has_parts(type) || (table && (streq(type, "snapshot") || streq(type, "snapshot-merge") ||
                                                                                          streq(type, "verity")));
                if (table || shown)
                        fprintf(out, "%u:%u %s %s%s%.*s\n", major(dev), minor(dev), half, table ? type : "",
                                table && shown ? " " : "", shown ? (int) strnlen(params, (size_t) (end - params)) : 0, params);
                parts = parts || has_parts(type);
                at = spec.next;
        }
        return parts;
}

static int ask_half(int control, FILE *out, dev_t dev, const char *half, uint32_t flags) {
        struct dm_ioctl *io = NULL;

        int r = ask(control, dev, flags | DM_NOFLUSH_FLAG, &io);
        if (r >= 0) {
                r = print(out, dev, half, io);
                explicit_bzero(io, io->data_size);
        }
        free(io);
        return r == -ENXIO ? 0 : r;
}

typedef struct Question {
        const dev_t *devs;
        size_t n;
} Question;

static int ask_all(void *data, char **ret_text) {
        const Question *q = data;
        size_t size;

        _cleanup_close_ int control = open(CONTROL, O_RDWR | O_CLOEXEC);
        if (control < 0)
                return -errno;
        FILE *out = open_memstream(ret_text, &size);
        int r = out ? 0 : -ENOMEM;
        for (size_t i = 0; i < q->n && r >= 0; i++) {
                r = ask_half(control, out, q->devs[i], "table", DM_STATUS_TABLE_FLAG);
                if (r > 0)
                        r = ask_half(control, out, q->devs[i], "status", 0);
        }
        if (out && fclose(out) != 0)
                r = -ENOMEM;
        return r < 0 ? r : 0;
}

/* The parameters of a status belong to the next target of that mapping that has none yet. */
static int add_status(DmTargets *l, dev_t dev, const char *status) {
        for (size_t i = 0; i < l->n; i++)
                if (l->items[i].dev == dev && has_parts(l->items[i].type) && !l->items[i].status) {
                        l->items[i].status = strdup(status);
                        return l->items[i].status ? 0 : -ENOMEM;
                }
        return -EBADMSG;
}

static int parse_line(DmTargets *l, char *line) {
        char *rest = line, *number = strsep(&rest, " "), *half = strsep(&rest, " ");
        dev_t dev;

        if (!half || !rest || dev_parse(number, &dev) < 0)
                return -EBADMSG;
        if (!streq(half, "table"))
                return add_status(l, dev, rest);
        int r = vec_grow((void **) &l->items, l->n, &l->a, sizeof(DmTarget));
        if (r < 0)
                return r;
        DmTarget *t = &l->items[l->n++];
        char *params = strchr(rest, ' ');
        *t = (DmTarget) { .dev = dev, .type = strndup(rest, strcspn(rest, " ")), .params = params ? strdup(params + 1) : NULL };
        return t->type && (!params || t->params) ? 0 : -ENOMEM;
}

int dm_targets_parse(const char *text, DmTargets *ret) {
        _cleanup_free_ char *copy = strdup(text);
        _cleanup_dm_targets_ DmTargets l = { 0 };
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *line; r >= 0 && (line = strsep(&rest, "\n"));)
                r = *line ? parse_line(&l, line) : 0;
        if (r < 0)
                return r;
        *ret = l;
        l = (DmTargets) { 0 };
        return 0;
}

int dm_targets_read(const dev_t *devs, size_t n, uint64_t timeout_usec, DmTargets *ret) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = timeout_usec };
        Question q = { devs, n };
        _cleanup_free_ char *text = NULL;
        struct stat st;

        if (stat(CONTROL, &st) < 0)
                return -errno;
        /* A recorded machine has the answers in its place. */
        int r = S_ISREG(st.st_mode) ? read_file(CONTROL, &text, NULL) : run_apart(ask_all, &q, &options, &text);
        return r < 0 ? r : dm_targets_parse(text ?: "", ret);
}
