/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table says yes to what is in it and to nothing else. */
#include "kernel/sysfs/known-drivers.h"
#include "tests/unit/test.h"

static void test_rows(void) {
        CHECK_INT(known_driver("pci", "nvme")->users, DRIVER_HAS_BLOCKS);
        CHECK_INT(known_driver("pci", "vfio-pci")->users, DRIVER_HAS_PROCESS);
        CHECK_INT(known_driver("pci", "mlx5_vfio_pci")->users, DRIVER_HAS_PROCESS);
        CHECK_INT(known_driver("pci", "uio_pci_generic")->users, DRIVER_HAS_PROCESS);
        CHECK(known_driver("virtio", "virtio_blk"));

        /* A name counts on its own bus only, and as a whole. */
        CHECK(!known_driver("virtio", "nvme"));
        CHECK(!known_driver("pci", "virtio_blk"));
        CHECK(!known_driver("pci", "nvm"));
        CHECK(!known_driver("pci", "nvme2"));
        CHECK(!known_driver("pci", "pciback"));
        CHECK(!known_driver("dax", "fsdev_dax"));
        CHECK(!known_driver("cxl", "cxl_sysram_region"));
        CHECK(!known_driver("pci", ""));
        CHECK(!known_driver("pci", NULL));
}

static void test_children(void) {
        const KnownDriver *nvme = known_driver("pci", "nvme");

        CHECK(known_driver_makes(nvme, "nvme"));
        CHECK(known_driver_makes(nvme, "nvme-generic"));
        CHECK(known_driver_makes(nvme, "block"));
        CHECK(known_driver_makes(nvme, "wakeup"));
        CHECK(!known_driver_makes(nvme, "nvme-gen"));
        CHECK(!known_driver_makes(nvme, "generic"));
        CHECK(!known_driver_makes(nvme, "net"));
        CHECK(!known_driver_makes(nvme, ""));
        CHECK(!known_driver_makes(known_driver("virtio", "virtio_rng"), "block"));

        /* Nobody accounts for the children of one that is not known. */
        CHECK(known_driver_makes(NULL, "wakeup"));
        CHECK(!known_driver_makes(NULL, "block"));
        CHECK(!known_driver_makes(NULL, "hwmon"));
}

static void test_buses(void) {
        CHECK(known_drivers_have_bus("virtio"));
        CHECK(known_drivers_have_bus("cxl"));
        CHECK(!known_drivers_have_bus("block"));
        CHECK(!known_drivers_have_bus("net"));
}

int main(void) {
        test_rows();
        test_children();
        test_buses();
        return EXIT_SUCCESS;
}
