/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "record.h"

#define CACHE_LINE 64U

static uint64_t mix(uint64_t x) {
        x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
        return x ^ x >> 29;
}

void record_make(uint64_t number, Record *ret) {
        uint64_t sum = mix(number);

        ret->number = number;
        for (size_t i = 0; i < sizeof(ret->payload) / sizeof(*ret->payload); i++) {
                ret->payload[i] = mix(number * 31 + i);
                sum = mix(sum ^ ret->payload[i]);
        }
        ret->sum = sum;
}

bool record_is(const Record *record, uint64_t number) {
        Record wanted;

        record_make(number, &wanted);
        return memcmp(record, &wanted, sizeof(wanted)) == 0;
}

/* CLWB where there is one: leaf 7, EBX bit 24. */
static bool has_clwb(void) {
        static int known = -1;
        unsigned a, b = 0, c, d;

        if (known < 0)
                known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & 1U << 24;
        return known;
}

__attribute__((target("clwb"))) static void write_back(char *line) {
        _mm_clwb(line);
}

void persist(const void *start, size_t size) {
        char *line = (char *) ((uintptr_t) start & ~(uintptr_t) (CACHE_LINE - 1));

        for (; line < (const char *) start + size; line += CACHE_LINE)
                if (has_clwb())
                        write_back(line);
                else
                        _mm_clflush(line);
        _mm_sfence();
}
