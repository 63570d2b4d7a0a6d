/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/memory/memmap.h"
#include "kernel/pages/page-census.h"

static const char *const census_kind_table[_CENSUS_KIND_MAX] = {
        [CENSUS_DEVICE_DAX] = "device-dax",
        [CENSUS_FSDAX] = "fsdax",
        [CENSUS_SYSTEM_RAM] = "system-ram",
};

DEFINE_STRING_TABLE(census_kind, CensusKind)

/* What the head of an unused unit shows. Both begin at 1 when the driver takes the memory (mm/mm_init.c:__init_zone_device_page) and
 * return to it; since 6.15 memory for file systems is set to 0 there, and what is mapped or pinned counts from that. */
static int32_t idle_count(const Memmap *m, const DeviceMemory *device) {
        return device->fsdax && m->refcounts_dax ? 0 : 1;
}

/* Whether the units at start are compound pages still: of each the first tail points to its head. Kernels that say it in another
 * way have to be counted frame by frame, which is always right. */
static int are_compound(const Memmap *m, uint64_t start, uint64_t unit, size_t n, bool *ret) {
        uint64_t head = memmap_entry(m, start), stride = unit / m->frame_size * m->entry_size;
        const uint64_t *values;

        if (!m->has_compound_head) {
                *ret = false;
                return 0;
        }
        int r = kernel_memory_gather(m->memory, head + m->entry_size + m->compound_head, stride, n, &values);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (values[i] != (head + i * stride) + 1) {
                        *ret = false;
                        return 0;
                }
        *ret = true;
        return 0;
}

/* In pieces of as many units as one reading takes. -ESTALE when a compound page is none. */
static int count(const Memmap *m, uint64_t start, uint64_t end, uint64_t unit, CensusResult *result) {
        uint64_t stride = unit / m->frame_size * m->entry_size;

        for (uint64_t at = start, n; at < end; at += n * unit) {
                const uint64_t *values;
                bool compound = true;
                int r = 0;

                n = (end - at) / unit;
                if (n > KERNEL_MEMORY_VALUES_MAX)
                        n = KERNEL_MEMORY_VALUES_MAX;
                if (unit > m->frame_size)
                        r = are_compound(m, at, unit, n, &compound);
                if (r < 0)
                        return r;
                if (!compound)
                        return -ESTALE;
                r = kernel_memory_gather(m->memory, memmap_entry(m, at) + m->refcount, stride, n, &values);
                if (r < 0)
                        return r;
                census_add(result, at, values, n);
        }
        return 0;
}

static int take_census(const Memmap *m, uint64_t start, uint64_t size, CensusKind kind, CensusResult *result) {
        DeviceMemory device;

        int r = memmap_device(m, start, size, &device);
        if (r < 0)
                return r;
        if (device.fsdax != (kind == CENSUS_FSDAX))
                return -EMEDIUMTYPE;

        uint64_t end = start + size;
        if (start < device.first)
                start = device.first < end ? device.first : end;
        start -= start % m->frame_size;
        end -= end % m->frame_size;
        *result = (CensusResult) { .idle = idle_count(m, &device), .unit = device.unit };
        r = (start | end) % device.unit == 0 ? count(m, start, end, device.unit, result) : -ESTALE;
        if (r == -ESTALE) {
                *result = (CensusResult) { .idle = idle_count(m, &device), .unit = m->frame_size, .tails = device.unit > m->frame_size };
                r = count(m, start, end, m->frame_size, result);
        }
        return r;
}

static int not_provable(CensusResult *ret, char *why) {
        _cleanup_free_ char *owned = why;

        if (!owned)
                return -ENOMEM;
        *ret = (CensusResult) { .verdict = CENSUS_NOT_PROVABLE, .why = TAKE_PTR(owned) };
        return 0;
}

static int census_with(const Memmap *m, const CardMemory *memory, CensusResult *ret) {
        CensusResult result = { 0 };

        int r = take_census(m, memory->start, memory->size, memory->kind, &result);
        if (r == -EMEDIUMTYPE)
                return not_provable(ret, strf("the memory is not used as %s", census_kind_to_string(memory->kind)));
        if (r == -ENODEV || r == -EFAULT || r == -EINVAL)
                return not_provable(ret, strdup("the memory has no page frames of one driver's"));
        if (r < 0)
                return not_provable(ret, strf("the page frames cannot be read: %s", strerror(-r)));
        r = census_judge(&result);
        if (r < 0)
                return r;
        *ret = result;
        return 0;
}

int page_census_all(const CardMemory *memory, size_t n, CensusResult *ret) {
        _cleanup_(memmap_done) Memmap m = { 0 };
        _cleanup_(census_result_done) CensusResult all = { .verdict = CENSUS_CLEAN };
        _cleanup_free_ char *why = NULL;
        size_t n_counted = 0;

        for (size_t i = 0; i < n; i++) {
                CensusResult one;
                int r;

                if (memory[i].kind == CENSUS_SYSTEM_RAM)
                        continue;
                r = n_counted++ == 0 ? memmap_open(&m, &why) : 0;
                if (r < 0)
                        return not_provable(ret, TAKE_PTR(why));
                r = census_with(&m, &memory[i], &one);
                if (r < 0)
                        return r;
                census_merge(&all, &one);
        }
        *ret = all;
        all.why = NULL;
        return 0;
}

int page_census(uint64_t start, uint64_t size, CensusKind kind, CensusResult *ret) {
        if (kind == CENSUS_SYSTEM_RAM)
                return not_provable(ret, strdup("System RAM is not counted: its blocks going offline is the proof"));
        return page_census_all(&(CardMemory) { .start = start, .size = size, .kind = kind }, 1, ret);
}
