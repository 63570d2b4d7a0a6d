/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An application's memory on a node: filled with words that can be computed again, and compared with them for as long
 * as the program runs. Words that change on their own were lost by somebody. One word in each cache line by default:
 * finer than any interleaving, and every access to emulated CXL memory takes microseconds.
 */
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keep.h"

static uint64_t expected(uint64_t seed, size_t index) {
        return (index ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(const Request *request, uint64_t *words) {
        for (size_t i = 0; i < request->size / sizeof(*words); i += request->stride / sizeof(*words))
                words[i] = expected(request->seed, i);
}

/* Returns the index of the first wrong word, or the number of words. */
static size_t first_wrong(const Request *request, const volatile uint64_t *words) {
        size_t count = request->size / sizeof(*words);

        for (size_t i = 0; i < count; i += request->stride / sizeof(*words))
                if (words[i] != expected(request->seed, i))
                        return i;

        return count;
}

/* How many of the mapping's pages are on a node, as the kernel counts them. */
static size_t pages_on_node(const void *mapping, unsigned node) {
        char start[32], field[16], line[1024];
        size_t pages = 0;

        FILE *file = fopen("/proc/self/numa_maps", "re");
        if (!file)
                return 0;

        snprintf(start, sizeof(start), "%" PRIxPTR " ", (uintptr_t) mapping);
        snprintf(field, sizeof(field), " N%u=", node);
        while (fgets(line, sizeof(line), file)) {
                const char *found = strstr(line, field);

                if (found && strncmp(line, start, strlen(start)) == 0)
                        (void) sscanf(found + strlen(field), "%zu", &pages);
        }

        (void) fclose(file);
        return pages;
}

/* Preferred by default: a strict binding to the node would also forbid the kernel to move the pages off it. */
static void *map_on_node(const Request *request) {
        unsigned long mask = 1UL << request->node;

        void *mapping = mmap(NULL, request->size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) {
                perror("mmap");
                return NULL;
        }

        if (syscall(SYS_mbind, mapping, request->size, request->bind ? MPOL_BIND : MPOL_PREFERRED, &mask, 64, 0) < 0) {
                perror("mbind");
                return NULL;
        }

        return mapping;
}

int keep_bytes(const Request *request) {
        size_t count = request->size / sizeof(uint64_t);
        Wishes wishes = {};

        uint64_t *words = map_on_node(request);
        if (!words)
                return 2;

        fill(request, words);
        printf("ready node-pages=%zu\n", pages_on_node(words, request->node));

        for (unsigned pass = 1;; pass++) {
                Wishes before = wishes;

                size_t wrong = first_wrong(request, words);
                if (wrong < count) {
                        printf("CORRUPT at %zu: %016" PRIx64 " instead of %016" PRIx64 "\n", wrong * sizeof(uint64_t),
                               words[wrong], expected(request->seed, wrong));
                        return 1;
                }

                /* Only a pass that began after the signal came can answer it. */
                if (before.report || before.end)
                        printf("ok pass=%u node-pages=%zu\n", pass, pages_on_node(words, request->node));
                if (before.end)
                        return 0;

                wishes = (Wishes) {};
                wait_for_wish(&wishes, request->pause_msec);
        }
}
