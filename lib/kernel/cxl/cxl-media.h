/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What a CXL memory device says of its own media, by mailbox commands that only look (/dev/cxl/memN; uapi/linux/cxl_mem.h). Each is asked in
 * a process of its own: the kernel sends one command at a time, and waits for the device. */

/* 1: the media serve. 0: they are disabled: so they are while the device sanitizes itself, and stay when that has failed, until another one
 * succeeds (CXL 3.1, 8.2.10.9.5.1). -EOPNOTSUPP: the device has none of the commands that would tell; another negative errno: it could not be
 * asked. */
int cxl_media_serve(const char *memdev);

typedef enum CxlLabels {
        CXL_LABELS_NO_AREA,     /* the device keeps none */
        CXL_LABELS_BLANK,       /* one and the same byte from end to end */
        CXL_LABELS_NO_INDEX,    /* no index block of namespaces in all of it: libnvdimm finds nothing there */
        CXL_LABELS_THERE,
} CxlLabels;

/* Reads the whole label area. A CxlLabels, with its size in *ret_bytes, or a negative errno as above. */
int cxl_labels_look(const char *memdev, uint64_t *ret_bytes);
