/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/memory/node-memory.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

enum {
        NODES_MAX = 4096, /* more than any kernel is built for (CONFIG_NODES_SHIFT) */
};

/* "Node 1 MemFree:  1024 kB": the number after the key. 0: the key is not there. */
static int take(const char *text, const char *key, uint64_t *ret) {
        size_t n = strlen(key);

        for (const char *p = text; (p = strstr(p, key)); p += n) {
                _cleanup_free_ char *number = NULL;

                if (p == text || p[-1] != ' ' || p[n] != ':')
                        continue;
                p += n + 1;
                p += strspn(p, " ");
                number = strndup(p, strspn(p, "0123456789"));
                if (!number)
                        return -ENOMEM;
                uint64_t kib;
                if (parse_u64(number, &kib) < 0 || __builtin_mul_overflow(kib, UINT64_C(1024), &kib) ||
                    __builtin_add_overflow(*ret, kib, ret))
                        return -EBADMSG;
                return 1;
        }
        return 0;
}

int node_memory_parse(const char *text, NodeMemory *ret) {
        NodeMemory m = { 0 };
        const struct {
                const char *key;
                uint64_t *to;
                bool needed;
        } keys[] = {
                { "MemTotal", &m.total, true },   { "MemFree", &m.free, true },        { "AnonPages", &m.anonymous, false },
                { "Shmem", &m.shared, false },    { "FilePages", &m.files, false },    { "Slab", &m.kernel, false },
                { "PageTables", &m.kernel, false }, { "SecPageTables", &m.kernel, false }, { "KernelStack", &m.kernel, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                int r = take(text, keys[i].key, keys[i].to);
                if (r < 0)
                        return r;
                if (r == 0 && keys[i].needed)
                        return -EBADMSG;
        }
        /* The counters are not read in one moment. */
        m.files = m.files > m.shared ? m.files - m.shared : 0;
        *ret = m;
        return 0;
}

int node_memory_read(int node, NodeMemory *ret) {
        _cleanup_free_ char *path = strf("/sys/devices/system/node/node%d/meminfo", node), *text = NULL;

        int r = path ? read_file(path, &text, NULL) : -ENOMEM;
        return r < 0 ? r : node_memory_parse(text, ret);
}

static int pool_read(const char *folder, const char *name, HugePool *ret) {
        const char *size = startswith(name, "hugepages-");
        const char *end = size ? strstr(size, "kB") : NULL;
        _cleanup_free_ char *number = end && !end[2] ? strndup(size, (size_t) (end - size)) : NULL;
        HugePool p = { 0 };

        if (!number || parse_u64(number, &p.page_bytes) < 0 || __builtin_mul_overflow(p.page_bytes, UINT64_C(1024), &p.page_bytes))
                return -EBADMSG;
        int r = attr_read_u64f(&p.total, "%s/%s/nr_hugepages", folder, name);
        if (r >= 0)
                r = attr_read_u64f(&p.free, "%s/%s/free_hugepages", folder, name);
        if (r < 0)
                return r;
        r = attr_read_u64f(&p.reserved, "%s/%s/resv_hugepages", folder, name);
        if (r < 0 && r != -ENOENT)
                return r;
        r = attr_read_u64f(&p.surplus, "%s/%s/surplus_hugepages", folder, name);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = p;
        return 0;
}

static int by_size(const void *a, const void *b) {
        const HugePool *x = a, *y = b;

        return x->page_bytes < y->page_bytes ? -1 : x->page_bytes > y->page_bytes;
}

int huge_pools_read(int node, HugePool **ret, size_t *ret_n) {
        _cleanup_free_ char *folder = node < 0 ? strdup("/sys/kernel/mm/hugepages") :
                                                 strf("/sys/devices/system/node/node%d/hugepages", node);
        _cleanup_listing_ Listing l = { 0 };
        size_t n = 0;

        if (!folder)
                return -ENOMEM;
        int r = listing_readf(&l, "%s", folder);
        if (r < 0 && r != -ENOENT)
                return r;
        _cleanup_free_ HugePool *pools = calloc(l.n + 1, sizeof(HugePool));
        if (!pools)
                return -ENOMEM;
        for (size_t i = 0; i < l.n; i++) {
                r = pool_read(folder, l.names[i], &pools[n]);
                if (r == -EBADMSG || r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                n++;
        }
        if (n > 1)
                qsort(pools, n, sizeof(HugePool), by_size);
        *ret = TAKE_PTR(pools);
        *ret_n = n;
        return 0;
}

static int take_number(const char **p, uint64_t *ret) {
        _cleanup_free_ char *number = strndup(*p, strspn(*p, "0123456789"));

        if (!number)
                return -ENOMEM;
        *p += strlen(number);
        return parse_u64(number, ret) < 0 || *ret >= NODES_MAX ? -EBADMSG : 0;
}

static bool has_node(uint64_t node, const int *nodes, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (nodes[i] >= 0 && (uint64_t) nodes[i] == node)
                        return true;
        return false;
}

/* One range of a list, and on to the next one. 1; 0: that was the last one; -EBADMSG. */
static int take_range(const char **p, uint64_t *first, uint64_t *last) {
        int r = take_number(p, first);
        if (r < 0)
                return r;
        *last = *first;
        if (**p == '-') {
                (*p)++;
                r = take_number(p, last);
                if (r < 0 || *last < *first)
                        return r < 0 ? r : -EBADMSG;
        }
        if (**p && **p != ',')
                return -EBADMSG;
        if (!**p)
                return 0;
        (*p)++;
        return 1;
}

/* How many nodes a list has, and how many of them are among the n. */
static int count_nodes(const char *list, const int *nodes, size_t n, size_t *ret_all, size_t *ret_among) {
        uint64_t first, last;
        int r = *list != 0;

        *ret_all = *ret_among = 0;
        while (r > 0) {
                r = take_range(&list, &first, &last);
                for (uint64_t node = first; r >= 0 && node <= last; node++) {
                        (*ret_all)++;
                        *ret_among += has_node(node, nodes, n);
                }
        }
        return r;
}

int node_list_within(const char *list, const int *nodes, size_t n) {
        size_t all, among;

        int r = count_nodes(list, nodes, n, &all, &among);
        return r < 0 ? r : all > 0 && among == all;
}

int node_list_has(const char *list, int node) {
        size_t all, among;

        int r = count_nodes(list, &node, 1, &all, &among);
        return r < 0 ? r : among > 0;
}
