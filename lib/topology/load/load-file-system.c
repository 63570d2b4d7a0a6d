/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems and what they stand on, from their mounts: block devices, and for an overlay the file systems of its folders.
 * Everything is told from what the kernel prints; no file system is asked, for it might not answer. */
#include <errno.h>

#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define BTRFS "/sys/fs/btrfs"

static int add_device(FileSystem *fs, const BlockDevice *b) {
        if (!b)
                return 0;
        for (size_t i = 0; i < fs->n_devices; i++)
                if (streq(fs->devices[i], b->name))
                        return 0;
        return strings_add(&fs->devices, &fs->n_devices, &fs->a_devices, b->name);
}

/* "/dev/pmem0", or all of them: "/dev/pmem0:/dev/sda1" (bcachefs). */
static int add_sources(const Topology *t, FileSystem *fs, const char *source) {
        _cleanup_free_ char *copy = strdup(source);
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *path; r >= 0 && (path = strsep(&rest, ":"));)
                r = add_device(fs, topology_block_device_of_path(t, path));
        return r;
}

/* The devices of a volume are links in its folder; a mount names one of them only (fs/btrfs/sysfs.c). */
static int add_btrfs_volume(Topology *t, FileSystem *fs, const char *volume) {
        _cleanup_listing_ Listing l = { 0 };
        bool ours = false;

        int r = listing_readf(&l, BTRFS "/%s/devices", volume);
        if (r < 0)
                return is_gone(r) || r == -ENOTDIR ? 0 : odd_addf(t, r, BTRFS "/%s/devices", volume);
        for (size_t i = 0; i < l.n && !ours; i++)
                ours = fs->n_devices > 0 && streq(l.names[i], fs->devices[0]);
        for (size_t i = 0; ours && i < l.n && r >= 0; i++)
                r = add_device(fs, topology_block_device(t, l.names[i]));
        return r;
}

static int add_btrfs(Topology *t, FileSystem *fs) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, BTRFS);
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = add_btrfs_volume(t, fs, l.names[i]);
        return r;
}

static int add_sections(const Topology *t, FileSystem *fs, const char *options) {
        _cleanup_free_ char *copy = strdup(options);
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *option; r >= 0 && (option = strsep(&rest, ","));) {
                const char *path = mount_section(option);
                if (path)
                        r = add_device(fs, topology_block_device_of_path(t, path));
        }
        return r;
}

static int add_layer(FileSystem *fs, dev_t dev) {
        for (size_t i = 0; i < fs->n_layers; i++)
                if (fs->layers[i] == dev)
                        return 0;
        int r = vec_grow((void **) &fs->layers, fs->n_layers, &fs->a_layers, sizeof(fs->layers[0]));
        if (r < 0)
                return r;
        fs->layers[fs->n_layers++] = dev;
        return 0;
}

/* The folders were said by whoever mounted it. In the namespace of a container they may lead nowhere, or to the overlay itself,
 * which is the container's root; then it was mounted from outside. */
static const Mount *mount_of_folder(const Topology *t, const Mount *overlay, const char *folder) {
        const Mount *m = topology_mount_of_path(t, overlay->ns, folder);

        return m && m->dev != overlay->dev ? m : topology_mount_of_path(t, topology_host_ns(t), folder);
}

/* One that lies on another overlay is as good as that one. */
static bool is_on_disk(const Topology *t, const Mount *m) {
        return m && (topology_block_device_at(t, m->dev) || streq(m->type, "overlay") || (startswith(m->source, "/dev/") &&
                     !mount_source_is_free(m->type)));
}

static int add_overlay(const Topology *t, FileSystem *fs, const Mount *m) {
        _cleanup_(overlay_folders_done) OverlayFolders folders = { 0 };
        bool relative = false;

        int r = overlay_folders_parse(m->super_options, &folders);
        for (size_t i = 0; i < folders.n_paths && r >= 0; i++) {
                const Mount *below = mount_of_folder(t, m, folders.paths[i]);
                if (folders.paths[i][0] == '/')
                        fs->layer_unseen |= m->foreign && !is_on_disk(t, below);
                else
                        relative = true;
                if (below && below->dev != fs->dev)
                        r = add_layer(fs, below->dev);
        }
        /* Container engines shorten the paths by going into their folder first: that of the upper one, which is on the same file system, or
         * where they mount it. */
        if (r >= 0 && relative && fs->n_layers == 0 && m->parent && m->parent->dev != fs->dev)
                r = add_layer(fs, m->parent->dev);
        fs->layer_unseen |= m->foreign && relative && fs->n_layers == 0;
        return r;
}

static int add_mount(Topology *t, const Mount *m) {
        FileSystem *fs = TOPOLOGY_ADD(t, file_systems);
        if (!fs)
                return -ENOMEM;
        fs->dev = m->dev;
        fs->type = strdup(m->type);
        if (!fs->type)
                return -ENOMEM;

        bool overlay = streq(m->type, "overlay");
        int r = add_device(fs, topology_block_device_at(t, m->dev));
        if (r >= 0 && fs->n_devices == 0 && startswith(m->source, "/dev/") && !mount_source_is_free(m->type))
                r = add_sources(t, fs, m->source);
        if (r >= 0 && streq(m->type, "btrfs"))
                r = add_btrfs(t, fs);
        if (r >= 0 && (streq(m->type, "xfs") || streq(m->type, "reiserfs")))
                r = add_sections(t, fs, m->super_options);
        if (r >= 0 && overlay)
                r = add_overlay(t, fs, m);
        if (r >= 0 && fs->n_devices == 0 && !overlay)
                topology_drop_file_system(t);
        return r;
}

static int by_dev(const void *a, const void *b) {
        const Mount *x = *(const Mount *const *) a, *y = *(const Mount *const *) b;

        return x->dev < y->dev ? -1 : x->dev > y->dev;
}

/* Numbers the file systems: ret[i] is that of t->mounts[i]. */
static int number_file_systems(const Topology *t, size_t *ret) {
        _cleanup_free_ const Mount **sorted = calloc(t->n_mounts + 1, sizeof(*sorted));
        size_t number = 0;

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_mounts; i++)
                sorted[i] = &t->mounts[i];
        if (t->n_mounts > 1)
                qsort(sorted, t->n_mounts, sizeof(*sorted), by_dev);
        for (size_t i = 0; i < t->n_mounts; i++) {
                number += i > 0 && sorted[i]->dev != sorted[i - 1]->dev;
                ret[sorted[i] - t->mounts] = number;
        }
        return 0;
}

/* One mount of a file system tells all about it: the first that tells of a device, which is that of the host's namespace where that
 * has one. */
int load_file_systems(Topology *t) {
        _cleanup_free_ size_t *numbers = calloc(t->n_mounts + 1, sizeof(*numbers));
        _cleanup_free_ bool *known = calloc(t->n_mounts + 1, sizeof(*known));
        int r = numbers && known ? number_file_systems(t, numbers) : -ENOMEM;

        for (size_t i = 0; i < t->n_mounts && r >= 0; i++) {
                size_t before = t->n_file_systems;
                if (known[numbers[i]])
                        continue;
                r = add_mount(t, &t->mounts[i]);
                known[numbers[i]] = t->n_file_systems > before;
        }
        return r < 0 ? r : topology_index(t);
}
