/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/kernel-page-flags.h>

#include "kernel/memory/memmap.h"
#include "kernel/mounts/inode-name.h"
#include "kernel/pages/page-cache.h"
#include "kernel/pages/page-frame.h"

#define FLAG(name) (UINT64_C(1) << KPF_##name)

enum {
        AT_ONCE = 4096,
};

/* Pages of one file, by the kernel's struct address_space. */
typedef struct Count {
        uint64_t mapping, pages;
} Count;

struct PageCache {
        Memmap memmap;
        InodeLayout inode;
        uint64_t mapping;       /* offset in a page frame's entry */
        uint64_t last;          /* whose the last page seen was: what the tails of a large page belong to */
        Count *counts;
        size_t n, n_allocated;
        uint64_t flags[AT_ONCE];
};

void cached_files_done(CachedFiles *f) {
        for (size_t i = 0; i < f->n; i++)
                free(f->items[i].path);
        free(f->items);
        *f = (CachedFiles) { 0 };
}

void page_cache_free(PageCache *c) {
        if (!c)
                return;
        memmap_done(&c->memmap);
        free(c->counts);
        free(c);
}

int page_cache_open(PageCache **ret, char **ret_why) {
        _cleanup_(page_cache_freep) PageCache *c = calloc(1, sizeof(*c));
        _cleanup_(btf_freep) Btf *btf = NULL;

        if (!c)
                return -ENOMEM;
        int r = memmap_open(&c->memmap, ret_why);
        if (r < 0)
                return r;
        r = btf_load(&btf);
        if (r >= 0)
                r = btf_member_offset(btf, "page", "mapping", &c->mapping);
        if (r == -ENOENT && btf)
                r = btf_member_offset(btf, "folio", "mapping", &c->mapping);
        if (r >= 0)
                r = inode_layout_load(btf, &c->inode);
        if (r < 0) {
                *ret_why = strf("this kernel's files do not look like any we know: %s", strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

static int compare_mapping(const void *a, const void *b) {
        const Count *x = a, *y = b;

        return x->mapping < y->mapping ? -1 : x->mapping > y->mapping;
}

static int compare_pages(const void *a, const void *b) {
        const Count *x = a, *y = b;

        return x->pages > y->pages ? -1 : x->pages < y->pages ? 1 : compare_mapping(a, b);
}

static int add(PageCache *c, uint64_t mapping) {
        if (c->n > 0 && c->counts[c->n - 1].mapping == mapping) {
                c->counts[c->n - 1].pages++;
                return 0;
        }
        int r = vec_grow((void **) &c->counts, c->n, &c->n_allocated, sizeof(Count));
        if (r < 0)
                return r;
        c->counts[c->n++] = (Count) { .mapping = mapping, .pages = 1 };
        return 0;
}

/* One entry for each file. */
static void merge(PageCache *c) {
        size_t n = 0;

        if (c->n > 1)
                qsort(c->counts, c->n, sizeof(Count), compare_mapping);
        for (size_t i = 0; i < c->n; i++)
                if (n > 0 && c->counts[n - 1].mapping == c->counts[i].mapping)
                        c->counts[n - 1].pages += c->counts[i].pages;
                else
                        c->counts[n++] = c->counts[i];
        c->n = n;
}

int page_cache_count(PageCache *c, uint64_t start, uint64_t size) {
        const uint64_t none = FLAG(NOPAGE) | FLAG(BUDDY) | FLAG(SLAB) | FLAG(ANON) | FLAG(HUGE) | FLAG(PGTABLE) | FLAG(OFFLINE);
        const Memmap *m = &c->memmap;
        uint64_t n_frames = size / m->frame_size;

        c->last = 0;
        for (uint64_t done = 0; done < n_frames; done += AT_ONCE) {
                size_t n = n_frames - done < AT_ONCE ? (size_t) (n_frames - done) : AT_ONCE;
                uint64_t from = start + done * m->frame_size;
                const uint64_t *mappings;

                int r = page_flags_read(from / m->frame_size, n, c->flags);
                if (r >= 0)
                        r = kernel_memory_gather(m->memory, memmap_entry(m, from) + c->mapping, m->entry_size, n, &mappings);
                for (size_t i = 0; i < n && r >= 0; i++) {
                        uint64_t flags = c->flags[i], mapping = mappings[i];

                        /* What an entry without a file has in this place means something else (the lowest bits tell an anonymous page,
                         * include/linux/page-flags.h:PAGE_MAPPING_FLAGS). */
                        if (!(flags & FLAG(COMPOUND_TAIL)))
                                c->last = flags & none || !(flags & FLAG(LRU)) || mapping & 3 ? 0 : mapping;
                        if (c->last != 0)
                                r = add(c, c->last);
                }
                if (r < 0)
                        return r;
        }
        merge(c);
        return 0;
}

int page_cache_largest(const PageCache *c, size_t max, CachedFiles *ret) {
        _cleanup_free_ Count *counts = calloc(c->n + 1, sizeof(Count));
        CachedFiles files = { .items = calloc(max + 1, sizeof(CachedFile)) };

        if (!counts || !files.items) {
                free(files.items);
                return -ENOMEM;
        }
        if (c->n > 0) {
                memcpy(counts, c->counts, c->n * sizeof(Count));
                qsort(counts, c->n, sizeof(Count), compare_pages);
        }
        for (size_t i = 0; i < c->n && files.n < max; i++) {
                CachedFile *f = &files.items[files.n];

                int r = inode_of_mapping(c->memmap.memory, &c->inode, counts[i].mapping, &f->dev, &f->inode, &f->path);
                if (r == -ESTALE)
                        continue;
                if (r < 0) {
                        cached_files_done(&files);
                        return r;
                }
                f->bytes = counts[i].pages * c->memmap.frame_size;
                files.n++;
        }
        *ret = files;
        return 0;
}
