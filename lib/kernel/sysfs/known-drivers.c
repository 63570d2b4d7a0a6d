/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>

#include "kernel/sysfs/known-drivers.h"

/* A memdev's, made by cxl_pci or cxl_mem in different kernels: controls for scrubbing (drivers/cxl/core/edac.c), performance monitors
 * (drivers/perf/cxl_pmu.c), firmware upload (core/memdev.c), feature commands (core/features.c). */
#define CXL_MAKES "cxl edac event_source firmware fwctl"

static const KnownDriver known[] = {
        { "pci", "pcieport", "", DRIVER_HAS_DEVICES },
        { "pci", "vmd", "", DRIVER_HAS_DEVICES },         /* a domain of its own (drivers/pci/controller/vmd.c) */
        { "pci", "virtio-pci", "virtio", DRIVER_HAS_DEVICES },
        { "pci", "nvme", "nvme nvme-generic block hwmon", DRIVER_HAS_BLOCKS },
        { "pci", "cxl_pci", CXL_MAKES, DRIVER_HAS_MEMORY },
        { "pci", "pci-stub", "", DRIVER_HAS_NONE },       /* keeps other drivers away and does nothing (drivers/pci/pci-stub.c) */
        { "pci", "*vfio*", "vfio vfio-dev", DRIVER_HAS_PROCESS },
        { "pci", "uio*", "uio", DRIVER_HAS_PROCESS },

        { "virtio", "virtio_blk", "block", DRIVER_HAS_BLOCKS },
        { "virtio", "virtio_mem", "", DRIVER_HAS_MEMORY },
        { "virtio", "virtio_rng", "", DRIVER_HAS_NONE },  /* hw_random turns to another source, or reads end */

        { "cxl", "cxl_mem", CXL_MAKES, DRIVER_HAS_MEMORY },
        { "cxl", "cxl_nvdimm", "", DRIVER_HAS_MEMORY },
        { "cxl", "cxl_pmu", "event_source", DRIVER_HAS_NONE },
        { "cxl", "cxl_dax_region", "dax", DRIVER_HAS_MEMORY },
        { "cxl", "cxl_pmem_region", "", DRIVER_HAS_MEMORY },

        { "dax", "kmem", "", DRIVER_HAS_MEMORY },
        { "dax", "device_dax", "", DRIVER_HAS_MEMORY },

        { "nd", "nd_region", "", DRIVER_HAS_MEMORY },
        { "nd", "nd_pmem", "block", DRIVER_HAS_BLOCKS },
        { "nd", "nd_btt", "block", DRIVER_HAS_BLOCKS },
        { "nd", "dax_pmem", "dax", DRIVER_HAS_MEMORY },
};

/* What any device may have below it. Nobody's data is in it and nobody can keep it. */
static const char anywhere[] = "leds pci pci_bus pci_express wakeup";

static bool has_word(const char *words, const char *word) {
        size_t n = strlen(word);

        for (const char *p = words; n > 0 && (p = strstr(p, word)); p += n)
                if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
                        return true;
        return false;
}

const KnownDriver *known_driver(const char *bus, const char *driver) {
        for (size_t i = 0; driver && i < ELEMENTSOF(known); i++)
                if (streq(known[i].bus, bus) && fnmatch(known[i].driver, driver, 0) == 0)
                        return &known[i];
        return NULL;
}

bool known_driver_makes(const KnownDriver *k, const char *subsystem) {
        return has_word(anywhere, subsystem) || (k && has_word(k->makes, subsystem));
}

bool known_drivers_have_bus(const char *subsystem) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].bus, subsystem))
                        return true;
        return false;
}
