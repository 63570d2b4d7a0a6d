/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"

/* Checks that say what they got; unlike assert() they are there with NDEBUG too. The first that fails ends the test. */
#define CHECK(expr)                                                                     \
        do {                                                                            \
                if (!(expr)) {                                                          \
                        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr); \
                        exit(EXIT_FAILURE);                                             \
                }                                                                       \
        } while (0)

#define CHECK_INT(got, want) test_check_int((intmax_t) (got), (intmax_t) (want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) test_check_str((got), (want), #got, __FILE__, __LINE__)

static inline void test_check_int(intmax_t got, intmax_t want, const char *what, const char *file, int line) {
        if (got == want)
                return;
        fprintf(stderr, "%s:%d: %s is %jd, not %jd\n", file, line, what, got, want);
        exit(EXIT_FAILURE);
}

static inline void test_check_str(const char *got, const char *want, const char *what, const char *file, int line) {
        if (streq_ptr(got, want))
                return;
        fprintf(stderr, "%s:%d: %s is '%s', not '%s'\n", file, line, what, got ?: "(null)", want ?: "(null)");
        exit(EXIT_FAILURE);
}

/* What others do takes as long as it takes; the end is for those who never do it. */
#define WAIT_FOR(expr)                                                                  \
        do {                                                                            \
                for (uint64_t test_begin = now_monotonic(); !(expr);)                   \
                        test_wait_on(test_begin, #expr, __FILE__, __LINE__);            \
        } while (0)

static inline void test_wait_on(uint64_t begin, const char *what, const char *file, int line) {
        if (now_monotonic() - begin > 50 * USEC_PER_SEC) {
                fprintf(stderr, "%s:%d: waited in vain for: %s\n", file, line, what);
                exit(EXIT_FAILURE);
        }
        (void) poll(NULL, 0, 5);
}

static inline void test_put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static inline void test_putf(const char *text, const char *format, ...) _printf_(2, 3);

static inline void test_putf(const char *text, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        test_put(path, text);
}

/* The folder, and all that it is in. */
static inline void test_make_folders(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        for (char *p = copy + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                CHECK(mkdir(copy, 0755) == 0 || errno == EEXIST);
        }
        CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
}

/* A new one, the caller's to free, and to remove with test_remove_tree(). In memory where that can be had: whoever writes durably waits for the
 * disk, which has what all others write to do first. */
/* What a test does not say of the run folder is in the folder that it has, and never in the machine's own. */
static inline char *test_folder(void) {
        const char *const places[] = { getenv("TMPDIR"), "/dev/shm", "/tmp" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = places[i] ? strf("%s/safe-remove-test-XXXXXX", places[i]) : NULL;
                _cleanup_free_ char *run = path && mkdtemp(path) ? strf("%s/run", path) : NULL;
                if (run && setenv("SAFE_REMOVE_RUN_DIR", run, false) == 0)
                        return TAKE_PTR(path);
        }
        fprintf(stderr, "there is no place for a folder\n");
        exit(EXIT_FAILURE);
}

static inline int test_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static inline void test_remove_tree(const char *path) {
        (void) nftw(path, test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
