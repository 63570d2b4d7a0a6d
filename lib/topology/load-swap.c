/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/swaps.h"
#include "topology/load.h"

static int add_swap(Topology *t, SwapEntry *e) {
        Swap *s = TOPOLOGY_ADD(t, swaps);
        if (!s)
                return -ENOMEM;

        *s = (Swap) { .path = TAKE_PTR(e->path), .file = e->file, .size = e->size, .used = e->used, .priority = e->priority };
        if (s->file) {
                const Mount *m = topology_mount_of_path(t, topology_host_ns(t), s->path);
                s->dev = m ? m->dev : 0;
        } else {
                const BlockDevice *b = topology_block_device_of_path(t, s->path);
                s->dev = b ? b->dev : 0;
        }
        return 0;
}

int load_swaps(Topology *t) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/swaps", &text, NULL);
        if (r >= 0)
                r = swaps_parse(text, &l);
        if (r < 0 && r != -ENOENT)
                r = odd_add(t, r, "/proc/swaps");
        for (size_t i = 0; i < l.n_items && r != -ENOMEM; i++)
                r = add_swap(t, &l.items[i]);
        return r == -ENOMEM ? r : 0;
}
