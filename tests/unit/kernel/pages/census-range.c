/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-range START SIZE [device-dax|fsdax]: what the page census says about a range of physical memory, as JSON, with the time it
 * took. Exit status 0 clean, 1 referenced, 2 not provable, 3 something else. */
#include "base/clock.h"
#include "base/parse.h"
#include "kernel/pages/page-census.h"

int main(int argc, char **argv) {
        _cleanup_(census_result_done) CensusResult result = { 0 };
        uint64_t start, size;
        int kind = argc == 4 ? census_kind_from_string(argv[3]) : CENSUS_DEVICE_DAX;

        if (argc < 3 || argc > 4 || kind < 0 || parse_u64(argv[1], &start) < 0 || parse_u64(argv[2], &size) < 0) {
                fprintf(stderr, "usage: census-range START SIZE [device-dax|fsdax]\n");
                return 3;
        }
        uint64_t before = now_monotonic();
        int r = page_census(start, size, (CensusKind) kind, &result);
        uint64_t took = now_monotonic() - before;
        if (r < 0) {
                fprintf(stderr, "census-range: %s\n", strerror(-r));
                return 3;
        }

        _cleanup_json_ json_object *json = census_result_to_json(&result);
        _cleanup_free_ char *text = census_result_text(&result);
        json_set_u64(json, "took_usec", took);
        json_set_str(json, "text", text);
        puts(json_text(json));
        return (int) result.verdict;
}
