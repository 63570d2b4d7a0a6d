/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/card-parts.h"
#include "kernel/sysfs/attr.h"

enum {
        NOTES_MAX = 64,
};

void card_note(json_object *answer, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        if (text && json_len(json_array(answer, "notes")) < NOTES_MAX)
                json_append_str(json_array(answer, "notes"), text);
}

const char *card_why(int error) {
        switch (error) {
        case -EOPNOTSUPP:
        case -ENOTTY:
                return "the card does not offer that";
        case -ENODEV:
        case -ENXIO:
        case -ENOENT:
                return "its device is gone, or there is no node in /dev to ask it through";
        case -EACCES:
        case -EPERM:
                return "the kernel lets nobody ask";
        case -EREMOTEIO:
                return "the card answers with an error";
        default:
                return strerror(-error);
        }
}

void card_set_number(json_object *o, const char *key, int64_t value, int64_t least, int64_t most) {
        json_set(o, key, value >= least && value <= most ? json_object_new_int64(value) : NULL);
}

void card_set_flag(json_object *o, const char *key, int value) {
        if (value == 0 || value == 1)
                json_set_bool(o, key, value);
        else
                json_set(o, key, NULL);
}

void card_set_text(json_object *o, const char *key, const char *bytes, size_t n) {
        char text[CARD_TEXT_MAX];
        size_t length = 0;

        while (length < n && length < sizeof(text) - 1 && bytes[length]) {
                text[length] = bytes[length] >= ' ' && bytes[length] <= '~' ? bytes[length] : '?';
                length++;
        }
        while (length > 0 && text[length - 1] == ' ')
                length--;
        text[length] = '\0';
        json_set_str(o, key, length > 0 ? text : NULL);
}

int card_security_read(const char *device, char **ret) {
        int r = startswith(device, "nmem") ? attr_readf(ret, "/sys/bus/nd/devices/%s/security", device)
                                           : attr_readf(ret, "/sys/bus/cxl/devices/%s/security/state", device);

        if (r != -ENOENT)
                return r;
        *ret = NULL;
        return 0;
}
