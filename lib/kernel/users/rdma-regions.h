/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Memory that RDMA devices may reach, and whose it is: the kernel keeps account of it (drivers/infiniband/core/restrack.c) and tells
 * by netlink. */
typedef struct RdmaRegion {
        int pid;
        uint64_t bytes;
} RdmaRegion;

typedef struct RdmaRegions {
        RdmaRegion *items;
        size_t n_items, n_allocated;
} RdmaRegions;

void rdma_regions_done(RdmaRegions *r);

/* The memory regions of all processes, on all devices. Without an RDMA device there are none, and nobody is asked: asking would load
 * the subsystem. Waits for the kernel's answer at most timeout_usec each time (-ETIME). */
int rdma_regions_load(uint64_t timeout_usec, RdmaRegions *ret);

/* The parsers behind it: what one datagram has of the answer to a dump. 1 when it ends in it, 0 when more come; -EBADMSG, or the
 * kernel's error. They add to what is there. */
int rdma_devices_parse(const void *data, size_t size, uint32_t **ids, size_t *n_ids);
int rdma_regions_parse(const void *data, size_t size, RdmaRegions *regions);
