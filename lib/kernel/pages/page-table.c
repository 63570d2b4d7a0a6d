/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/span.h"
#include "kernel/pages/page-table.h"

enum {
        ENTRIES = 512,
        ENTRY_BITS = 9,
        PAGE_BITS = 12,

        /* arch/x86/include/asm/pgtable_types.h */
        PRESENT = 1 << 0,
        LEAF = 1 << 7,          /* a large page, of entries above the lowest table */
};

#define ADDRESS_MASK UINT64_C(0x000ffffffffff000)

typedef struct Walk {
        const PageTable *t;
        const PhysicalArea *areas;
        size_t n_areas;
        uint64_t mapped, inside;
} Walk;

static void count_leaf(Walk *w, uint64_t physical, uint64_t size) {
        uint64_t last = span_last(physical, size);

        w->mapped += size;
        for (size_t i = 0; i < w->n_areas; i++) {
                const PhysicalArea *a = &w->areas[i];
                if (!span_overlaps(physical, size, a->start, a->size))
                        continue;
                uint64_t from = a->start > physical ? a->start : physical, to = span_last(a->start, a->size);
                w->inside += span_size(from, to < last ? to : last);
        }
}

/* The part of [first, last] that is below one table; an entry of level 1 stands for a page, of each higher one for 512 times as much. */
static int walk(Walk *w, uint64_t table, unsigned level, uint64_t first, uint64_t last) {
        unsigned shift = PAGE_BITS + ENTRY_BITS * (level - 1);
        unsigned from = (unsigned) (first >> shift) % ENTRIES, to = (unsigned) (last >> shift) % ENTRIES;
        uint64_t entries[ENTRIES], bytes = UINT64_C(1) << shift;

        if (to < from)
                return -EINVAL;
        int r = w->t->read(w->t->userdata, table, from, to - from + 1, entries);
        for (unsigned i = from; i <= to && r >= 0; i++) {
                uint64_t entry = entries[i - from], address = entry & ADDRESS_MASK & ~w->t->not_address;
                uint64_t begin = i == from ? first : first - first % bytes + (uint64_t) (i - from) * bytes;
                uint64_t end = i == to ? last : begin - begin % bytes + (bytes - 1);

                if (!(entry & PRESENT))
                        continue;
                if (level == 1 || entry & LEAF)
                        count_leaf(w, address - address % bytes + begin % bytes, end - begin + 1);
                else
                        r = walk(w, address, level - 1, begin, end);
        }
        return r;
}

int page_table_count(const PageTable *t, uint64_t start, uint64_t size, const PhysicalArea *areas, size_t n_areas, uint64_t *ret_mapped,
                     uint64_t *ret_inside) {
        Walk w = { .t = t, .areas = areas, .n_areas = n_areas };
        uint64_t end;

        if (size == 0 || __builtin_add_overflow(start, size - 1, &end) || t->levels < 4 || t->levels > 5)
                return -EINVAL;
        int r = walk(&w, UINT64_MAX, t->levels, start, end);
        if (r < 0)
                return r;
        *ret_mapped = w.mapped;
        *ret_inside = w.inside;
        return 0;
}
