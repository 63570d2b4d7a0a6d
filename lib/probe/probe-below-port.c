/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything below the slot's port goes with the card, and the plan explains only what it has seen there. What is there and not in the
 * scope came meanwhile (somebody pressed the button of an inner slot, or made a partition), or was not understood. What is in the scope is
 * another probe's to ask about, but for its driver: minutes lie between the plan and the power, and in each of them somebody may give a function
 * to a virtual machine, or load a driver of which nobody knows who uses what it makes. */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/known-drivers.h"
#include "probe/probe.h"

typedef int (*explained_t)(json_object *scope, const char *name, const char *place);

static int function_is_explained(json_object *scope, const char *name, const char *place) {
        return scope_names(scope, "functions", name);
}

/* A path of an NVMe disk has no number: the disk that it leads to stands for it. */
static int block_is_explained(json_object *scope, const char *name, const char *place) {
        json_object *blocks = json_array(scope, "block_devices");
        _cleanup_free_ char *dev = NULL;

        int r = attr_readf(&dev, "/sys/class/block/%s/dev", name);
        if (r < 0)
                return r == -ENOENT || r == -ENODEV ? 1 : r;
        for (size_t i = 0; i < json_len(blocks); i++)
                if (streq_ptr(json_str(json_at(blocks, i), "name"), name) && streq_ptr(json_str(json_at(blocks, i), "dev"), dev))
                        return 1;
        return 0;
}

/* The port's own services are called after it ("0000:0c:00.0:pcie004"); anything else is on a function, which goes with it. */
static int other_is_explained(json_object *scope, const char *name, const char *place) {
        const char *port = json_str(scope, "port");
        _cleanup_free_ char *ancestor = port ? strf("/%s/", port) : NULL;
        const char *below = ancestor ? strstr(place, ancestor) : NULL;

        if (!below)
                return 1;
        below += strlen(ancestor);
        _cleanup_free_ char *first = strndup(below, strcspn(below, "/"));
        return !first ? -ENOMEM : startswith(first, port) || scope_names(scope, "functions", first);
}

/* The plan lets no other driver pass (plan/find/find-drivers.c). */
static int driver_is_explained(const char *bus, const char *name, char **ret_answer) {
        _cleanup_free_ char *driver = NULL;

        if (!known_drivers_have_bus(bus))
                return 1;
        int r = driver_of(bus, name, &driver);
        if (r == -ENODEV || (r >= 0 && !driver))
                return 1;
        if (r < 0)
                return r;
        const KnownDriver *k = known_driver(bus, driver);
        if (k && k->users != DRIVER_HAS_PROCESS)
                return 1;
        *ret_answer = strf("%s is driven by %s, and was not when the plan was made", name, driver);
        return 0;
}

/* `bus`: NULL of a class. */
static int look_into(json_object *scope, const char *folder, const char *bus, explained_t explained, char **ret_answer) {
        _cleanup_(closedirp) DIR *d = opendir(folder);

        if (!d)
                return errno == ENOENT ? 1 : -errno;
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *place = NULL;

                int r = device_place(folder, e->d_name, &place);
                if (r < 0)
                        return r;
                if (r == 0 || !scope_is_below_port(scope, place))
                        continue;
                r = explained(scope, e->d_name, place);
                if (r == 0)
                        *ret_answer = strf("%s is there, and was not when the plan was made", e->d_name);
                else if (r > 0 && bus)
                        r = driver_is_explained(bus, e->d_name, ret_answer);
                if (r <= 0)
                        return r;
        }
        return 1;
}

static int look_into_buses(json_object *scope, char **ret_answer) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/bus");
        int r = 1;

        if (!d)
                return -errno;
        for (struct dirent *e; r > 0 && (e = readdir(d));) {
                _cleanup_free_ char *folder = e->d_name[0] == '.' ? NULL : strf("/sys/bus/%s/devices", e->d_name);

                if (folder)
                        r = look_into(scope, folder, e->d_name, streq(e->d_name, "pci") ? function_is_explained : other_is_explained, ret_answer);
        }
        return r;
}

static int ask(json_object *scope, char **ret_answer) {
        int r = look_into_buses(scope, ret_answer);

        return r <= 0 ? r : look_into(scope, "/sys/class/block", NULL, block_is_explained, ret_answer);
}

const Probe probe_below_port = {
        .name = "below-port",
        .question = "are there no devices below the slot's port but those in the plan",
        .before_power_off = true,
        .ask = ask,
        .ask_early = ask, /* what is there is a device, or has the driver of one */
};
