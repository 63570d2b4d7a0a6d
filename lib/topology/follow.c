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
static const BlockDevice *block_of_node(const Topology *t, const char *node) {
        const char *mapped = startswith(node, "mapper/");
        char name[NAME_MAX + 1];
        size_t n = strlen(node);

        if (mapped)
                return topology_mapping(t, mapped);
        if (n >= sizeof(name))
                return NULL;
        for (size_t i = 0; i <= n; i++)
                name[i] = node[i] == '/' ? '!' : node[i];
        return topology_block_device(t, name);
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
