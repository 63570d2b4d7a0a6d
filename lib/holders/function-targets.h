/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* Adds what a process can have of a PCI function itself:
 *      the character devices through which it is handed to a process, of VFIO its own one (/dev/vfio/devices/vfioN) and that of its
 *              IOMMU group (/dev/vfio/GROUP, which may have other functions too), of UIO /dev/uioN;
 *      an NVMe controller's own, through which commands go to all that it has (drivers/nvme/host/core.c:nvme_dev_fops);
 *      the memory of its BARs (drivers/pci/pci-sysfs.c:pci_create_attr), unless a driver of the kernel has it for itself;
 *      the peer-to-peer memory that its driver publishes (drivers/pci/p2pdma.c:pci_p2pdma_setup_pool).
 * None when it has none of these. -EINVAL when `bdf` is no address. */
int hold_targets_add_function(HoldTargets *t, const char *bdf);

/* The character device through which commands go to an NVMe disk ("nvme0n1": /dev/ng0n1), where there is one. */
int hold_targets_add_generic(HoldTargets *t, const char *block);
