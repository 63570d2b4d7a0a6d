/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that stand on the PCI functions in slots and are neither CXL memory nor block devices: a removal that knows nothing of
 * network interfaces must at least know that they are there. */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/attr.h"
#include "topology/load.h"

enum {
        /* mem0/endpoint3/decoder3.0 are three; nvme0/nvme0n1/nvme0n1p1 as well. */
        DEPTH_MAX = 10,
};

/* What a memory card's or disk's own driver makes, and what hangs below every device: nothing of it carries anybody's data but in
 * ways that the topology knows. */
static bool is_familiar(const char *subsystem) {
        static const char *const familiar[] = {
                "cxl",          /* memdev, endpoint, decoders, pmu_mem */
                "edac",         /* scrub and repair controls, drivers/cxl/core/edac.c */
                "event_source", /* performance monitors, drivers/perf/cxl_pmu.c */
                "firmware",     /* firmware upload, drivers/cxl/core/memdev.c */
                "fwctl",        /* feature commands, drivers/cxl/core/features.c */
                "leds",         /* enclosure LEDs, drivers/pci/npem.c */
                "nvme",         /* a controller: what it carries are block devices */
                "nvme-generic", /* the same, for commands that are no reads and writes */
                "pci",          /* a function of its own */
                "pci_bus",
                "pci_express",  /* services of a port inside the slot */
                "wakeup",
        };

        for (size_t i = 0; i < ELEMENTSOF(familiar); i++)
                if (streq(familiar[i], subsystem))
                        return true;
        return false;
}

static int add(Topology *t, const char *bdf, const char *subsystem, const char *name) {
        ForeignChild *c = TOPOLOGY_ADD(t, foreign);
        if (!c)
                return -ENOMEM;

        c->bdf = strdup(bdf);
        c->subsystem = strdup(subsystem);
        c->name = strdup(name);
        return c->bdf && c->subsystem && c->name ? 0 : -ENOMEM;
}

static int scan(Topology *t, const char *bdf, const char *path, unsigned depth);

static int look_at(Topology *t, const char *bdf, const char *folder, const char *name, unsigned depth) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name), *subsystem = NULL, *other = NULL;
        bool has_domain;

        if (!path)
                return -ENOMEM;
        /* A function below a bridge is looked at by itself. */
        if (parse_bdf(name, &other, &has_domain) >= 0)
                return 0;

        int r = link_namef(&subsystem, "%s/subsystem", path);
        if (r < 0 && !is_gone(r))
                return r;
        bool known = subsystem && (is_familiar(subsystem) || (streq(subsystem, "block") && topology_block_device(t, name)));
        if (subsystem && !known) {
                r = add(t, bdf, subsystem, name);
                if (r < 0)
                        return r;
        }
        return scan(t, bdf, path, depth + 1);
}

static int scan(Topology *t, const char *bdf, const char *path, unsigned depth) {
        if (depth > DEPTH_MAX)
                return 0;

        _cleanup_(closedirp) DIR *dir = opendir(path);
        if (!dir)
                return is_gone(-errno) ? 0 : -errno;

        for (struct dirent *e; (e = readdir(dir));) {
                /* sysfs always tells the type; devices are folders, and those of other devices are links. */
                if (e->d_type != DT_DIR || e->d_name[0] == '.' || streq(e->d_name, "power"))
                        continue;
                int r = look_at(t, bdf, path, e->d_name, depth);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare(const void *a, const void *b) {
        const ForeignChild *x = a, *y = b;
        int c = strverscmp(x->bdf, y->bdf);

        return c != 0 ? c : strverscmp(x->name, y->name);
}

int load_foreign(Topology *t) {
        for (size_t i = 0; i < t->n_functions; i++) {
                const PciFunction *f = &t->functions[i];
                if (!f->slot)
                        continue;

                _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s", f->bdf);
                if (!path)
                        return -ENOMEM;
                int r = scan(t, f->bdf, path, 0);
                if (r < 0)
                        return r;
        }

        if (t->n_foreign > 1)
                qsort(t->foreign, t->n_foreign, sizeof(ForeignChild), compare);
        return 0;
}
