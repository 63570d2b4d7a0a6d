/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim MAPPINGS: a process with so many mappings that maps and unmaps a page again and again, and times it. For each line that it reads it
 * prints, of the time since the line before: how often, and the median, the 99th percentile and the longest, in nanoseconds.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
        PAGE = 4096,
        TIMES_MAX = 1 << 20,
        PAUSE_NSEC = 50 * 1000, /* it is to be in nobody's way */
};

static uint64_t times[TIMES_MAX];

static uint64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

static uint64_t map_once(void) {
        uint64_t begin = now();
        void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED || munmap(page, PAGE) < 0)
                exit(EXIT_FAILURE);
        return now() - begin;
}

static int compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

/* False at the end of the input. */
static bool was_asked(void) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        char line[64];

        if (poll(&p, 1, 0) <= 0)
                return false;
        if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
                exit(EXIT_SUCCESS);
        return true;
}

int main(int argc, char **argv) {
        const struct timespec pause = { .tv_nsec = PAUSE_NSEC };
        size_t n = 0;

        char *end = NULL;
        unsigned long mappings = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
        if (!end || end == argv[1] || *end) {
                fputs("victim MAPPINGS\n", stderr);
                return EXIT_FAILURE;
        }

        for (unsigned long i = 0; i < mappings; i++)
                if (mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
                        return EXIT_FAILURE;
        puts("ready");
        for (;;) {
                fflush(stdout);
                while (!was_asked()) {
                        times[n++ % TIMES_MAX] = map_once();
                        (void) nanosleep(&pause, NULL);
                }
                n = n < TIMES_MAX ? n : TIMES_MAX;
                qsort(times, n, sizeof(times[0]), compare);
                printf("%zu %ju %ju %ju\n", n, n ? (uintmax_t) times[n / 2] : 0, n ? (uintmax_t) times[n * 99 / 100] : 0, n ? (uintmax_t) times[n - 1] : 0);
                n = 0;
        }
}
