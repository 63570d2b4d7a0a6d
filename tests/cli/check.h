/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void check_str(const char *got, const char *want, const char *what, const char *file, int line) {
        if ((got && want && strcmp(got, want) == 0) || got == want)
                return;
        fprintf(stderr, "%s:%d: %s is '%s', not '%s'\n", file, line, what, got ? got : "(null)", want ? want : "(null)");
        exit(EXIT_FAILURE);
}

static inline void check_int(long long got, long long want, const char *what, const char *file, int line) {
        if (got == want)
                return;
        fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, got, want);
        exit(EXIT_FAILURE);
}

/* Unlike assert(), also there with NDEBUG; they say what they got. */
#define CHECK_STR(got, want) check_str((got), (want), #got, __FILE__, __LINE__)
#define CHECK_INT(got, want) check_int((got), (want), #got, __FILE__, __LINE__)
