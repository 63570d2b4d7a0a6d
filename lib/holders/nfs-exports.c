/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "holders/nfs-exports.h"
#include "holders/seen-mounts.h"
#include "kernel/sysfs/escape.h"

static void nfs_export_done(NfsExport *e) {
        free(e->path);
        free(e->client);
}

void nfs_exports_done(NfsExports *e) {
        for (size_t i = 0; i < e->n_items; i++)
                nfs_export_done(&e->items[i]);
        free(e->items);
        *e = (NfsExports) { 0 };
}

/* "PATH CLIENT(FLAGS)", both with the kernel's escapes (fs/nfsd/export.c:svc_export_show). */
static int parse_line(const char *line, size_t length, NfsExports *list) {
        const char *end = line + length, *separator = line + strcspn(line, "\t ");
        const char *flags = separator < end ? memchr(separator, '(', (size_t) (end - separator)) : NULL;

        if (separator == line || !flags || flags < separator + 2)
                return -EBADMSG;
        int r = vec_grow((void **) &list->items, list->n_items, &list->n_allocated, sizeof(NfsExport));
        if (r < 0)
                return r;
        NfsExport e = {
                .path = strndup(line, (size_t) (separator - line)),
                .client = strndup(separator + 1, (size_t) (flags - separator - 1)),
        };
        if (!e.path || !e.client) {
                nfs_export_done(&e);
                return -ENOMEM;
        }
        octal_unescape(e.path);
        octal_unescape(e.client);
        if (!*e.path || !*e.client) {
                nfs_export_done(&e);
                return -EBADMSG;
        }
        list->items[list->n_items++] = e;
        return 0;
}

/* An entry behind "# " is out of date: nobody is served by it, but it has its path until it is cleaned away. Other comments are
 * for people. */
int nfs_exports_parse(const char *text, NfsExports *e) {
        while (*text) {
                size_t length = strcspn(text, "\n");
                const char *line = startswith(text, "# /") ? text + 2 : text;

                int r = *line == '#' || length == 0 ? 0 : parse_line(line, length - (size_t) (line - text), e);
                if (r < 0)
                        return r;
                text += length + (text[length] == '\n');
        }
        return 0;
}

/* The server's own folder is only there when somebody mounted it. */
static int read_exports(char **ret) {
        static const char *const paths[] = { "/proc/net/rpc/nfsd.export/content", "/proc/fs/nfsd/exports" };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                int r = read_file(paths[i], ret, NULL);
                if (r != -ENOENT)
                        return r;
        }
        *ret = NULL;
        return 0;
}

static bool file_system_of(const char *path, const SeenMounts *mounts, dev_t *ret) {
        struct statx st;

        if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &st) < 0)
                return false;
        const SeenMount *m = seen_mount(mounts, st.stx_mnt_id);
        *ret = m ? m->dev : makedev(st.stx_dev_major, st.stx_dev_minor);
        return true;
}

/* An export whose path nobody finds any more (hidden under another mount) is nobody's. */
static bool find_target(const HoldTargets *targets, const char *path, const SeenMounts *mounts, size_t *ret) {
        dev_t dev;

        if (!file_system_of(path, mounts, &dev))
                return false;
        for (size_t i = 0; i < targets->n_items; i++)
                if (targets->items[i].kind == TARGET_FS && targets->items[i].dev == dev) {
                        *ret = i;
                        return true;
                }
        return false;
}

int nfs_exports_find(const HoldTargets *targets, NfsExports *ret) {
        _cleanup_nfs_exports_ NfsExports all = { 0 }, found = { 0 };
        _cleanup_(seen_mounts_done) SeenMounts mounts = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = read_exports(&text);
        if (r >= 0 && text)
                r = nfs_exports_parse(text, &all);
        if (r < 0)
                return r;
        _cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (all.n_items > 0 && self >= 0)
                r = seen_mounts_learn(&mounts, self);
        for (size_t i = 0; i < all.n_items && r >= 0; i++) {
                size_t target;

                if (!find_target(targets, all.items[i].path, &mounts, &target))
                        continue;
                r = vec_grow((void **) &found.items, found.n_items, &found.n_allocated, sizeof(NfsExport));
                if (r >= 0)
                        found.items[found.n_items++] = (NfsExport) {
                                .path = TAKE_PTR(all.items[i].path),
                                .client = TAKE_PTR(all.items[i].client),
                                .target = target,
                        };
        }
        if (r < 0)
                return r;
        *ret = found;
        found = (NfsExports) { 0 };
        return 0;
}

json_object *nfs_export_to_json(const NfsExport *e, const HoldTargets *targets) {
        json_object *o = json_object_new_object();

        json_set_str(o, "kind", "nfs-export");
        json_set_str(o, "path", e->path);
        json_set_str(o, "client", e->client);
        json_set_str(o, "target", targets->items[e->target].name);
        return o;
}
