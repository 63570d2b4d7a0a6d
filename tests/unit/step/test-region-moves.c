/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "ram2", whose region stands at 0x490000000: what was planned for it where another card's stands by now. */
#include <errno.h>

#include "step/undo/region-moves.h"
#include "tests/unit/test.h"

#define BLOCK 0x8000000ULL /* 128 MiB: the region has memory146 to memory149 */
#define NOW 0x490000000ULL
#define ELSEWHERE 0x470000000ULL /* memory142 to memory145 */

static json_object *parsed(const char *text) {
        json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        return o;
}

static json_object *region_at(uint64_t start, unsigned memdev) {
        _cleanup_free_ char *text = strf("{\"region\": {\"name\": \"region0\", \"mode\": \"ram\", \"start\": %ju, \"size\": 536870912, \"targets\": "
                                         "[{\"position\": 0, \"memdev\": \"mem%u\", \"index\": 0}]}}", (uintmax_t) start, memdev);

        return parsed(text);
}

static void check_applied(const RegionMoves *m, const char *text, const char *want) {
        _cleanup_json_ json_object *o = parsed(text), *now = region_moves_apply(m, o), *wanted = parsed(want);

        if (!json_object_equal(now, wanted))
                fprintf(stderr, "%s\n", json_text(now));
        CHECK(json_object_equal(now, wanted));
}

/* Two regions side by side that have changed places: each block by the place in its own. */
static void test_numbers(void) {
        RegionMove items[] = { { .from = ELSEWHERE, .size = 4 * BLOCK, .to = ELSEWHERE + 4 * BLOCK },
                               { .from = ELSEWHERE + 4 * BLOCK, .size = 4 * BLOCK, .to = ELSEWHERE } };
        const RegionMoves m = { .items = items, .n = ELEMENTSOF(items), .block_size = BLOCK };
        RegionMoves none = { .block_size = BLOCK };

        CHECK_INT(region_moves_address(&m, ELSEWHERE + 5), ELSEWHERE + 4 * BLOCK + 5);
        CHECK_INT(region_moves_address(&m, ELSEWHERE + 8 * BLOCK), ELSEWHERE + 8 * BLOCK);
        CHECK_INT(region_moves_address(&m, ELSEWHERE - 1), ELSEWHERE - 1);
        check_applied(&m, "{\"own\": [[140, 147], [149, 151]]}", "{\"own\": [[140, 141], [142, 143], [145, 145], [146, 149], [150, 151]]}");
        check_applied(&m, "{\"blocks\": [{\"id\": 145, \"zone\": \"Movable\"}, {\"id\": 146}], \"offline\": [147, 150], \"id\": 145}",
                      "{\"blocks\": [{\"id\": 149, \"zone\": \"Movable\"}, {\"id\": 142}], \"offline\": [143, 150], \"id\": 145}");
        /* What was there before somebody turned the policy off is what was there. */
        check_applied(&m, "[{\"blocks\": [[140, 151]]}]", "[{\"blocks\": [[140, 151]]}]");
        check_applied(&m, "{\"region\": {\"start\": 19058917376, \"targets\": []}, \"start\": 19058917377, \"size\": 19058917376}",
                      "{\"region\": {\"start\": 19595788288, \"targets\": [], \"moved_from\": 19058917376}, \"start\": 19595788289, \"size\": 19058917376}");
        check_applied(&m, "{\"region\": {\"start\": 19058917376, \"targets\": [], \"moved_from\": 5}}",
                      "{\"region\": {\"start\": 19595788288, \"targets\": [], \"moved_from\": 5}}");
        /* Bad blocks. */
        check_applied(&m, "{\"bad_blocks\": [{\"start\": \"0x470000001\", \"blocks\": 145}], \"nmems\": [{\"id\": \"0x470000000\"}], \"start\": \"?\"}",
                      "{\"bad_blocks\": [{\"start\": \"0x490000001\", \"blocks\": 145}], \"nmems\": [{\"id\": \"0x470000000\"}], \"start\": \"?\"}");
        check_applied(&none, "{\"start\": 19058917376}", "{\"start\": 19058917376}");
}

static void check_found(uint64_t start, unsigned memdev, bool first, uint64_t from) {
        _cleanup_(region_moves_done) RegionMoves m = { 0 };
        Step steps[2] = { { .args = region_at(start, memdev) }, { .args = region_at(start, memdev) } };

        if (first)
                json_set_u64(json_get(steps[0].args, "region"), "moved_from", ELSEWHERE);
        CHECK_INT(region_moves_find(steps, ELEMENTSOF(steps), first, &m), 0);
        CHECK_INT(m.n, from != 0);
        CHECK_INT(m.block_size, BLOCK);
        if (from != 0) {
                CHECK_INT(m.items[0].from, from);
                CHECK_INT(m.items[0].to, NOW);
                CHECK_INT(m.items[0].size, 4 * BLOCK);
        }
        json_object_put(steps[0].args);
        json_object_put(steps[1].args);
}

static void check_create(uint64_t start, bool restoring, int want) {
        _cleanup_json_ json_object *args = region_at(start, 1);
        static const StepLimits limits = { .write_timeout_usec = 5000000 };
        StepRun run = { .limits = &limits, .restoring = restoring };

        CHECK_INT(step_delete_region_ops.revert(args, &run), want);
        step_run_done(&run);
}

int main(void) {
        test_numbers();
        check_found(ELSEWHERE, 1, false, ELSEWHERE);
        check_found(NOW, 1, false, 0);
        check_found(NOW, 1, true, ELSEWHERE);
        check_found(ELSEWHERE, 7, false, 0); /* no such card: nobody knows */
        /* A restoration alone takes other addresses, and those that are whole blocks away. */
        check_create(NOW, false, 0);
        check_create(ELSEWHERE, true, 0);
        check_create(ELSEWHERE + BLOCK / 2, true, -ENOTUNIQ);
        check_create(ELSEWHERE, false, -ENOTUNIQ);
        return EXIT_SUCCESS;
}
