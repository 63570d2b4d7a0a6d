/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"

/* A name that came from outside (a journal, a command) must not lead anywhere else. */
static bool is_one_component(const char *name) {
        return name && *name && *name != '.' && !strchr(name, '/');
}

int driver_of(const char *bus, const char *device, char **ret) {
        _cleanup_free_ char *name = NULL;

        if (!is_one_component(bus) || !is_one_component(device))
                return -EINVAL;

        int r = link_namef(&name, "/sys/bus/%s/devices/%s/driver", bus, device);
        if (r < 0 && r != -ENOENT)
                return r;
        /* Looked for afterwards: a device that goes away in between is gone, not unbound. */
        if (r == -ENOENT && !path_existsf("/sys/bus/%s/devices/%s", bus, device))
                return -ENODEV;

        *ret = TAKE_PTR(name);
        return 0;
}

static char *driver_path(const char *bus, const char *driver, const char *attribute) {
        if (!is_one_component(bus) || !is_one_component(driver))
                return NULL;
        return strf("/sys/bus/%s/drivers/%s/%s", bus, driver, attribute);
}

char *driver_bind_path(const char *bus, const char *driver) {
        return driver_path(bus, driver, "bind");
}

char *driver_unbind_path(const char *bus, const char *driver) {
        return driver_path(bus, driver, "unbind");
}

static bool has_class(dev_t chardev, const char *class) {
        _cleanup_free_ char *name = NULL;

        return link_namef(&name, "/sys/dev/char/%u:%u/subsystem", major(chardev), minor(chardev)) >= 0 && streq(name, class);
}

bool driver_is_unused(dev_t chardev) {
        /* NVMe's have none themselves: that of the controller's function is meant, which is one or two devices up. */
        const char *above = has_class(chardev, "nvme") ? "/device" : has_class(chardev, "nvme-generic") ? "/device/device" : "";
        uint64_t count = 0;

        return attr_read_u64f(&count, "/sys/dev/char/%u:%u%s/driver/module/refcnt", major(chardev), minor(chardev), above) >= 0 && count == 0;
}

bool driver_maps_nothing(dev_t chardev) {
        return has_class(chardev, "nvme") || has_class(chardev, "nvme-generic");
}
