/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What kernels do when a driver is taken from under its users. None of them waits or refuses, some crash: a way that is not known
 * to work on a kernel is not taken there. */
typedef enum ForcedUnmap {
        FORCED_DEVICE_DAX,      /* device_dax takes the pages out of all mappings */
        FORCED_XFS,             /* pmem tells XFS with a reverse map, which finds the processes */
        FORCED_FSDAX,           /* any other file system, or one through device-mapper: nobody is told */
        FORCED_FSDAX_END,       /* those who have files of such a file system mapped end, after the driver has gone */
        _FORCED_UNMAP_MAX,
} ForcedUnmap;

/* release: as uname says it. False where it cannot be understood (NULL too). */
bool kernel_is_at_least(const char *release, unsigned major, unsigned minor);

/* release: as uname says it ("6.12.95+deb12-amd64"); NULL: of the running kernel. 0, or -EOPNOTSUPP with *ret_why for a person. */
int forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why);

/* How far the kernel closes itself against root (security/lockdown/lockdown.c). From "integrity" on the configuration space of PCI
 * devices cannot be written (drivers/pci/pci-sysfs.c:pci_write_config), and with it the registers of a slot; with
 * "confidentiality" kernel memory cannot be read either. A kernel without the module has no lockdown. */
typedef enum Lockdown {
        LOCKDOWN_NONE,
        LOCKDOWN_INTEGRITY,
        LOCKDOWN_CONFIDENTIALITY,
        LOCKDOWN_UNKNOWN,       /* the file is there and says something that is not understood, or nothing */
} Lockdown;

Lockdown lockdown_parse(const char *text); /* "none [integrity] confidentiality" */
Lockdown lockdown_read(void);
