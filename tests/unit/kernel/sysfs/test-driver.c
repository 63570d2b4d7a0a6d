/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "held": pciehp is away from the port above slot 2. */
#include <errno.h>

#include "kernel/sysfs/driver.h"
#include "tests/unit/test.h"

static void check(const char *bus, const char *device, int want, const char *driver) {
        _cleanup_free_ char *got = NULL;

        CHECK_INT(driver_of(bus, device, &got), want);
        CHECK_STR(got, driver);
}

int main(void) {
        check("pci_express", "0000:0c:01.0:pcie004", 0, "pciehp");
        check("pci_express", "0000:0c:00.0:pcie004", 0, NULL);
        check("pci", "0000:0d:00.0", 0, "cxl_pci");
        check("dax", "dax0.0", 0, "kmem");
        check("pci", "0000:0d:00.1", -ENODEV, NULL);
        check("nosuchbus", "x", -ENODEV, NULL);
        check("pci", "../devices/0000:0d:00.0", -EINVAL, NULL);
        check("pci", "..", -EINVAL, NULL);
        check("pci", "", -EINVAL, NULL);

        _cleanup_free_ char *bind = driver_bind_path("pci_express", "pciehp"), *unbind = driver_unbind_path("dax", "kmem");
        CHECK_STR(bind, "/sys/bus/pci_express/drivers/pciehp/bind");
        CHECK_STR(unbind, "/sys/bus/dax/drivers/kmem/unbind");
        CHECK(!driver_bind_path("pci", "../x"));
        return EXIT_SUCCESS;
}
