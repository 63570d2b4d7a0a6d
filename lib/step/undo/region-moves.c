/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/cxl/cxl-region.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "step/undo/region-moves.h"

void region_moves_done(RegionMoves *m) {
        free(TAKE_PTR(m->items));
        m->n = 0;
}

/* Where it is now; where it was, as far as anybody can tell. */
static uint64_t place_now(json_object *region) {
        _cleanup_free_ char *name = NULL;
        bool complete = false;
        uint64_t start = 0;

        bool known = !json_flag(region, "dax_alone") && region_find(region, &name, &complete) >= 0 && complete &&
                     attr_read_u64f(&start, "/sys/bus/cxl/devices/%s/resource", name) >= 0;
        return known ? start : json_u64(region, "start");
}

static bool is_asked(json_object *const *asked, size_t n, json_object *region) {
        for (size_t i = 0; i < n; i++)
                if (json_u64(asked[i], "start") == json_u64(region, "start"))
                        return true;
        return false;
}

int region_moves_find(const Step *steps, size_t n_steps, bool first, RegionMoves *ret) {
        _cleanup_free_ json_object **asked = calloc(n_steps + 1, sizeof(*asked));
        _cleanup_(region_moves_done) RegionMoves m = { .items = calloc(n_steps + 1, sizeof(*m.items)) };
        size_t n_asked = 0;

        if (!asked || !m.items)
                return -ENOMEM;
        if (memory_block_size(&m.block_size) < 0)
                m.block_size = 0;
        for (size_t i = 0; i < n_steps; i++) {
                json_object *region = json_get(steps[i].args, "region");
                if (!json_object_is_type(region, json_type_object) || is_asked(asked, n_asked, region))
                        continue;
                asked[n_asked++] = region;
                uint64_t from = first && json_has(region, "moved_from") ? json_u64(region, "moved_from") : json_u64(region, "start");
                uint64_t to = place_now(region);
                if (to != from)
                        m.items[m.n++] = (RegionMove) { .from = from, .size = json_u64(region, "size"), .to = to };
        }
        *ret = m;
        m = (RegionMoves) { 0 };
        return 0;
}

uint64_t region_moves_address(const RegionMoves *m, uint64_t address) {
        for (size_t i = 0; i < m->n; i++)
                if (address >= m->items[i].from && address - m->items[i].from < m->items[i].size)
                        return address - m->items[i].from + m->items[i].to;
        return address;
}

/* The number that the memory block has now. *ret_same: how many blocks from it on, itself included, have moved as it has. */
static uint64_t block_now(const RegionMoves *m, uint64_t id, uint64_t *ret_same) {
        *ret_same = UINT64_MAX - id;
        for (size_t i = 0; i < m->n && m->block_size > 0; i++) {
                uint64_t first = m->items[i].from / m->block_size, n = m->items[i].size / m->block_size;
                if (id >= first && id - first < n) {
                        *ret_same = n - (id - first);
                        return id - first + m->items[i].to / m->block_size;
                }
                if (first > id && first - id < *ret_same)
                        *ret_same = first - id;
        }
        return id;
}

static int by_first(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;
        uint64_t first = json_object_get_uint64(json_at(*x, 0)), other = json_object_get_uint64(json_at(*y, 0));

        return first < other ? -1 : first > other;
}

json_object *region_moves_runs(const RegionMoves *m, json_object *runs) {
        json_object *now = json_object_new_array();

        for (size_t i = 0; i < json_len(runs); i++) {
                json_object *run = json_at(runs, i);
                uint64_t last = json_object_get_uint64(json_at(run, 1));
                for (uint64_t id = json_object_get_uint64(json_at(run, 0)), same; id <= last; id += same) {
                        uint64_t first = block_now(m, id, &same);
                        json_object *piece = json_object_new_array();
                        json_object_array_add(piece, json_object_new_uint64(first));
                        json_object_array_add(piece, json_object_new_uint64(first + (same < last - id ? same - 1 : last - id)));
                        for (size_t k = 2; k < json_len(run); k++)
                                json_object_array_add(piece, json_ref(json_at(run, k)));
                        json_object_array_add(now, piece);
                }
        }
        json_object_array_sort(now, by_first);
        return now;
}

static bool is_address(const char *key) {
        return streq_ptr(key, "start") || streq_ptr(key, "data_start");
}

/* A block of the list, or one of the numbers in a list. */
static bool is_block(const char *of, const char *key) {
        return (streq_ptr(key, "id") && streq_ptr(of, "blocks")) || streq_ptr(key, "offline");
}

static json_object *number_now(const RegionMoves *m, const char *of, const char *key, json_object *number) {
        uint64_t value = json_object_get_uint64(number), same;

        return is_address(key)    ? json_object_new_uint64(region_moves_address(m, value)) :
               is_block(of, key) ? json_object_new_uint64(block_now(m, value, &same)) :
                                   json_ref(number);
}

/* An address as what a card says of itself has it: in hexadecimal. */
static json_object *text_now(const RegionMoves *m, json_object *text) {
        _cleanup_free_ char *now = NULL;
        uint64_t address;

        if (parse_u64(json_object_get_string(text), &address) < 0)
                return json_ref(text);
        now = strf("0x%jx", (uintmax_t) region_moves_address(m, address));
        return now ? json_object_new_string(now) : json_ref(text);
}

/* `of`: the key of the object that it is in. Lists are as what they are a list of. */
static json_object *moved(const RegionMoves *m, const char *of, const char *key, json_object *o) {
        json_object *copy;

        switch (json_object_get_type(o)) {
        case json_type_object:
                copy = json_object_new_object();
                json_object_object_foreach(o, name, value)
                        json_set(copy, name, moved(m, key, name, value));
                if (json_has(o, "targets") && !json_has(o, "moved_from") && json_u64(copy, "start") != json_u64(o, "start"))
                        json_set_u64(copy, "moved_from", json_u64(o, "start"));
                return copy;
        case json_type_array:
                if (streq_ptr(key, "own"))
                        return region_moves_runs(m, o);
                copy = json_object_new_array();
                for (size_t i = 0; i < json_len(o); i++)
                        json_object_array_add(copy, moved(m, of, key, json_at(o, i)));
                return copy;
        case json_type_int:
                return number_now(m, of, key, o);
        case json_type_string:
                return is_address(key) ? text_now(m, o) : json_ref(o);
        default:
                return json_ref(o);
        }
}

json_object *region_moves_apply(const RegionMoves *m, json_object *o) {
        return m->n > 0 ? moved(m, NULL, NULL, o) : json_ref(o);
}
