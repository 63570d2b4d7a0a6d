/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/pages/page-table.h"

/* In which memory the kernel keeps its page structs (64 bytes a page, CONFIG_SPARSEMEM_VMEMMAP): for memory that comes later it takes them
 * from a node's ordinary pages, which then cannot go before that memory does (mm/sparse-vmemmap.c:vmemmap_alloc_block). */
typedef struct Vmemmap Vmemmap;

void vmemmap_free(Vmemmap *v);
DEFINE_CLEANUP_FUNC(Vmemmap, vmemmap_free)

/* 0, or a negative errno with *ret_why for a person: why this kernel does not let us know. Not for several threads at a time. */
int vmemmap_open(Vmemmap **ret, char **ret_why);

/* How many bytes of the page structs of physical memory [start, start+size) lie in the areas (which do not overlap). Memory that has no
 * page structs has none there. */
int vmemmap_bytes_in(Vmemmap *v, uint64_t start, uint64_t size, const PhysicalArea *areas, size_t n_areas, uint64_t *ret);
