/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/attr.h"
#include "probe/probe.h"

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
                if (streq_ptr(now, serial)) {
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
