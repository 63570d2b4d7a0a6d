/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/memory/memmap.h"
#include "kernel/pages/btf.h"

enum {
        /* A dax device that was given its memory in pieces has a range for each (drivers/dax/device.c:dev_dax_probe). */
        RANGES_MAX = 1024,
};

void memmap_done(Memmap *m) {
        kernel_memory_free(TAKE_PTR(m->memory));
}

/* The first member of those named, which moved from one struct to another between versions. */
static int layout_of_page(const Btf *btf, Memmap *m) {
        int r = btf_struct_size(btf, "page", &m->entry_size);
        if (r >= 0)
                r = btf_member_offset(btf, "page", "_refcount", &m->refcount);
        if (r < 0)
                return r;
        m->has_compound_head = btf_member_offset(btf, "page", "compound_head", &m->compound_head) >= 0;

        r = btf_member_offset(btf, "page", "pgmap", &m->pgmap);
        if (r == -ENOENT) {
                /* It moved to struct folio with the series that gave file system DAX its reference counts (6.15). */
                r = btf_member_offset(btf, "folio", "pgmap", &m->pgmap);
                m->refcounts_dax = true;
        }
        return r;
}

static int layout_of_pgmap(const Btf *btf, Memmap *m) {
        const struct {
                const char *name, *member;
                uint64_t *ret;
        } members[] = {
                { "dev_pagemap", "type", &m->in_pgmap.type },
                { "dev_pagemap", "vmemmap_shift", &m->in_pgmap.vmemmap_shift },
                { "dev_pagemap", "nr_range", &m->in_pgmap.nr_range },
                { "dev_pagemap", "range", &m->in_pgmap.ranges },
                { "dev_pagemap", "altmap", &m->in_pgmap.altmap },
                { "vmem_altmap", "reserve", &m->in_pgmap.reserve },
                { "vmem_altmap", "free", &m->in_pgmap.free },
                { "range", "end", &m->in_pgmap.range_end },
        };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                int r = btf_member_offset(btf, members[i].name, members[i].member, members[i].ret);
                if (r < 0)
                        return r;
        }
        int r = btf_struct_size(btf, "range", &m->in_pgmap.range_size);
        if (r >= 0)
                r = btf_enum_value(btf, "memory_type", "MEMORY_DEVICE_FS_DAX", &m->in_pgmap.fs_dax);
        if (r >= 0)
                r = btf_enum_value(btf, "memory_type", "MEMORY_DEVICE_GENERIC", &m->in_pgmap.generic);
        return r;
}

static int layout_load(Memmap *m, char **ret_why) {
        _cleanup_(btf_freep) Btf *btf = NULL;

        int r = btf_load(&btf);
        if (r < 0) {
                *ret_why = strf("the kernel does not describe its types (/sys/kernel/btf/vmlinux: %s)", strerror(-r));
                return r;
        }
        r = layout_of_page(btf, m);
        if (r >= 0)
                r = layout_of_pgmap(btf, m);
        if (r < 0)
                *ret_why = strf("this kernel's page frames do not look like any we know: %s", strerror(-r));
        return r;
}

/* On x86-64 the memmap is one array in virtual memory, from an address drawn at boot (arch/x86/mm/kaslr.c). */
static int base_load(Memmap *m, char **ret_why) {
        const uint64_t *values;
        uint64_t address;

        int r = kernel_symbol_address("vmemmap_base", &address);
        if (r >= 0)
                r = kernel_memory_gather(m->memory, address, 0, 1, &values);
        if (r == -EPERM)
                *ret_why = strdup("the kernel does not say where its table of page frames lies (kernel.kptr_restrict)");
        else if (r < 0)
                *ret_why = strf("nobody knows where this kernel's table of page frames lies: %s", strerror(-r));
        else
                m->base = values[0];
        return r;
}

/* None of this changes before the next boot, and reading it takes ten times as long as counting the pages of a card. */
static int constants_load(Memmap *m, char **ret_why) {
        static Memmap known;

        if (known.base == 0) {
                int r = layout_load(m, ret_why);
                if (r >= 0)
                        r = base_load(m, ret_why);
                if (r < 0)
                        return r;
                known = *m;
                known.memory = NULL;
                return 0;
        }
        KernelMemory *memory = m->memory;
        *m = known;
        m->memory = memory;
        return 0;
}

int memmap_open(Memmap *ret, char **ret_why) {
        _cleanup_(memmap_done) Memmap m = { .frame_size = (uint64_t) sysconf(_SC_PAGESIZE) };

        int r = kernel_memory_open(&m.memory, ret_why);
        if (r >= 0)
                r = constants_load(&m, ret_why);
        if (r < 0)
                return r;
        *ret = m;
        m.memory = NULL;
        return 0;
}

/* The pages of the first range that a driver keeps for itself (include/linux/memremap.h:vmem_altmap_offset); 0 and 0 without. */
static int read_own(const Memmap *m, uint64_t pgmap, uint64_t *ret) {
        uint64_t reserve, free;

        int r = kernel_memory_u64(m->memory, pgmap + m->in_pgmap.altmap + m->in_pgmap.reserve, &reserve);
        if (r >= 0)
                r = kernel_memory_u64(m->memory, pgmap + m->in_pgmap.altmap + m->in_pgmap.free, &free);
        if (r < 0)
                return r;
        if (__builtin_add_overflow(reserve, free, &reserve) || __builtin_mul_overflow(reserve, m->frame_size, ret))
                return -ENODEV;
        return 0;
}

/* Where the range of the pgmap that has all of [start, last] begins to have entries. */
static int find_range(const Memmap *m, uint64_t pgmap, uint64_t start, uint64_t last, uint64_t *ret_first) {
        uint32_t n;

        int r = kernel_memory_u32(m->memory, pgmap + m->in_pgmap.nr_range, &n);
        if (r < 0)
                return r;
        for (uint32_t i = 0; n <= RANGES_MAX && i < n; i++) {
                uint64_t range = pgmap + m->in_pgmap.ranges + i * m->in_pgmap.range_size, from, to, own = 0;

                r = kernel_memory_u64(m->memory, range, &from);
                if (r >= 0)
                        r = kernel_memory_u64(m->memory, range + m->in_pgmap.range_end, &to);
                if (r >= 0 && i == 0)
                        r = read_own(m, pgmap, &own);
                if (r < 0)
                        return r;
                if (start < from || last > to)
                        continue;
                *ret_first = from + own;
                return own > to - from ? -ENODEV : 0;
        }
        return -ENODEV;
}

static int read_device(const Memmap *m, uint64_t pgmap, uint64_t start, uint64_t last, DeviceMemory *ret) {
        DeviceMemory device = { 0 };
        uint64_t shift;
        uint32_t type;

        int r = find_range(m, pgmap, start, last, &device.first);
        if (r >= 0)
                r = kernel_memory_u32(m->memory, pgmap + m->in_pgmap.type, &type);
        if (r >= 0)
                r = kernel_memory_u64(m->memory, pgmap + m->in_pgmap.vmemmap_shift, &shift);
        if (r < 0)
                return r;
        if ((type != m->in_pgmap.fs_dax && type != m->in_pgmap.generic) || shift > 32)
                return -ENODEV;
        device.fsdax = type == m->in_pgmap.fs_dax;
        device.unit = m->frame_size << shift;
        *ret = device;
        return 0;
}

/* The entry may be that of a tail, where the pointer to the head lies in place of the pgmap, with the lowest bit set. */
static int read_pgmap(const Memmap *m, uint64_t physical, uint64_t *ret) {
        uint64_t value;

        int r = kernel_memory_u64(m->memory, memmap_entry(m, physical) + m->pgmap, &value);
        if (r >= 0 && value & 1)
                r = kernel_memory_u64(m->memory, value - 1 + m->pgmap, &value);
        if (r < 0)
                return r;
        *ret = value;
        return 0;
}

int memmap_device(const Memmap *m, uint64_t start, uint64_t size, DeviceMemory *ret) {
        /* At the start may be what the driver keeps for itself. */
        const uint64_t last = start + (size - 1), tries[] = { start, last };

        if (size == 0 || last < start)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(tries); i++) {
                uint64_t pgmap;

                int r = read_pgmap(m, tries[i], &pgmap);
                if (r >= 0)
                        r = read_device(m, pgmap, start, last, ret);
                if (r >= 0)
                        return 0;
                if (r != -ENODEV && r != -EFAULT)
                        return r;
        }
        return -ENODEV;
}
