/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages on a node that the kernel itself uses and cannot move: the buffers of filled pipes. This is what memory that
 * was onlined into ZONE_NORMAL collects sooner or later, and why it then cannot be taken offline.
 */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keep.h"

#define PIPE_SIZE (1U << 20)

/* The ends stay open, unreferenced, until the program ends: that is what keeps the pages. */
static int fill_pipe(void) {
        static const char page[4096] = "unmovable";
        int ends[2];

        if (pipe2(ends, O_CLOEXEC|O_NONBLOCK) < 0 || fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) < 0) {
                perror("pipe");
                return -1;
        }

        for (size_t filled = 0; filled < PIPE_SIZE; filled += sizeof(page))
                if (write(ends[1], page, sizeof(page)) != (ssize_t) sizeof(page)) {
                        perror("write to pipe");
                        return -1;
                }

        return 0;
}

int keep_kernel_pages(const Request *request) {
        unsigned long mask = 1UL << request->node;
        Wishes wishes = {};

        if (syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64) < 0) {
                perror("set_mempolicy");
                return 2;
        }

        for (size_t held = 0; held < request->size; held += PIPE_SIZE)
                if (fill_pipe() < 0)
                        return 2;

        /* From here on nothing else of this program needs to be on the node. */
        (void) syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
        printf("ready\n");

        while (!wishes.end) {
                wait_for_wish(&wishes, request->pause_msec);
                if (wishes.report)
                        printf("ok held-mib=%zu\n", request->size >> 20);
                wishes.report = false;
        }

        return 0;
}
