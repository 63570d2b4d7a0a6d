/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "card-view.h"

static json_object *find(json_object *array, const char *key, const char *value) {
        for (size_t i = 0; value && i < json_len(array); i++)
                if (streq_ptr(json_str(json_at(array, i), key), value))
                        return json_at(array, i);
        return NULL;
}

/* Addresses are written as text; one that cannot be read belongs to nothing. */
static uint64_t address(json_object *o, const char *key) {
        uint64_t v;

        return parse_u64(json_str(o, key) ?: "", &v) < 0 ? 0 : v;
}

static bool in_slot(json_object *o, json_object *view) {
        return streq_ptr(json_str(o, "slot"), json_str(json_get(view, "slot"), "name"));
}

/* Also when the memory device itself is gone already: a target knows its slot. */
static bool region_is_on(json_object *region, json_object *view) {
        json_object *targets = json_array(region, "targets");

        for (size_t i = 0; i < json_len(targets); i++)
                if (in_slot(json_at(targets, i), view) ||
                    find(json_array(view, "memdevs"), "name", json_str(json_at(targets, i), "memdev")))
                        return true;
        return false;
}

static bool dax_is_on(json_object *dax, json_object *view) {
        return find(json_array(view, "regions"), "name", json_str(dax, "region"));
}

/* By address and not by node: a node may have memory of other cards, and of the board. */
static bool block_is_on(json_object *block, json_object *view) {
        json_object *regions = json_array(view, "regions");
        uint64_t start = address(block, "start"), end = start + json_u64(view, "block_size");

        for (size_t i = 0; i < json_len(regions); i++) {
                uint64_t from = address(json_at(regions, i), "start"), size = json_u64(json_at(regions, i), "size");
                if (start < from + size && from < end)
                        return true;
        }
        return false;
}

static bool node_has(json_object *array, const char *key, uint64_t id) {
        for (size_t i = 0; i < json_len(array); i++)
                if (json_has(json_at(array, i), key) && json_u64(json_at(array, i), key) == id)
                        return true;
        return false;
}

static bool node_is_on(json_object *node, json_object *view) {
        uint64_t id = json_u64(node, "id");

        return node_has(json_array(view, "dax"), "target_node", id) || node_has(json_array(view, "blocks"), "node", id);
}

json_object *card_view(json_object *topology, const char *slot) {
        /* In this order: each looks at what those above have found. */
        static const struct {
                const char *key;
                bool (*belongs)(json_object *o, json_object *view);
        } parts[] = {
                { "functions", in_slot }, { "memdevs", in_slot },  { "foreign", in_slot },   { "regions", region_is_on },
                { "dax", dax_is_on },     { "blocks", block_is_on }, { "nodes", node_is_on },
        };
        json_object *found = find(json_array(topology, "slots"), "name", slot);
        if (!found)
                return NULL;

        json_object *view = json_object_new_object();
        json_set_str(view, "schema", "safe-remove/show/1");
        json_set(view, "slot", json_ref(found));
        json_set_u64(view, "block_size", json_u64(topology, "block_size"));
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                json_object *all = json_array(topology, parts[i].key), *mine = json_object_new_array();

                json_set(view, parts[i].key, mine);
                for (size_t k = 0; k < json_len(all); k++)
                        if (parts[i].belongs(json_at(all, k), view))
                                json_object_array_add(mine, json_ref(json_at(all, k)));
        }
        return view;
}
