/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From paths to what they lead to. */
#include <limits.h>
#include <sys/stat.h>

#include "topology/topology.h"

uint64_t topology_host_ns(const Topology *t) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].pid == 1)
                        return t->mounts[i].ns;
        return 0;
}

/* Is this the folder itself or something in it? */
static bool is_within(const char *path, const char *folder) {
        const char *rest = startswith(path, folder);

        return rest && (*rest == '\0' || *rest == '/' || streq(folder, "/"));
}

static bool has_parent(const Topology *t, const Mount *m) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].ns == m->ns && t->mounts[i].id == m->parent_id && &t->mounts[i] != m)
                        return true;
        return false;
}

/* What the namespace begins with: nothing that can be seen is below it. */
static const Mount *root_mount(const Topology *t, uint64_t ns) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].ns == ns && streq(t->mounts[i].target, "/") && !has_parent(t, &t->mounts[i]))
                        return &t->mounts[i];
        return NULL;
}

/* The mount on `m` that a walk along the path meets first, or NULL. */
static const Mount *mount_on(const Topology *t, const Mount *m, const char *path) {
        const Mount *first = NULL;

        for (size_t i = 0; i < t->n_mounts; i++) {
                const Mount *child = &t->mounts[i];
                if (child->ns != m->ns || child->parent_id != m->id || child == m || !is_within(path, child->target))
                        continue;
                if (!first || strlen(child->target) < strlen(first->target))
                        first = child;
        }
        return first;
}

const Mount *topology_mount_of_path(const Topology *t, uint64_t ns, const char *path) {
        const Mount *m = path[0] == '/' ? root_mount(t, ns) : NULL;

        /* No more turns than there are mounts, whatever their numbers say. */
        for (size_t i = 0; m && i < t->n_mounts; i++) {
                const Mount *next = mount_on(t, m, path);
                if (!next)
                        break;
                m = next;
        }
        return m;
}

/* devtmpfs has "/" where sysfs, which cannot, has "!" ("cciss!c0d0"). */
static bool is_node_name(const char *sysfs, const char *node) {
        for (; *sysfs && *node; sysfs++, node++)
                if (*sysfs != *node && !(*sysfs == '!' && *node == '/'))
                        return false;
        return *sysfs == *node;
}

static const BlockDevice *block_of_node(const Topology *t, const char *node) {
        const char *mapped = startswith(node, "mapper/");

        for (size_t i = 0; i < t->n_block_devices; i++) {
                const BlockDevice *b = &t->block_devices[i];
                if (is_node_name(b->name, node) || (mapped && b->kind == BLOCK_DM && streq_ptr(b->label, mapped)))
                        return b;
        }
        return NULL;
}

const BlockDevice *topology_block_device_of_path(const Topology *t, const char *path) {
        const char *node = startswith(path, "/dev/");
        struct stat st;

        if (!node || strstr(path, "/../"))
                return NULL;
        const BlockDevice *b = block_of_node(t, node);
        if (b)
                return b;
        /* A link (by-uuid, a volume's). What is below /dev answers by itself. */
        return stat(path, &st) >= 0 && S_ISBLK(st.st_mode) ? topology_block_device_at(t, st.st_rdev) : NULL;
}
