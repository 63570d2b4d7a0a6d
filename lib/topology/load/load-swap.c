/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "kernel/block/swaps.h"
#include "topology/load/load.h"

/* Is the file of that name one that swap can be in? */
static bool fits(const Topology *t, const Swap *s) {
        struct stat st;

        return topology_file_system(t, s->dev) && stat(s->path, &st) >= 0 && S_ISREG(st.st_mode) && (uint64_t) st.st_size >= s->size;
}

static int take_by_name(Topology *t, const Swap *s) {
        _cleanup_free_ char *quoted = shell_quoted(s->path), *remedy = strf("swapoff %s", quoted ?: "");
        char who[] = "swap", evidence[] = "/proc/swaps";
        const KernelUser user = { .kind = KERNEL_USER_FILE, .who = who, .on = s->path, .evidence = evidence, .remedy = remedy };

        return remedy ? load_other_places(t, &user, s->dev) : -ENOMEM;
}

static int add_swap(Topology *t, SwapEntry *e) {
        Swap *s = TOPOLOGY_ADD(t, swaps);
        if (!s)
                return -ENOMEM;

        *s = (Swap) { .path = TAKE_PTR(e->path), .file = e->file, .size = e->size, .used = e->used, .priority = e->priority };
        if (s->file) {
                const Mount *m = topology_mount_of_path(t, topology_host_ns(t), s->path);
                s->dev = m ? m->dev : 0;
                return fits(t, s) ? 0 : take_by_name(t, s);
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
