/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump-pins '[{"start": 19595788288, "size": 536870912, "kind": "device-dax"}]': what the census says about a card's memory and who pins
 * it, as JSON. Exit status 0 clean, 1 referenced, 2 not provable, 3 something else. */
#include <errno.h>

#include "base/clock.h"
#include "holders/pins/pin-holder.h"

static int look(const char *text, json_object *to) {
        _cleanup_json_ json_object *array = NULL;
        _cleanup_free_ CardMemory *memory = NULL;
        _cleanup_(census_result_done) CensusResult census = { 0 };
        _cleanup_(pins_freep) Pins *pins = NULL;
        size_t n;

        int r = json_parse(text, strlen(text), &array);
        if (r >= 0)
                r = card_memory_from_json(array, &memory, &n);
        if (r < 0)
                return r;
        uint64_t before = now_monotonic();
        r = page_census_all(memory, n, &census);
        uint64_t between = now_monotonic();
        if (r >= 0)
                r = pins_scan(memory, n, NULL, NULL, 0, &pins);
        if (r < 0)
                return r;

        _cleanup_free_ char *line = census_result_text(&census);
        json_object *list = json_object_new_array();
        for (size_t i = 0; i < pins->n_items; i++) {
                json_object *o = pin_to_json(&pins->items[i]);
                _cleanup_free_ char *words = pin_text(&pins->items[i]);
                json_set_str(o, "text", words);
                json_object_array_add(list, o);
        }
        json_set(to, "census", census_result_to_json(&census));
        json_set_str(to, "census_text", line);
        json_set_u64(to, "census_usec", between - before);
        json_set(to, "pins", list);
        json_set_u64(to, "pins_usec", now_monotonic() - between);
        json_set_bool(to, "complete", gaps_none(&pins->gaps));
        json_set_bool(to, "exact", pins->exact);
        json_set_str(to, "why_inexact", pins->why_inexact);
        return (int) census.verdict;
}

int main(int argc, char **argv) {
        _cleanup_json_ json_object *o = json_object_new_object();

        int r = argc == 2 ? look(argv[1], o) : -EINVAL;
        if (r < 0) {
                fprintf(stderr, "dump-pins: %s\n", strerror(-r));
                return 3;
        }
        puts(json_text(o));
        return r;
}
