/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each driver of the card is known, with what it makes and how its users are found (kernel/sysfs/known-drivers.h), or in the way: most
 * drivers make no device that tells of their users. */
#include "kernel/sysfs/known-drivers.h"
#include "plan/find/blockers.h"

static void unknown_driver(Findings *f, const char *bus, const char *device, const char *driver) {
        json_object *o = finding(f, BLOCKER_UNKNOWN_DRIVER, true, "%s has the driver %s, which this version of safe-remove does not "
                                 "know", device, driver);

        json_set_strf(o, "evidence", "/sys/bus/%s/devices/%s/driver leads to %s; who uses its devices cannot be found out", bus, device,
                      driver);
        /* The kernel takes a dax device's driver away under a mounted file system (famfs) without a word, in whatever namespace that is. */
        _cleanup_free_ char *unless = streq(bus, "dax") ? strf("! grep -Fs ' /dev/%s ' /proc/[0-9]*/mountinfo && ", device) : NULL;
        finding_remedy(o, "%secho %s > /sys/bus/%s/drivers/%s/unbind  # once nobody uses it any more", unless ?: "", device, bus, driver);
}

/* What a driver makes says more than its name. */
static bool has_children(const Findings *f, const char *bdf) {
        for (size_t i = 0; bdf && i < f->t->n_foreign; i++)
                if (streq_ptr(f->t->foreign[i].bdf, bdf) && !f->t->foreign[i].driver)
                        return true;
        return false;
}

static void find_children(Findings *f) {
        for (size_t i = 0; i < f->t->n_foreign; i++) {
                const ForeignChild *c = &f->t->foreign[i];
                if (!(c->bdf && scope_has_function(f->s, c->bdf)) && !SCOPE_NAMED(f->s, regions, c->region))
                        continue;
                if (c->driver) {
                        if (!known_driver(c->subsystem, c->driver) && !has_children(f, c->bdf))
                                unknown_driver(f, c->subsystem, c->name, c->driver);
                        continue;
                }
                json_object *o = finding(f, BLOCKER_FOREIGN_DEVICE, true, "%s %s is on the card", c->subsystem, c->name);
                json_set_strf(o, "evidence", "a child device of %s; this version cannot find out who uses it", c->bdf ?: c->region);
                if (c->bdf)
                        finding_remedy(o, "echo 1 > /sys/bus/pci/devices/%s/remove  # once nobody uses %s any more", c->bdf, c->name);
                else
                        finding_remedy(o, "echo %s > /sys/bus/cxl/drivers/cxl_region/unbind  # once nobody uses %s any more", c->region, c->name);
        }
}

static void find_function(Findings *f, const PciFunction *p) {
        const KnownDriver *k = known_driver("pci", p->driver);

        if (p->driver && !k && !has_children(f, p->bdf))
                unknown_driver(f, "pci", p->bdf, p->driver);
        if (!k || k->users != DRIVER_HAS_PROCESS)
                return;
        json_object *o = finding(f, BLOCKER_USER_DRIVER, true, "%s is driven from user space (%s)", p->bdf, p->driver);
        json_set_str(o, "evidence", "the kernel would wait without end for the process that has it open");
        finding_remedy(o, "echo %s > /sys/bus/pci/drivers/%s/unbind  # once the virtual machine or program that uses it has ended",
                       p->bdf, p->driver);
}

static void find_driven(Findings *f, const char *bus, const char *device, const char *driver) {
        if (driver && !known_driver(bus, driver))
                unknown_driver(f, bus, device, driver);
}

void find_drivers(Findings *f) {
        find_children(f);
        for (size_t i = 0; i < f->s->n_functions; i++)
                find_function(f, f->s->functions[i]);
        /* Those of regions are among the children. */
        for (size_t i = 0; i < f->s->n_daxes; i++)
                if (!f->s->daxes[i]->region)
                        find_driven(f, "dax", f->s->daxes[i]->name, f->s->daxes[i]->driver);
        for (size_t i = 0; i < f->s->n_nd_regions; i++)
                find_driven(f, "nd", f->s->nd_regions[i]->name, f->s->nd_regions[i]->driver);
        for (size_t i = 0; i < f->s->n_namespaces; i++)
                find_driven(f, "nd", f->s->namespaces[i]->device ?: f->s->namespaces[i]->name, f->s->namespaces[i]->driver);
}
