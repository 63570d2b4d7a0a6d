/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A range of physical addresses that a PCI function decodes. */
typedef struct PciResource {
        unsigned index;         /* 0 to 5: the BARs, 6: the expansion ROM, above: those of virtual functions, or a bridge's windows */
        uint64_t start, size;
} PciResource;

enum {
        PCI_RESOURCE_ROM = 6,
};

/* Parses /sys/bus/pci/devices/BDF/resource: a line "start end flags" for each (drivers/pci/pci-sysfs.c:resource_show), of which those of
 * memory that have an address are kept. -EBADMSG on a malformed line. The array belongs to the caller. */
int pci_resource_parse(const char *text, PciResource **ret, size_t *ret_n);
int pci_resource_read(const char *bdf, PciResource **ret, size_t *ret_n);
