/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>

#include "base/util.h"

/* Enums own their strings: one table serves log, bus, CLI, journal and man page. A type `Foo` with values
 * 0.._FOO_MAX-1 declares with DECLARE_STRING_TABLE(foo, Foo) and defines with DEFINE_STRING_TABLE over
 * `static const char *const foo_table[_FOO_MAX]`. foo_from_string() gives -EINVAL for an unknown word,
 * foo_to_string() NULL for a value out of range. */
#define DECLARE_STRING_TABLE(name, type)                \
        const char *name##_to_string(type value);       \
        int name##_from_string(const char *s)

#define DEFINE_STRING_TABLE(name, type)                                                 \
        const char *name##_to_string(type value) {                                      \
                if ((int) value < 0 || (size_t) value >= ELEMENTSOF(name##_table))      \
                        return NULL;                                                    \
                return name##_table[value];                                             \
        }                                                                               \
        int name##_from_string(const char *s) {                                         \
                for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++)              \
                        if (name##_table[i] && streq(name##_table[i], s))               \
                                return (int) i;                                         \
                return -EINVAL;                                                         \
        }
