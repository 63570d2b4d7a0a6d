/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What a memory device says of its own media, by commands that only look (/dev/cxl/memN, uapi/linux/cxl_mem.h; /dev/nmemN, uapi/linux/ndctl.h).
 * Each is asked in a process of its own: the kernel sends one command at a time, and waits for the device. */

/* 1: the media serve. 0: they are disabled: so they are while the device sanitizes itself, and stay when that has failed, until another one
 * succeeds (CXL 3.1, 8.2.10.9.5.1). -EOPNOTSUPP: the device has none of the commands that would tell; another negative errno: it could not be
 * asked. */
int cxl_media_serve(const char *memdev);

typedef enum CxlLabels {
        CXL_LABELS_NO_AREA,     /* the device keeps none */
        CXL_LABELS_BLANK,       /* one and the same byte from end to end */
        CXL_LABELS_NO_INDEX,    /* bytes of whatever kind, and no index block of namespaces: libnvdimm finds nothing there; somebody else may */
        CXL_LABELS_THERE,
} CxlLabels;

/* Reads the whole label area. A CxlLabels, with its size in *ret_bytes, or a negative errno as above. */
int cxl_labels_look(const char *memdev, uint64_t *ret_bytes);
int nmem_labels_look(const char *nmem, uint64_t *ret_bytes);
