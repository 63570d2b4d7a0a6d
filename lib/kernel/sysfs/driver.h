/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* Which driver a device of a bus is bound to; *ret is NULL when it is bound to none. -ENODEV without the device. */
int driver_of(const char *bus, const char *device, char **ret);

/* The bind and unbind attributes of a driver: newly allocated paths. */
char *driver_bind_path(const char *bus, const char *driver);
char *driver_unbind_path(const char *bus, const char *driver);

/* Does the kernel say that nobody has this character device open or mapped? Each open file counts as a use of the driver's module
 * (fs/char_dev.c:chrdev_open; of an NVMe controller and its namespaces one of the controller's, drivers/nvme/host/core.c:nvme_dev_open,
 * nvme_ns_open), so that a count of 0 speaks for all its devices, and another one for none: a disk that is mounted counts as well. False also for
 * a driver that is no module, and for the generic device of a namespace that several controllers may lead to, which counts nowhere. */
bool driver_is_unused(dev_t chardev);

/* Can nothing of this character device be mapped, so that who uses it has a descriptor of it? NVMe's have no mmap()
 * (drivers/nvme/host/core.c:nvme_dev_fops, nvme_ns_chr_fops). */
bool driver_maps_nothing(dev_t chardev);
