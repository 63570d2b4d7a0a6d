/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The attributes of the simulated kernel. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model.h"
#include "users/process.h"

static const struct {
        const char *pattern;
        int (*write)(const char *path, const char *value);
} attrs[] = {
        { BLOCKS "/memory[0-9]*/state", block_state },
        { BLOCKS "/auto_online_blocks", auto_online },
        { "/sys/bus/dax/drivers/*/bind", dax_driver },
        { "/sys/bus/dax/drivers/*/unbind", dax_driver },
        { "/sys/bus/dax/drivers/*/new_id", dax_id },
        { "/sys/bus/dax/drivers/*/remove_id", dax_id },
        { "/sys/bus/cxl/drivers/cxl_region/bind", region_driver },
        { "/sys/bus/cxl/drivers/cxl_region/unbind", region_driver },
        { "/sys/bus/cxl/drivers/cxl_mem/bind", memdev_driver },
        { "/sys/bus/cxl/drivers/cxl_mem/unbind", memdev_driver },
        { "/sys/devices/*/decoder*/create_*_region", region_create },
        { "/sys/devices/*/decoder*/delete_region", region_delete },
        { "/sys/devices/*/decoder*/dpa_size", decoder_dpa_size },
        { "/sys/devices/*/decoder*/mode", decoder_mode },
        { "/sys/devices/*/region[0-9]*/commit", region_commit },
        { "/sys/devices/*/region[0-9]*/size", region_attr },
        { "/sys/devices/*/region[0-9]*/uuid", region_attr },
        { "/sys/devices/*/region[0-9]*/interleave_*", region_attr },
        { "/sys/devices/*/region[0-9]*/target[0-9]*", region_attr },
        { "/sys/bus/nd/drivers/*/bind", nd_driver },
        { "/sys/bus/nd/drivers/*/unbind", nd_driver },
        { "/sys/devices/*/region[0-9]*/[pbd][fta][ntx][0-9]*/namespace", nd_claim },
        { "/sys/fs/cgroup/*/cgroup.freeze", process_group_freeze },
        { "/sys/bus/pci_express/drivers/pciehp/bind", pciehp_driver },
        { "/sys/bus/pci_express/drivers/pciehp/unbind", pciehp_driver },
        { "/sys/bus/pci/slots/*/attention", slot_attention },
        { "/sys/bus/pci/slots/*/power", slot_power },
};

char *folder_of(char *path) {
        *strrchr(path, '/') = '\0';
        return path;
}

bool path_is_bind(const char *path) {
        return strcmp(strrchr(path, '/'), "/bind") == 0;
}

void driver_link(const char *device, const char *driver) {
        char link[PATH_MAX];

        (void) snprintf(link, sizeof(link), "%s/driver", device);
        (void) unlink(link);
        if (driver)
                tree_link(driver, "%s", link);
}

bool driven_by(const char *device, const char *driver) {
        char real[PATH_MAX];

        return tree_resolve(real, "%s/driver", device) && strcmp(strrchr(real, '/') + 1, driver) == 0;
}

static unsigned left_out;

void kernel_set_half(unsigned mask) {
        left_out = mask;
}

bool half(Half effect) {
        return left_out & effect;
}

static int find(const char *path) {
        for (size_t i = 0; i < ELEMENTSOF(attrs); i++)
                if (fnmatch(attrs[i].pattern, path, 0) == 0)
                        return (int) i;
        return -ENOENT;
}

bool kernel_has_attr(const char *path) {
        return find(path) >= 0;
}

int kernel_attr_write(const char *path, const char *value) {
        int i = find(path);

        if (i < 0)
                sim_die("%s is written to, and the model knows nothing of it", path);
        int r = attrs[i].write(path, value);
        kernel_check_lights();
        return r;
}
