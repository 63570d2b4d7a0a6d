/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An NVMe namespace that more than one controller could lead to is shown as a disk of no device in particular, with a hidden one
 * for each controller (drivers/nvme/host/multipath.c). As long as all of them are of the same function, that is the one it is on. */
#include <errno.h>

#include "kernel/pci/nvme-path.h"
#include "topology/load/load.h"

static BlockDevice *device(Topology *t, const char *name) {
        return topology_own(t, topology_block_device(t, name));
}

static int find_paths(Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++) {
                _cleanup_free_ char *name = nvme_path_head(t->block_devices[i].name);
                BlockDevice *head = name ? device(t, name) : NULL;
                if (!head)
                        continue;
                head->multipath = true;
                int r = strings_add(&head->lower, &head->n_lower, &head->a_lower, t->block_devices[i].name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The function that all paths are on, or NULL. */
static const char *common_function(Topology *t, const BlockDevice *head) {
        const char *bdf = NULL;

        for (size_t i = 0; i < head->n_lower; i++) {
                const BlockDevice *path = device(t, head->lower[i]);
                if (!path->bdf || (bdf && !streq(path->bdf, bdf)))
                        return NULL;
                bdf = path->bdf;
        }
        return bdf;
}

static int settle(Topology *t, BlockDevice *head) {
        const char *bdf = common_function(t, head);

        if (!bdf)
                return 0;
        head->multipath = false;
        head->bdf = strdup(bdf);
        return head->bdf ? 0 : -ENOMEM;
}

static int settle_partition(Topology *t, BlockDevice *b) {
        const BlockDevice *disk = b->kind == BLOCK_PARTITION && !b->bdf ? device(t, b->disk) : NULL;

        if (!disk || !disk->bdf)
                return 0;
        b->bdf = strdup(disk->bdf);
        return b->bdf ? 0 : -ENOMEM;
}

static int read_troubles(Topology *t, const BlockDevice *head) {
        int r = 0;

        for (size_t i = 0; i < head->n_lower && r >= 0; i++)
                r = nvme_path_trouble(head->lower[i], &device(t, head->lower[i])->trouble);
        return r;
}

int load_nvme_paths(Topology *t) {
        int r = find_paths(t);

        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                if (t->block_devices[i].multipath) {
                        r = read_troubles(t, &t->block_devices[i]);
                        if (r >= 0)
                                r = settle(t, &t->block_devices[i]);
                }
        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                r = settle_partition(t, &t->block_devices[i]);
        return r;
}
