/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The names in a folder of the kernel's, in an order a person would write them (mem2 before mem10): the kernel's own
 * order changes from boot to boot. */
typedef struct Listing {
        char **names;
        size_t n;
        size_t n_allocated;
} Listing;

void listing_done(Listing *l);

#define _cleanup_listing_ _cleanup_(listing_done)

/* Adds every name but dot files; -ENOENT without the folder. */
int listing_readf(Listing *l, const char *format, ...) _printf_(2, 3);
