/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/util.h"
#include "bare-call.h"

static int fill(sd_bus_message *copy, sd_bus_message *call) {
        const char *sender = sd_bus_message_get_sender(call);
        uint64_t number;

        int r = sd_bus_message_get_cookie(call, &number);
        if (r >= 0 && sender)
                r = sd_bus_message_set_sender(copy, sender);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(copy, sd_bus_message_get_expect_reply(call));
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(copy, call, true);
        if (r >= 0)
                r = sd_bus_message_seal(copy, number, 0);
        return r < 0 ? r : sd_bus_message_rewind(copy, true);
}

int bare_call(sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;

        int r = sd_bus_message_new_method_call(sd_bus_message_get_bus(call), &copy, sd_bus_message_get_destination(call),
                        sd_bus_message_get_path(call), sd_bus_message_get_interface(call), sd_bus_message_get_member(call));
        if (r >= 0)
                r = fill(copy, call);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(copy);
        return 0;
}
