/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>

#include "kernel/sysfs/escape.h"

static bool is_octal(char c) {
        return c >= '0' && c <= '7';
}

void octal_unescape(char *s) {
        char *to = s;

        for (const char *from = s; *from; to++) {
                if (from[0] == '\\' && from[1] <= '3' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
                        *to = (char) ((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
                        from += 4;
                } else
                        *to = *from++;
        }
        *to = '\0';
}
