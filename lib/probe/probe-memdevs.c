/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

/* A number that is 0 is none: another card with such a one has the name by now if it is elsewhere. 1: it is below the slot's port. */
static int is_in_place(json_object *scope, const char *name) {
        _cleanup_free_ char *place = NULL;

        int r = device_place("/sys/bus/cxl/devices", name, &place);
        return r <= 0 ? r : scope_is_below_port(scope, place);
}

/* The name may belong to another card by now; the serial number tells. */
static int ask(json_object *scope, char **ret_answer) {
        json_object *memdevs = json_array(scope, "memdevs");

        for (size_t i = 0; i < json_len(memdevs); i++) {
                const char *name = json_str(json_at(memdevs, i), "name"), *serial = json_str(json_at(memdevs, i), "serial");
                _cleanup_free_ char *now = NULL;

                int r = attr_readf(&now, "/sys/bus/cxl/devices/%s/serial", name);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                bool same = streq_ptr(now, serial);
                r = same && streq(now, "0x0") ? is_in_place(scope, name) : same;
                if (r < 0)
                        return r;
                if (r > 0) {
                        *ret_answer = strf("%s with serial %s is there", name, serial);
                        return 0;
                }
        }
        return 1;
}

const Probe probe_memdevs = {
        .name = "memdevs",
        .question = "is the card's memdev gone",
        .ask = ask,
};
