/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nothing tells where page structs lie but the kernel's own page tables, which are read as the page structs are (kernel-memory.h). */
#include <errno.h>

#include "kernel/memory/memmap.h"
#include "kernel/memory/vmemmap.h"

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
