/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

#include "base/util.h"

/* Which of a list of things are in another one: their addresses, sorted, so that long lists cost little more than their length. */
typedef struct PointerSet {
        const void **items;
        size_t n;
} PointerSet;

static inline int pointer_set_compare(const void *a, const void *b) {
        const char *x = *(const char *const *) a, *y = *(const char *const *) b;

        return x < y ? -1 : x > y;
}

/* Copies the addresses. -ENOMEM. */
static inline int pointer_set_make(const void *const *items, size_t n, PointerSet *ret) {
        const void **copy = calloc(n + 1, sizeof(void *));

        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                copy[i] = items[i];
        if (n > 1)
                qsort(copy, n, sizeof(void *), pointer_set_compare);
        *ret = (PointerSet) { .items = copy, .n = n };
        return 0;
}

static inline bool pointer_set_has(const PointerSet *s, const void *item) {
        return s->n > 0 && bsearch(&item, s->items, s->n, sizeof(void *), pointer_set_compare);
}

static inline void pointer_set_done(PointerSet *s) {
        free(s->items);
}
