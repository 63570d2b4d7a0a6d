/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/card-serial.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/pci/devices"

enum {
        PCI_CLASS_BRIDGE = 0x0604,
};

/* Is this ancestor ("0000:0c:00.0") of a function the port above the slot, or, for a slot without a known port, a
 * function of the device in it? */
static bool leads_to_slot(const Slot *s, const char *component, size_t length) {
        if (s->port)
                return strlen(s->port) == length && strncmp(s->port, component, length) == 0;

        /* "0000:0d:00" and its functions, or with the whole bus "0000:0d" and its devices. */
        size_t n = s->whole_bus ? (size_t) (strrchr(s->address, ':') - s->address) : strlen(s->address);
        return length > n && strncmp(s->address, component, n) == 0 && component[n] == (s->whole_bus ? ':' : '.');
}

/* Goes up a device's line of ancestors ("../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0"): the nearest slot is the
 * one it sits in. A port is not in its own slot. */
static const Slot *slot_of_path(const Topology *t, const char *path) {
        size_t end = strlen(path);

        for (bool self = true; end > 0; self = false) {
                size_t start = end;
                while (start > 0 && path[start - 1] != '/')
                        start--;
                for (size_t i = 0; i < t->n_slots; i++)
                        if ((!self || !t->slots[i].port) && leads_to_slot(&t->slots[i], path + start, end - start))
                                return &t->slots[i];
                end = start > 0 ? start - 1 : 0;
        }
        return NULL;
}

/* A virtual function beyond the last number of its card's own device has another device's address, and the bridge for parent: the
 * slot is that of the function which made it (drivers/pci/iov.c:virtfn_add). */
static int find_slot(Topology *t, const char *bdf, const char *path, const Slot **ret) {
        _cleanup_free_ char *physical = NULL;

        *ret = slot_of_path(t, path);
        if (*ret)
                return 0;
        int r = device_linkf(t, &physical, DEVICES "/%s/physfn", bdf);
        if (physical)
                *ret = slot_of_path(t, physical);
        return r == -ENOMEM ? r : 0;
}

static int read_id(Topology *t, const char *bdf, const char *attribute, uint32_t *ret) {
        uint64_t v;

        int r = required_u64f(t, &v, DEVICES "/%s/%s", bdf, attribute);
        if (r >= 0 && v > UINT32_MAX)
                return odd_addf(t, -ERANGE, DEVICES "/%s/%s", bdf, attribute);
        *ret = (uint32_t) v;
        return r;
}

/* Lines after the ROM's are a bridge's windows, which are what lies below it. Where there is no such file, whoever has a claim there is
 * below the function in /proc/iomem. */
static int read_resources(Topology *t, PciFunction *f) {
        int r = pci_resource_read(f->bdf, &f->resources, &f->n_resources);

        while (f->class >> 8 == PCI_CLASS_BRIDGE && f->n_resources > 0 && f->resources[f->n_resources - 1].index > PCI_RESOURCE_ROM)
                f->n_resources--;
        return r >= 0 || is_gone(r) ? 0 : odd_addf(t, r, DEVICES "/%s/resource", f->bdf);
}

static int add_function(Topology *t, const char *bdf) {
        _cleanup_free_ char *path = NULL;
        const Slot *s = NULL;
        PciFunction *f = TOPOLOGY_ADD(t, functions);
        if (!f)
                return -ENOMEM;
        f->bdf = strdup(bdf);
        if (!f->bdf)
                return -ENOMEM;

        int r = device_linkf(t, &path, DEVICES "/%s", f->bdf);
        if (r < 0)
                return r;
        r = path ? find_slot(t, f->bdf, path, &s) : 0;
        if (r < 0)
                return r;
        f->slot = s ? strdup(s->name) : NULL;
        if (s && !f->slot)
                return -ENOMEM;
        r = device_driver(t, "pci", f->bdf, &f->driver);
        if (r >= 0)
                r = read_id(t, f->bdf, "vendor", &f->vendor);
        if (r >= 0)
                r = read_id(t, f->bdf, "device", &f->device);
        if (r >= 0)
                r = read_id(t, f->bdf, "class", &f->class);
        if (r >= 0 && streq_ptr(f->driver, "nvme") && nvme_serial(f->bdf, &f->serial) == -ENOMEM)
                return -ENOMEM;
        f->path = TAKE_PTR(path);
        return r >= 0 && f->slot ? read_resources(t, f) : r;
}

static bool is_any(const char *name) {
        return true;
}

/* The line of ancestors that a slot without a known port hangs on: that of its bus, or of a function in it. */
static int path_above(const Topology *t, const Slot *s, char **ret) {
        int r = link_readf(ret, "/sys/class/pci_bus/%.*s", (int) (strrchr(s->address, ':') - s->address), s->address);

        for (size_t i = 0; r < 0 && is_gone(r) && i < t->n_functions; i++) {
                const char *bdf = t->functions[i].bdf;
                if (leads_to_slot(s, bdf, strlen(bdf)))
                        r = link_readf(ret, DEVICES "/%s", bdf);
        }
        if (r < 0)
                return r;
        /* Its own last component is not above it. */
        char *own = strrchr(*ret, '/');
        if (own)
                own[1] = '\0';
        return 0;
}

static int set_outer(Slot *s, const Slot *outer) {
        if (!outer || outer == s)
                return 0;
        s->outer = strdup(outer->name);
        return s->outer ? 0 : -ENOMEM;
}

/* Boxes and switches have slots of their own. */
static int find_outer(Topology *t, Slot *s) {
        const PciFunction *port = topology_function(t, s->port);
        _cleanup_free_ char *path = NULL;
        const Slot *outer = NULL;

        if (s->port)
                outer = port ? topology_slot(t, port->slot) : NULL;
        else {
                int r = path_above(t, s, &path);
                if (r < 0)
                        return is_gone(r) ? 0 : odd_addf(t, r, "/sys/bus/pci/slots/%s/address", s->name);
                outer = slot_of_path(t, path);
        }
        return set_outer(s, outer);
}

int load_functions(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_any, add_function, topology_drop_function };

        int r = load_devices(t, &kind);
        for (size_t i = 0; i < t->n_slots && r >= 0; i++)
                r = find_outer(t, &t->slots[i]);
        return r;
}

/* Where no functions are known, the port's own line of ancestors tells. */
int load_outer_slots(Topology *t) {
        int r = 0;

        for (size_t i = 0; i < t->n_slots && r >= 0; i++) {
                Slot *s = &t->slots[i];
                _cleanup_free_ char *path = NULL;

                r = s->port ? link_readf(&path, DEVICES "/%s", s->port) : -ENOENT;
                if (r >= 0)
                        r = set_outer(s, slot_of_path(t, path));
                else
                        r = is_gone(r) || r == -EINVAL ? 0 : odd_addf(t, r, DEVICES "/%s", s->port);
        }
        return r;
}
