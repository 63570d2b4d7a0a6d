/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The census itself needs a card's memory: tests/vm/scenarios/80-pins.py. */
#include "kernel/memory/kernel-memory.h"
#include "kernel/pages/page-census.h"
#include "tests/unit/test.h"

#define START UINT64_C(0x490000000)
#define UNIT (UINT64_C(2) << 20)
#define RUBBISH (UINT64_C(0x5a5a5a5a) << 32)

/* The upper half of what is read is what lies behind the count. */
static CensusResult judge(int32_t idle, bool tails, size_t n, const int32_t *counts) {
        CensusResult r = { .unit = UNIT, .idle = idle, .tails = tails };

        for (size_t i = 0; i < n; i++) {
                const uint64_t value = RUBBISH | (uint32_t) counts[i];
                census_add(&r, START + i * UNIT, &value, 1);
        }
        CHECK_INT(census_judge(&r), 0);
        return r;
}

#define JUDGE(idle, tails, ...) judge(idle, tails, ELEMENTSOF(((int32_t[]) { __VA_ARGS__ })), (int32_t[]) { __VA_ARGS__ })

static void check_verdict(CensusResult r, CensusVerdict want) {
        CHECK_STR(census_verdict_to_string(r.verdict), census_verdict_to_string(want));
        CHECK((r.verdict == CENSUS_NOT_PROVABLE) == (r.why != NULL));
        census_result_done(&r);
}

static void test_verdicts(void) {
        check_verdict(JUDGE(1, false, 1, 1, 1), CENSUS_CLEAN);
        check_verdict(JUDGE(0, false, 0, 0), CENSUS_CLEAN);
        check_verdict(JUDGE(1, false, 1, 2, 1), CENSUS_REFERENCED);
        check_verdict(JUDGE(0, false, 0, 0, 1), CENSUS_REFERENCED);

        /* All of them, alike: more is more, whatever most of them show. */
        check_verdict(JUDGE(1, false, 513, 513, 513), CENSUS_REFERENCED);

        /* Never clean when it is not as thought. */
        check_verdict(JUDGE(1, false, 1, 0, 1), CENSUS_NOT_PROVABLE);
        check_verdict(JUDGE(1, false, 0, 0), CENSUS_NOT_PROVABLE);
        check_verdict(JUDGE(1, false, -1, 1), CENSUS_NOT_PROVABLE);
        check_verdict(JUDGE(1, true, 0, 0), CENSUS_NOT_PROVABLE);
        check_verdict(judge(1, false, 0, NULL), CENSUS_NOT_PROVABLE);

        check_verdict(JUDGE(1, true, 1, 0, 0, 1, 0, 0), CENSUS_CLEAN);
        check_verdict(JUDGE(1, true, 1, 0, 0, 3, 0, 0), CENSUS_REFERENCED);
}

static void test_ranges(void) {
        CensusResult r = JUDGE(1, false, 1, 2, 3, 1, 1, 1025);

        CHECK_INT(r.n_units, 6);
        CHECK_INT(r.n_idle, 3);
        CHECK_INT(r.n_referenced, 3);
        CHECK_INT(r.n_references, 1 + 2 + 1024);
        CHECK_INT(r.n_ranges, 2);
        CHECK_INT(r.ranges[0].start, START + UNIT);
        CHECK_INT(r.ranges[0].size, 2 * UNIT);
        CHECK_INT(r.ranges[1].start, START + 5 * UNIT);

        _cleanup_free_ char *text = census_result_text(&r);
        CHECK_STR(text, "3 of 6 pages of 2 MiB are referenced (1027 references), the first at 0x490200000-0x4905fffff");
}

static void test_many_ranges(void) {
        int32_t counts[CENSUS_RANGES_MAX * 4];

        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                counts[i] = 1 + (int32_t) (i % 2);
        CensusResult r = judge(1, false, ELEMENTSOF(counts), counts);
        CHECK_INT(r.n_referenced, CENSUS_RANGES_MAX * 2);
        CHECK_INT(r.n_ranges, CENSUS_RANGES_MAX);
}

static void test_json(void) {
        CensusResult r = JUDGE(1, false, 1, 2), closed = { .verdict = CENSUS_NOT_PROVABLE, .why = (char *) "closed" };
        _cleanup_json_ json_object *o = census_result_to_json(&r), *none = census_result_to_json(&closed);
        _cleanup_free_ char *text = census_result_text(&closed);

        CHECK_STR(json_str(o, "verdict"), "referenced");
        CHECK_INT(json_u64(o, "n_referenced"), 1);
        CHECK_INT(json_u64(json_at(json_get(o, "ranges"), 0), "start"), START + UNIT);
        CHECK_STR(json_str(none, "verdict"), "not-provable");
        CHECK_STR(json_str(none, "why"), "closed");
        CHECK_STR(text, "not provable here: closed");
}

/* It says why wherever it cannot: no test runs with the rights it takes. And what is not a device's memory is never clean. */
static void test_elsewhere(void) {
        _cleanup_(kernel_memory_freep) KernelMemory *memory = NULL;
        _cleanup_free_ char *why = NULL;
        CensusResult r = { 0 };

        CHECK((kernel_memory_open(&memory, &why) >= 0) == (why == NULL));
        CHECK_INT(page_census(0, UNIT, CENSUS_DEVICE_DAX, &r), 0);
        check_verdict(r, CENSUS_NOT_PROVABLE);
        CHECK_INT(page_census(START, UNIT, CENSUS_SYSTEM_RAM, &r), 0);
        check_verdict(r, CENSUS_NOT_PROVABLE);
}

int main(void) {
        test_verdicts();
        test_ranges();
        test_many_ranges();
        test_json();
        test_elsewhere();
        return 0;
}
