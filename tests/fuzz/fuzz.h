/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A fuzz target is one file with this function. libFuzzer calls it with what it makes up, run-corpus.c with every file of
 * corpus-NAME. What must hold whatever comes in is checked with FUZZ_CHECK. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(expr)                                                                        \
        do {                                                                                    \
                if (!(expr)) {                                                                  \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr);      \
                        abort();                                                                \
                }                                                                               \
        } while (0)

/* The input as text of its own size, so that reading beyond its end is noticed. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);

        FUZZ_CHECK(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        return text;
}
