/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mappings, and the ways to make them hard to find. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hold.h"

/* Every access to emulated CXL memory takes microseconds: one byte of each page is enough to be there, and to be known. */
#define STRIDE 4096U

static unsigned char expected(size_t offset) {
        return (unsigned char) (offset / STRIDE * 7 + 1);
}

static int map_flags(MapKind kind) {
        switch (kind) {
        case MAP_KIND_PRIVATE:
                return MAP_PRIVATE;
        case MAP_KIND_SYNC:
                return MAP_SHARED_VALIDATE|MAP_SYNC;
        case MAP_NONE:
        case MAP_KIND_SHARED:
        default:
                return MAP_SHARED;
        }
}

/* A mapping of whole thirds. A device cannot be mapped in less than its large pages. */
static int find_size(const Request *request, int fd, size_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return complain("fstat");

        size_t size = request->size ?: S_ISCHR(st.st_mode) ? 2U << 20 : 64U << 10;
        if (S_ISREG(st.st_mode) && st.st_size < (off_t) size && ftruncate(fd, (off_t) size) < 0)
                return complain("ftruncate");

        *ret = size;
        return 0;
}

static int split(Hold *hold) {
        size_t third = hold->size / 3 & ~(size_t) (STRIDE - 1);

        hold->split = true;
        return munmap(hold->mapping + third, third) < 0 ? complain("munmap") : 0;
}

static int move(Hold *hold) {
        void *place = mmap(NULL, hold->size, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (place == MAP_FAILED)
                return complain("mmap");

        void *moved = mremap(hold->mapping, hold->size, hold->size, MREMAP_MAYMOVE|MREMAP_FIXED, place);
        if (moved == MAP_FAILED)
                return complain("mremap");

        hold->mapping = moved;
        return 0;
}

int hold_map(const Request *request, Hold *hold) {
        if (find_size(request, hold->fd, &hold->size) < 0)
                return -1;

        void *mapping = mmap(NULL, hold->size, PROT_READ|PROT_WRITE, map_flags(request->map), hold->fd, 0);
        if (mapping == MAP_FAILED)
                return complain("mmap");

        hold->mapping = mapping;
        for (size_t i = 0; i < hold->size; i += STRIDE)
                hold->mapping[i] = expected(i);

        if (request->move && move(hold) < 0)
                return -1;

        return request->split ? split(hold) : 0;
}

static sigjmp_buf lost;

static void on_bus_error(int signal) {
        siglongjmp(lost, signal);
}

static bool unchanged(const Hold *hold) {
        size_t third = hold->size / 3 & ~(size_t) (STRIDE - 1);

        for (size_t i = 0; i < hold->size; i += STRIDE) {
                if (hold->split && i >= third && i < 2 * third)
                        continue;
                if (((volatile unsigned char *) hold->mapping)[i] != expected(i))
                        return false;
        }

        return true;
}

void hold_look(const Hold *hold) {
        struct sigaction action = { .sa_handler = on_bus_error, .sa_flags = SA_NODEFER };

        (void) sigaction(SIGBUS, &action, NULL);
        if (sigsetjmp(lost, 1) != 0)
                printf("look: SIGBUS\n");
        else
                printf("look: %s\n", !hold->mapping || unchanged(hold) ? "ok" : "CHANGED");
}
