/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nothing tells where page structs lie but the kernel's own page tables, which are read as the page structs are (kernel-memory.h). */
#include <errno.h>

#include "base/span.h"
#include "kernel/memory/memmap.h"
#include "kernel/memory/vmemmap.h"

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

/* All of the kernel's addresses lie above that unless its page tables have five levels (Documentation/arch/x86/x86_64/mm.rst). */
#define KERNEL_WITH_FOUR_LEVELS UINT64_C(0xffff800000000000)

struct Vmemmap {
        Memmap memmap;
        uint64_t top;           /* virtual, of the topmost table */
        uint64_t direct;        /* virtual, where physical address 0 is mapped */
        PageTable table;
};

void vmemmap_free(Vmemmap *v) {
        if (!v)
                return;
        memmap_done(&v->memmap);
        free(v);
}

static int read_entries(void *userdata, uint64_t table, unsigned first, size_t n, uint64_t *ret) {
        Vmemmap *v = userdata;
        uint64_t at = table == UINT64_MAX ? v->top : v->direct + table;
        const uint64_t *values;

        int r = kernel_memory_gather(v->memmap.memory, at + first * sizeof(uint64_t), sizeof(uint64_t), n, &values);
        if (r >= 0)
                memcpy(ret, values, n * sizeof(*values));
        return r;
}

static int read_variable(Vmemmap *v, const char *name, uint64_t *ret) {
        uint64_t address;

        int r = kernel_symbol_address(name, &address);
        return r < 0 ? r : kernel_memory_u64(v->memmap.memory, address, ret);
}

int vmemmap_open(Vmemmap **ret, char **ret_why) {
        _cleanup_(vmemmap_freep) Vmemmap *v = calloc(1, sizeof(*v));
        uint64_t encrypted = 0;

        if (!v)
                return -ENOMEM;
        int r = memmap_open(&v->memmap, ret_why);
        if (r < 0)
                return r;
        r = kernel_symbol_address("init_top_pgt", &v->top);
        if (r >= 0)
                r = read_variable(v, "page_offset_base", &v->direct);
        if (r >= 0) {
                r = read_variable(v, "sme_me_mask", &encrypted);
                r = r == -ENOENT ? 0 : r; /* a kernel without support for encrypted memory */
        }
        if (r < 0) {
                *ret_why = strf("nobody knows where this kernel's page tables lie: %s", strerror(-r));
                return r;
        }
        v->table = (PageTable) {
                .read = read_entries, .userdata = v, .not_address = encrypted,
                .levels = v->memmap.base < KERNEL_WITH_FOUR_LEVELS ? 5 : 4,
        };
        *ret = TAKE_PTR(v);
        return 0;
}

int vmemmap_bytes_in(Vmemmap *v, uint64_t start, uint64_t size, const PhysicalArea *areas, size_t n_areas, uint64_t *ret) {
        const Memmap *m = &v->memmap;
        uint64_t frames = size / m->frame_size + (size % m->frame_size != 0), bytes, mapped;

        if (frames == 0 || __builtin_mul_overflow(frames, m->entry_size, &bytes))
                return -EINVAL;
        return page_table_count(&v->table, memmap_entry(m, start), bytes, areas, n_areas, &mapped, ret);
}
