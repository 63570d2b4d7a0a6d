/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "kernel/memory/memmap.h"
#include "kernel/pages/page-census.h"

static const char *const census_verdict_table[_CENSUS_VERDICT_MAX] = {
        [CENSUS_CLEAN] = "clean",
        [CENSUS_REFERENCED] = "referenced",
        [CENSUS_NOT_PROVABLE] = "not-provable",
};

DEFINE_STRING_TABLE(census_verdict, CensusVerdict)

void census_result_done(CensusResult *r) {
        free(TAKE_PTR(r->why));
}

static void add_range(CensusResult *r, uint64_t start, uint64_t size) {
        CensusRange *last = r->n_ranges > 0 ? &r->ranges[r->n_ranges - 1] : NULL;

        if (last && last->start + last->size == start)
                last->size += size;
        else if (r->n_ranges < CENSUS_RANGES_MAX)
                r->ranges[r->n_ranges++] = (CensusRange) { .start = start, .size = size };
}

void census_add(CensusResult *r, uint64_t start, const uint64_t *values, size_t n) {
        r->n_units += n;
        for (size_t i = 0; i < n; i++) {
                int32_t shown;

                memcpy(&shown, &values[i], sizeof(shown));
                if (shown == r->idle)
                        r->n_idle++;
                else if (shown > r->idle) {
                        r->n_referenced++;
                        r->n_references += (uint64_t) ((int64_t) shown - r->idle);
                        add_range(r, start + i * r->unit, r->unit);
                }
        }
}

/* What is referenced counts more than what is not provable, and that more than what is clean. */
static unsigned weight(CensusVerdict v) {
        return v == CENSUS_REFERENCED ? 2 : v == CENSUS_NOT_PROVABLE ? 1 : 0;
}

/* Adds the result about another stretch, which is taken over. */
static void census_merge(CensusResult *to, CensusResult *from) {
        bool heavier = weight(from->verdict) > weight(to->verdict);

        if (heavier || to->n_units == 0) {
                to->unit = from->unit;
                to->idle = from->idle;
                to->tails = from->tails;
        }
        if (heavier) {
                to->verdict = from->verdict;
                free(to->why);
                to->why = TAKE_PTR(from->why);
        }
        to->n_units += from->n_units;
        to->n_idle += from->n_idle;
        to->n_referenced += from->n_referenced;
        to->n_references += from->n_references;
        for (size_t i = 0; i < from->n_ranges; i++)
                add_range(to, from->ranges[i].start, from->ranges[i].size);
        census_result_done(from);
}

/* Fewer than an unused one must not be: something else than we know is going on here. Only the tails of compound pages, counted one
 * by one, show 0 all the time. */
int census_judge(CensusResult *r) {
        uint64_t below = r->n_units - r->n_idle - r->n_referenced;

        if (r->n_referenced > 0)
                r->verdict = CENSUS_REFERENCED;
        else if (r->n_idle == 0 || (below > 0 && !r->tails)) {
                r->why = strf("%ju of %ju pages show fewer references than an unused one should (%d): this kernel counts in another way",
                              (uintmax_t) below, (uintmax_t) r->n_units, r->idle);
                if (!r->why)
                        return -ENOMEM;
                r->verdict = CENSUS_NOT_PROVABLE;
        } else
                r->verdict = CENSUS_CLEAN;
        return 0;
}

int card_memory_from_json(json_object *array, CardMemory **ret, size_t *ret_n) {
        size_t n = json_len(array);
        _cleanup_free_ CardMemory *memory = calloc(n ?: 1, sizeof(*memory));

        if (!memory)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_object *o = json_at(array, i);
                int kind = census_kind_from_string(json_str(o, "kind"));
                uint64_t end;

                memory[i] = (CardMemory) { .start = json_u64(o, "start"), .size = json_u64(o, "size"), .kind = (CensusKind) kind };
                if (kind < 0 || memory[i].size == 0 || __builtin_add_overflow(memory[i].start, memory[i].size, &end))
                        return -EBADMSG;
        }
        *ret = TAKE_PTR(memory);
        *ret_n = n;
        return 0;
}

json_object *census_result_to_json(const CensusResult *r) {
        json_object *o = json_object_new_object(), *ranges = json_object_new_array();

        json_set_str(o, "verdict", census_verdict_to_string(r->verdict));
        json_set_str(o, "why", r->why);
        json_set_u64(o, "unit", r->unit);
        json_set(o, "idle", json_object_new_int(r->idle));
        json_set_u64(o, "n_units", r->n_units);
        json_set_u64(o, "n_referenced", r->n_referenced);
        json_set_u64(o, "n_references", r->n_references);
        for (size_t i = 0; i < r->n_ranges; i++) {
                json_object *range = json_object_new_object();
                json_set_u64(range, "start", r->ranges[i].start);
                json_set_u64(range, "size", r->ranges[i].size);
                json_object_array_add(ranges, range);
        }
        json_set(o, "ranges", ranges);
        return o;
}

char *census_result_text(const CensusResult *r) {
        _cleanup_free_ char *unit = r->unit >= 1U << 30 ? strf("%ju GiB", (uintmax_t) (r->unit >> 30)) :
                                    r->unit >= 1U << 20 ? strf("%ju MiB", (uintmax_t) (r->unit >> 20)) : strf("%ju KiB", (uintmax_t) (r->unit >> 10));

        if (!unit)
                return NULL;
        if (r->verdict == CENSUS_NOT_PROVABLE)
                return strf("not provable here: %s", r->why);
        if (r->verdict == CENSUS_CLEAN)
                return strf("none of %ju pages of %s is referenced", (uintmax_t) r->n_units, unit);
        return strf("%ju of %ju pages of %s %s referenced (%ju references), the first at 0x%jx-0x%jx",
                    (uintmax_t) r->n_referenced, (uintmax_t) r->n_units, unit, r->n_referenced == 1 ? "is" : "are",
                    (uintmax_t) r->n_references, (uintmax_t) r->ranges[0].start,
                    (uintmax_t) (r->ranges[0].start + r->ranges[0].size - 1));
}

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

int page_census_open(char **ret_why) {
        _cleanup_(memmap_done) Memmap m = { 0 };
        struct statfs fs;

        if (statfs("/proc", &fs) >= 0 && fs.f_type != PROC_SUPER_MAGIC)
                return 1;
        return memmap_open(&m, ret_why);
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
