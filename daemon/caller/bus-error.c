/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-error.h"

static const struct {
        const char *code;
        const char *error;
} errors[] = {
        { "malformed", BUS_ERROR_MALFORMED_NAME },
        { "unknown", BUS_ERROR_UNKNOWN_NAME },
        { "ambiguous", BUS_ERROR_AMBIGUOUS_NAME },
        { "no-slot", BUS_ERROR_NO_SLOT },
        { "bad-option", BUS_ERROR_BAD_OPTION },
        { "busy", BUS_ERROR_BUSY },
        { "not-proven", BUS_ERROR_NOT_PROVEN },
        { "stale", BUS_ERROR_STALE },
        { "no-light", BUS_ERROR_NO_LIGHT },
};

const char *bus_error_of_code(const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (streq_ptr(code, errors[i].code))
                        return errors[i].error;
        return BUS_ERROR_FAILED; /* "internal": the message tells */
}
