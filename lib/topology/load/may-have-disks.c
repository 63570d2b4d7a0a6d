/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which functions disks may be on: only of those is it asked what anybody has mounted, which anybody can make a long question. */
#include "kernel/sysfs/known-drivers.h"
#include "topology/topology.h"

enum {
        PCI_CLASS_BRIDGE = 0x06, /* the upper byte of three of a class code */
};

/* What no driver has may yet get one; of these kinds (the upper byte of a PCI class code) none makes disks: network, display, multimedia, memory,
 * bridges, communication, system, input, docking, processors, wireless, encryption, signal processing, accelerators, instrumentation. */
static bool class_may_have_disks(uint32_t class) {
        static const uint8_t without[] = { 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x10, 0x11, 0x12, 0x13 };

        for (size_t i = 0; i < ELEMENTSOF(without); i++)
                if (class >> 16 == without[i])
                        return false;
        return true;
}

/* Devices of a bus of its own, each with a driver. */
static bool children_may_have_disks(const Topology *t, const PciFunction *f) {
        size_t n = 0;

        for (size_t i = 0; i < t->n_foreign; i++) {
                const ForeignChild *c = &t->foreign[i];
                const KnownDriver *k = c->driver ? known_driver(c->subsystem, c->driver) : NULL;
                if (!streq_ptr(c->bdf, f->bdf))
                        continue;
                if (!k || k->users == DRIVER_HAS_BLOCKS || k->users == DRIVER_HAS_DEVICES)
                        return true;
                n++;
        }
        return n == 0 && class_may_have_disks(f->class);
}

bool topology_may_have_disks(const Topology *t, const PciFunction *f) {
        const KnownDriver *k = known_driver("pci", f->driver);

        if (f->class >> 16 == PCI_CLASS_BRIDGE)
                return false;
        if (!f->driver)
                return class_may_have_disks(f->class);
        if (!k || k->users == DRIVER_HAS_BLOCKS)
                return true;
        return k->users == DRIVER_HAS_DEVICES && children_may_have_disks(t, f);
}
