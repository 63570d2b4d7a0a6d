/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* Regions and namespaces of the nvdimm buses, found by what does not change: names are given anew whenever a region comes back.
 * A region as a plan writes it down is {"name", "bus", "start", "size", "provider"}; a namespace {"namespace", "uuid",
 * "nd_region": {...}}. Its uuid is that of its label; what ndctl shows for fsdax, devdax and sector is another one, of the claim. */

/* The region that begins at the plan's address: "region0". -ENODEV when there is none. */
int nd_region_find(json_object *region, char **ret);

/* The namespace in that region: by uuid, or by its number within the region where it has none (no labels). -ENODEV. */
int nd_namespace_find(json_object *args, char **ret);

/* The device that a driver is or would be bound to: the claim on the namespace (pfn0.0, btt0.0, dax0.0 of the nd bus), or the
 * namespace itself. */
int nd_namespace_device(const char *name, char **ret);

/* What a driver made of a device: a block device ("pmem0") or a dax device of the dax bus ("dax0.0"). NULL where there is none. */
int nd_block_of(const char *device, char **ret);
int nd_dax_of(const char *device, char **ret);

/* All namespaces of a region that a driver has: newly allocated list of names for people, NULL for none. */
int nd_region_enabled(const char *region, char **ret);

/* Waits until the kernel has probed everything on the buses: it brings namespaces by itself, in its own time
 * (drivers/nvdimm/bus.c:wait_probe_show). 0, or -EINPROGRESS. */
int nd_settle(uint64_t timeout_usec);
