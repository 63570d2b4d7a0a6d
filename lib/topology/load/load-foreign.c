/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that stand on the PCI functions in slots, or on regions, and that the drivers known to us do not account for: a removal
 * that knows nothing of network interfaces must at least know that they are there. */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/known-drivers.h"
#include "topology/load/load.h"

enum {
        /* mem0/endpoint3/decoder3.0 are three; nvme0/nvme0n1/nvme0n1p1 as well. */
        DEPTH_MAX = 10,
};

/* Whose children are looked at. */
typedef struct Parent {
        const char *bdf, *region;       /* one of them */
        const KnownDriver *driver;      /* of the nearest device above that has one */
        unsigned depth;
} Parent;

static int add(Topology *t, const Parent *p, const char *subsystem, const char *name, const char *driver) {
        ForeignChild *c = TOPOLOGY_ADD(t, foreign);
        if (!c)
                return -ENOMEM;

        c->bdf = p->bdf ? strdup(p->bdf) : NULL;
        c->region = p->region ? strdup(p->region) : NULL;
        c->driver = driver ? strdup(driver) : NULL;
        c->subsystem = strdup(subsystem);
        c->name = strdup(name);
        return (c->bdf || c->region) && (!driver || c->driver) && c->subsystem && c->name ? 0 : -ENOMEM;
}

static int scan(Topology *t, const Parent *p, const char *path);

/* A device of a bus is judged by its driver: what that one makes is looked at first, since "net eth0" tells more than "virtio3". */
static int look_at_driven(Topology *t, const Parent *p, const char *path, const char *subsystem, const char *name) {
        _cleanup_free_ char *driver = NULL;
        size_t before = t->n_foreign;

        int r = link_namef(&driver, "%s/driver", path);
        if (r < 0 && !is_gone(r))
                r = odd_addf(t, r, "%s/driver", path);
        if (r == -ENOMEM)
                return r;
        const KnownDriver *k = known_driver(subsystem, driver);
        /* What it makes of a region's memory is as unknown as itself. */
        if (driver && !k && p->region)
                return add(t, p, subsystem, name, driver);
        r = scan(t, &(Parent) { p->bdf, p->region, driver ? k : p->driver, p->depth + 1 }, path);
        /* A virtio device is listed whoever drives it: nothing else tells of those that make no device. */
        if (r >= 0 && driver && (streq(subsystem, "virtio") || (!k && t->n_foreign == before)))
                r = add(t, p, subsystem, name, driver);
        return r;
}

static int look_at(Topology *t, const Parent *p, const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name), *subsystem = NULL, *other = NULL;
        bool has_domain;

        if (!path)
                return -ENOMEM;
        /* A function below a bridge is looked at by itself. */
        if (parse_bdf(name, &other, &has_domain) >= 0)
                return 0;

        int r = link_namef(&subsystem, "%s/subsystem", path);
        if (r < 0 && !is_gone(r))
                r = odd_addf(t, r, "%s/subsystem", path);
        if (r == -ENOMEM)
                return r;
        bool known = !subsystem || (known_driver_makes(p->driver, subsystem) && (!streq(subsystem, "block") || topology_block_device(t, name)));
        if (known && subsystem && known_drivers_have_bus(subsystem))
                return look_at_driven(t, p, path, subsystem, name);
        r = known ? 0 : add(t, p, subsystem, name, NULL);
        return r < 0 ? r : scan(t, &(Parent) { p->bdf, p->region, p->driver, p->depth + 1 }, path);
}

static int scan(Topology *t, const Parent *p, const char *path) {
        /* What is deeper was not looked at. */
        if (p->depth > DEPTH_MAX)
                return odd_add(t, -ELOOP, path);

        _cleanup_(closedirp) DIR *dir = opendir(path);
        if (!dir)
                return is_gone(-errno) ? 0 : odd_add(t, -errno, path);

        for (struct dirent *e; (e = readdir(dir));) {
                /* sysfs always tells the type; devices are folders, and those of other devices are links. */
                if (e->d_type != DT_DIR || e->d_name[0] == '.' || streq(e->d_name, "power"))
                        continue;
                int r = look_at(t, p, path, e->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare(const void *a, const void *b) {
        const ForeignChild *x = a, *y = b;
        int c = strverscmp(x->bdf ?: x->region, y->bdf ?: y->region);

        return c != 0 ? c : strverscmp(x->name, y->name);
}

/* What becomes of a region's memory is decided by the driver of its child (drivers/cxl/core/region.c). */
static int look_at_regions(Topology *t) {
        static const KnownDriver any = { .makes = "cxl" };

        for (size_t i = 0; i < t->n_regions; i++) {
                const char *name = t->regions[i].name;
                _cleanup_free_ char *path = strf("/sys/bus/cxl/devices/%s", name);
                if (!path)
                        return -ENOMEM;
                int r = scan(t, &(Parent) { .region = name, .driver = &any }, path);
                if (r < 0)
                        return r;
        }
        return 0;
}

int load_foreign(Topology *t) {
        for (size_t i = 0; i < t->n_functions; i++) {
                const PciFunction *f = &t->functions[i];
                if (!f->slot)
                        continue;

                _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s", f->bdf);
                if (!path)
                        return -ENOMEM;
                int r = scan(t, &(Parent) { .bdf = f->bdf, .driver = known_driver("pci", f->driver) }, path);
                if (r < 0)
                        return r;
        }
        int r = look_at_regions(t);
        if (r < 0)
                return r;

        if (t->n_foreign > 1)
                qsort(t->foreign, t->n_foreign, sizeof(ForeignChild), compare);
        return 0;
}
