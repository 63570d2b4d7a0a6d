/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the command line asks for. */
typedef struct Request {
        unsigned node;
        size_t size;
        size_t stride;
        uint64_t seed;
        bool bind;
        bool unmovable;
        unsigned pause_msec;
} Request;

/* Set by the signals that the keeper blocks and looks at between two passes. */
typedef struct Wishes {
        bool report;
        bool end;
} Wishes;

/* Waits for at most a time for SIGUSR1 or SIGTERM. */
void wait_for_wish(Wishes *wishes, unsigned msec);

int keep_bytes(const Request *request);
int keep_kernel_pages(const Request *request);
