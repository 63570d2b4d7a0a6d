/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "probe/probe.h"

/* Buses whose devices have an address range: what is left there of the card's could still be driven. */
static const char *const buses[] = { "dax", "nd" };

/* 1: it has addresses of the card, or may have. Most devices have no such attribute, and one without addresses none that can be read
 * (drivers/nvdimm/pfn_devs.c:resource_show). */
static int may_be_on_card(json_object *scope, const char *bus, const char *name) {
        uint64_t start, size;

        int r = scope_read_u64f(scope, &start, "/sys/bus/%s/devices/%s/resource", bus, name);
        if (r > 0)
                r = scope_read_u64f(scope, &size, "/sys/bus/%s/devices/%s/size", bus, name);
        return r <= 0 ? r : size > 0 && scope_overlaps(scope, start, size);
}

static int look_at(json_object *scope, const char *bus, const char *name, char **ret_answer) {
        _cleanup_free_ char *driver = NULL;

        int odd = may_be_on_card(scope, bus, name);
        if (odd == 0)
                return 1;
        int r = driver_of(bus, name, &driver);
        if (r == -ENODEV || (r >= 0 && !driver))
                return 1;
        if (r >= 0 && odd > 0)
                *ret_answer = strf("%s is driven by %s", name, driver);
        return r < 0 ? r : odd < 0 ? odd : 0;
}

static int ask_bus(json_object *scope, const char *bus, char **ret_answer) {
        _cleanup_free_ char *path = strf("/sys/bus/%s/devices", bus);
        if (!path)
                return -ENOMEM;
        _cleanup_(closedirp) DIR *d = opendir(path);
        if (!d)
                return errno == ENOENT ? 1 : -errno;

        for (struct dirent *e; (e = readdir(d));) {
                int r = e->d_name[0] == '.' ? 1 : look_at(scope, bus, e->d_name, ret_answer);
                if (r <= 0)
                        return r;
        }
        return 1;
}

/* Nobody serves a slot whose hot-plug driver is away: not its switch, not the next card. */
static int ask_service(json_object *scope, char **ret_answer) {
        const char *service = json_str(scope, "service");
        _cleanup_free_ char *driver = NULL;

        if (!service)
                return 1;
        int r = driver_of("pci_express", service, &driver);
        if (r < 0)
                return r;
        if (driver)
                return 1;
        *ret_answer = strf("%s has no driver: the slot is held", service);
        return 0;
}

static int ask(json_object *scope, char **ret_answer) {
        if (scope_is_blind(scope, ret_answer))
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(buses); i++) {
                int r = ask_bus(scope, buses[i], ret_answer);
                if (r <= 0)
                        return r;
        }
        return ask_service(scope, ret_answer);
}

const Probe probe_drivers = {
        .name = "drivers",
        .question = "is no driver bound to a device on the card's addresses, and is the slot's own driver bound",
        .before_power_off = true,
        .ask = ask,
};
