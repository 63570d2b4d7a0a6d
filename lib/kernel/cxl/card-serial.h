/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tells a card from another of its kind where it is no CXL memory: the serial number of the NVMe controller on a PCI
 * function, the id of a memory module: its card's serial number (drivers/cxl/pmem.c: id, which is decimal), or the unique id or serial number of an
 * NVDIMM (drivers/acpi/nfit/core.c). Newly allocated; -ENOENT where it has none. */
int nvme_serial(const char *bdf, char **ret);
int nmem_id(const char *nmem, char **ret);

/* That of the memory device on a PCI function ("0x1", "0x0": it has none), whatever its name is by now. -ENOENT where the function has no memory device, or
 * none yet. */
int memdev_serial(const char *bdf, char **ret);
