/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* A card is addressed by
 *      slot            "2", "slot2", "slot:2"
 *      PCI function    "0000:0d:00.0", or "0d:00.0" where only one domain has it
 *      port            "port:0000:0c:00.0": the slot below that port
 *      memdev          "mem1"
 *      region          "region0"      of CXL or of an nvdimm bus (an interleaved one names several cards: ambiguous)
 *      dax device      "dax0.0"
 *      node            "node1"
 *      memory block    "memory147"
 *      serial          "serial:0x1", "serial:1", "0x1"; "serial:TEXT" as `list` shows that of a disk or a memory module
 *      memory module   "nmem0"        the NVDIMM, or the card behind it
 *      namespace       "namespace0.0"
 *      device          "/dev/pmem0", "/dev/nvme0n1", "/dev/mapper/NAME", "/dev/dax0.0", ...
 *      mount point     "/mnt/data"    what it is on may stand on several cards: ambiguous
 * A bare number is always a slot. */
typedef enum SelectResult {
        SELECT_FOUND,
        SELECT_MALFORMED,      /* not one of the forms above */
        SELECT_UNKNOWN,        /* well-formed, but nothing here has that name */
        SELECT_AMBIGUOUS,      /* could mean more than one card: candidates lists them */
        SELECT_NO_SLOT,        /* exists, but is not in a slot that can be removed (a DIMM, an on-board device) */
        _SELECT_RESULT_MAX,
        _SELECT_RESULT_INVALID = -EINVAL,
} SelectResult;

DECLARE_STRING_TABLE(select_result, SelectResult); /* "found", "malformed", "unknown", "ambiguous", "no-slot" */

/* Finds the slot a name means. Returns a SelectResult or a negative errno. On SELECT_FOUND *ret_slot points into t.
 * Otherwise *ret_why is one line for the user that names what was wrong and what would be right (candidates by slot,
 * BDF and serial for an ambiguous name, the forms for a malformed one, what there is for an unknown one). Paths are looked up in what the topology
 * knows, and links below /dev followed; no file system is asked. */
int topology_select(const Topology *t, const char *name, const Slot **ret_slot, char **ret_why);
