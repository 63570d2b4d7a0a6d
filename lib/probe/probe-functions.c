/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "probe/probe.h"

/* A function that is still listed has perhaps a driver and surely children of the kernel's own (config space, memdev). */
static int function_gone(const char *bdf, char **ret_answer) {
        _cleanup_free_ char *driver = NULL;

        int r = driver_of("pci", bdf, &driver);
        if (r == -ENODEV)
                return 1;
        if (r < 0)
                return r;
        *ret_answer = driver ? strf("%s is there, driven by %s", bdf, driver) : strf("%s is there", bdf);
        return 0;
}

/* Whatever else may sit at the slot's address by now, or anywhere below its port. */
static int nobody_else(json_object *scope, char **ret_answer) {
        const char *address = json_str(scope, "address");

        _cleanup_(closedirp) DIR *d = opendir("/sys/bus/pci/devices");
        if (!d)
                return -errno;
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *place = NULL;
                bool here = address && *address && startswith(e->d_name, address);

                int r = here ? 0 : device_place("/sys/bus/pci/devices", e->d_name, &place);
                if (r < 0)
                        return r;
                if (here || (r > 0 && scope_is_below_port(scope, place))) {
                        *ret_answer = strf("%s is there", e->d_name);
                        return 0;
                }
        }
        return 1;
}

static int ask(json_object *scope, char **ret_answer) {
        json_object *functions = json_array(scope, "functions");
        bool in_slot = json_str(scope, "port") || json_str(scope, "address");

        for (size_t i = 0; i < json_len(functions); i++) {
                int r = function_gone(json_object_get_string(json_at(functions, i)), ret_answer);
                if (r <= 0)
                        return r;
        }
        int r = in_slot ? nobody_else(scope, ret_answer) : 1;
        /* That nothing is there says nothing about a card of which nobody knows what was there. A module in a socket has none. */
        if (r <= 0 || json_len(functions) > 0 || (!in_slot && json_len(json_array(scope, "ranges")) > 0))
                return r;
        *ret_answer = strdup("which PCI functions the card had is not known");
        return -ENODATA;
}

const Probe probe_functions = {
        .name = "functions",
        .question = "are the card's PCI functions and their drivers gone",
        .ask = ask,
};
