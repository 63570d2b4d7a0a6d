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
