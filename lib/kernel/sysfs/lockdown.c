/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/lockdown.h"

Lockdown lockdown_parse(const char *text) {
        if (strstr(text, "[none]"))
                return LOCKDOWN_NONE;
        if (strstr(text, "[integrity]"))
                return LOCKDOWN_INTEGRITY;
        return strstr(text, "[confidentiality]") ? LOCKDOWN_CONFIDENTIALITY : LOCKDOWN_UNKNOWN;
}

Lockdown lockdown_read(void) {
        _cleanup_free_ char *text = NULL;

        int r = attr_read("/sys/kernel/security/lockdown", &text);
        if (r < 0)
                return r == -ENOENT ? LOCKDOWN_NONE : LOCKDOWN_UNKNOWN;
        return lockdown_parse(text);
}
