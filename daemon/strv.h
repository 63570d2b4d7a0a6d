/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

#include "base/util.h"

/* A NULL-terminated vector of strings, as the bus takes and gives them. */
static inline void strv_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
}

static inline void strv_freep(char ***strings) {
        strv_free(*strings);
}

/* A copy in the place of the former text; both may be NULL. -ENOMEM, and the former one stays. */
static inline int set_text(char **text, const char *value) {
        char *copy = value ? strdup(value) : NULL;

        if (value && !copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}
