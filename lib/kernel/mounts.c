/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "kernel/apart.h"
#include "kernel/mounts.h"
#include "kernel/unmount.h"

bool mounted_fs_is(const MountedFs *fs, const MountEntry *m) {
        return (fs->dev == 0 || m->dev == fs->dev) && streq(m->type, fs->type);
}

int mount_ns_for_each(int (*visit)(const MountNs *ns, int proc_fd, void *data), void *data) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };

        /* /proc need not be mounted there. */
        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (proc_fd < 0)
                return -errno;
        _cleanup_close_ int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (home < 0)
                return -errno;

        int r = mount_ns_list(&l);
        for (size_t i = 0; i < l.n_items && r >= 0; i++) {
                _cleanup_close_ int fd = mount_ns_open(l.items[i].id, l.items[i].path);
                if (fd == -ENOENT || fd == -ESRCH)
                        continue;
                r = fd < 0 ? fd : mount_ns_enter(fd);
                if (r >= 0)
                        r = visit(&l.items[i], proc_fd, data);
                /* The next one's path is one of ours. */
                if (r >= 0)
                        r = mount_ns_enter(home);
        }
        return r;
}

/* Only a namespace that no process speaks for is entered. */
static int table_of(const MountNs *ns, int proc_fd, int home, MountEntries *l) {
        _cleanup_free_ char *text = NULL;

        int r = mount_ns_text(ns, &text);
        if (r != -EAGAIN)
                return r < 0 ? r : mountinfo_parse(text, l);
        _cleanup_close_ int fd = mount_ns_open(ns->id, ns->path);
        if (fd == -ENOENT || fd == -ESRCH)
                return 0;
        r = fd < 0 ? fd : mount_ns_enter(fd);
        if (r >= 0)
                r = mount_ns_read(proc_fd, l);
        return r < 0 ? r : mount_ns_enter(home);
}

int mount_tables_for_each(int (*visit)(const MountNs *ns, const MountEntries *l, void *data), void *data) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };

        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (proc_fd < 0)
                return -errno;
        int r = mount_ns_list(&l);
        for (size_t i = 0; i < l.n_items && r >= 0; i++) {
                _cleanup_mount_entries_ MountEntries entries = { 0 };

                r = table_of(&l.items[i], proc_fd, home, &entries);
                if (r >= 0)
                        r = visit(&l.items[i], &entries, data);
        }
        return r;
}

static json_object *on_top(const MountEntries *l, const MountEntry *below, const MountedFs *fs, bool names) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < l->n_items; i++) {
                const MountEntry *m = &l->items[i];
                if (m->parent_id != below->id || m->id == below->id || mounted_fs_is(fs, m) || mount_is_name(m->type, m->root) != names)
                        continue;
                _cleanup_free_ char *name = names ? strf("%s at %s", m->root, m->target) : NULL;
                json_append_str(array, names ? name : m->target);
        }
        return array;
}

static json_object *mount_json(const MountNs *ns, const MountEntry *m) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "ns", ns->id);
        json_set_u64(o, "pid", (uint64_t) ns->pid);
        json_set_str(o, "ns_path", ns->path);
        json_set_u64(o, "id", m->id);
        json_set_u64(o, "parent_id", m->parent_id);
        json_set_str(o, "root", m->root);
        json_set_str(o, "target", m->target);
        json_set_str(o, "options", m->options);
        json_set_str(o, "propagation", m->propagation);
        json_set_str(o, "source", m->source);
        json_set_str(o, "super_options", m->super_options);
        return o;
}

typedef struct Find {
        const MountedFs *fs;
        json_object *found;
} Find;

static int find_in_ns(const MountNs *ns, const MountEntries *l, void *data) {
        Find *f = data;

        for (size_t i = 0; i < l->n_items; i++) {
                const MountEntry *m = &l->items[i];
                if (!mounted_fs_is(f->fs, m))
                        continue;
                json_object *o = mount_json(ns, m);
                json_set(o, "on_top", on_top(l, m, f->fs, false));
                json_set(o, "names", on_top(l, m, f->fs, true));
                json_object_array_add(f->found, o);
        }
        return 0;
}

static int find_apart(void *data, char **ret_text) {
        Find f = { .fs = data, .found = json_object_new_array() };

        int r = mount_tables_for_each(find_in_ns, &f);
        *ret_text = strdup(json_text(f.found));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

int mounts_find(const MountedFs *fs, uint64_t timeout_usec, json_object **ret) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(find_apart, (void *) fs, &options, &text);
        if (r < 0)
                return r;
        return text ? json_parse_names(text, strlen(text), ret) : -EBADMSG;
}
