/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump-holders [--time|--left-out] [--filter|--no-filter] TARGETS: prints who holds the targets (JSON as in holders/holder.h), or how long one
 * look takes, or how many processes need not be looked at (holders/scan/scan-filter.h). */
#include "base/clock.h"
#include "holders/scan/scan.h"

static int fail(const char *what, int error) {
        fprintf(stderr, "%s: %s\n", what, strerror(-error));
        return EXIT_FAILURE;
}

static void print_holders(const Holders *h, const HoldTargets *targets) {
        _cleanup_json_ json_object *o = json_object_new_object();
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < h->n_items; i++)
                json_object_array_add(array, holder_to_json(&h->items[i], targets));
        json_set(o, "holders", array);
        _cleanup_free_ char *gaps = gaps_text(&h->gaps);
        json_set_bool(o, "complete", gaps_none(&h->gaps));
        json_set_str(o, "gaps", gaps);
        puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
}

int main(int argc, char **argv) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *h = NULL;
        _cleanup_json_ json_object *array = NULL;
        ScanWay way = { 0 };
        bool timed = false, left_out = false;

        for (int i = 1; i < argc - 1; i++) {
                timed = timed || streq(argv[i], "--time");
                left_out = left_out || streq(argv[i], "--left-out");
                way.filter = streq(argv[i], "--filter") ? FILTER_ALWAYS : streq(argv[i], "--no-filter") ? FILTER_NEVER : way.filter;
        }
        if (argc < 2) {
                fprintf(stderr, "dump-holders [--time|--left-out] [--filter|--no-filter] TARGETS\n");
                return EXIT_FAILURE;
        }
        int r = json_parse(argv[argc - 1], strlen(argv[argc - 1]), &array);
        if (r >= 0)
                r = hold_targets_from_json(array, &targets);
        if (r < 0)
                return fail(argv[argc - 1], r);

        if (left_out) {
                _cleanup_(process_roll_done) ProcessRoll roll = { 0 };

                r = process_roll_begin(&roll);
                printf("%d\n", r < 0 ? r : scan_filter(&targets, way.filter, UINT64_MAX, &roll));
                return EXIT_SUCCESS;
        }
        uint64_t start = now_monotonic();
        r = holders_scan_by(way, &targets, 0, &h);
        if (r < 0)
                return fail("holders_scan", r);
        if (timed)
                printf("%ju us, %zu holders\n", (uintmax_t) (now_monotonic() - start), h->n_items);
        else
                print_holders(h, &targets);
        return EXIT_SUCCESS;
}
