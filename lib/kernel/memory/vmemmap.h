/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The page tables of x86-64, walked from outside: which physical memory is behind virtual addresses. */
typedef struct PageTable {
        /* Reads n (1 to 512) entries of the table at a physical address, from the one numbered `first` on. The top table is asked for as
         * UINT64_MAX. 0 or a negative errno, which ends the walk. */
        int (*read)(void *userdata, uint64_t table, unsigned first, size_t n, uint64_t *ret);
        void *userdata;
        unsigned levels;        /* 4 or 5 */
        uint64_t not_address;   /* bits of an entry that are no part of the address although they look it (encrypted memory) */
} PageTable;

typedef struct PhysicalArea {
        uint64_t start, size;
} PhysicalArea;

/* How many bytes of [start, start+size), virtual, are mapped, and how many of those lie in one of the areas, which do not overlap. */
int page_table_count(const PageTable *t, uint64_t start, uint64_t size, const PhysicalArea *areas, size_t n_areas, uint64_t *ret_mapped,
                     uint64_t *ret_inside);

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
