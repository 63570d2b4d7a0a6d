/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

int parse_node(const char *text, int *ret) {
        uint64_t v;

        if (streq(text, "-1")) {
                *ret = -1;
                return 0;
        }
        int r = parse_u64(text, &v);
        if (r < 0)
                return r;
        if (v > INT32_MAX)
                return -ERANGE;
        *ret = (int) v;
        return 0;
}

/* "Node 1 MemFree:          510000 kB" (drivers/base/node.c:node_read_meminfo). 0 for a line this kernel does not have. */
static uint64_t meminfo_bytes(const char *text, const char *key) {
        const char *p = strstr(text, key);
        uint64_t kib = 0, bytes;

        if (!p || p == text || p[-1] != ' ')
                return 0;
        p += strlen(key);
        p += strspn(p, " ");
        _cleanup_free_ char *number = strndup(p, strcspn(p, " \n"));
        if (!number || parse_u64(number, &kib) < 0 || __builtin_mul_overflow(kib, 1024, &bytes))
                return 0;
        return bytes;
}

static int add_node(Topology *t, int id) {
        _cleanup_free_ char *path = strf(MEMORY_NODES "/node%d/meminfo", id), *text = NULL, *cpus = NULL;

        int r = path ? read_file(path, &text, NULL) : -ENOMEM;
        if (r < 0)
                return is_gone(r) && !path_existsf(MEMORY_NODES "/node%d", id) ? 0 : odd_add(t, r, path ?: "");
        r = attr_readf(&cpus, MEMORY_NODES "/node%d/cpulist", id);
        if (r < 0)
                r = odd_addf(t, r, MEMORY_NODES "/node%d/cpulist", id);
        if (r < 0)
                return r;

        Node *n = TOPOLOGY_ADD(t, nodes);
        if (!n)
                return -ENOMEM;
        *n = (Node) {
                .id = id,
                .total = meminfo_bytes(text, "MemTotal:"),
                .free = meminfo_bytes(text, "MemFree:"),
                .reclaimable = meminfo_bytes(text, "Active(file):") + meminfo_bytes(text, "Inactive(file):") +
                               meminfo_bytes(text, "SReclaimable:"),
                .has_cpus = cpus && *cpus != '\0',
        };
        return 0;
}

static int load_nodes(Topology *t) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, MEMORY_NODES);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                int id;
                if (!memory_node_is_name(l.names[i], &id))
                        continue;
                r = add_node(t, id);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int odd_block(void *t, uint64_t id, int error) {
        return odd_addf(t, error, MEMORY_BLOCKS "/memory%ju", (uintmax_t) id);
}

int load_memory(Topology *t) {
        int r = load_nodes(t);
        if (r < 0)
                return r;
        r = memory_block_size(&t->block_size);
        if (r < 0) /* without memory hot-plug there is no such folder */
                return r == -ENOENT && !path_existsf(MEMORY_BLOCKS) ? 0 : odd_add(t, r, MEMORY_BLOCKS "/block_size_bytes");

        r = memory_blocks_all(&t->blocks, &t->n_blocks, odd_block, t);
        if (r < 0 && r != -ENOMEM)
                r = odd_add(t, r, MEMORY_BLOCKS);
        return r < 0 ? r : optional_textf(t, &t->auto_online, AUTO_ONLINE_PATH);
}
