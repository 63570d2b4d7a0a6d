/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

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
