/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/memory/kernel-memory.h"

/* The kernel's table of page frames (memmap, an array of struct page) for the memory of devices: where it lies, what it looks like
 * and what the driver made of a range (struct dev_pagemap). */
typedef struct Memmap {
        KernelMemory *memory;
        uint64_t base;                  /* of the array: entry 0 stands for physical address 0 */
        uint64_t frame_size;            /* bytes of memory an entry stands for */
        uint64_t entry_size;
        uint64_t refcount;              /* offsets in an entry from here on */
        uint64_t compound_head;
        uint64_t pgmap;
        bool has_compound_head;
        bool refcounts_dax;             /* since 6.15 file system DAX counts references like everybody else: unused is 0 */
        struct {
                uint64_t type, vmemmap_shift, nr_range, ranges, altmap, reserve, free, range_size, range_end;
                uint64_t fs_dax, generic; /* values of type */
        } in_pgmap;
} Memmap;

void memmap_done(Memmap *m);

/* 0, or a negative errno with *ret_why for a person. Not for several threads at a time. */
int memmap_open(Memmap *ret, char **ret_why);

static inline uint64_t memmap_entry(const Memmap *m, uint64_t physical) {
        return m->base + physical / m->frame_size * m->entry_size;
}

/* What a driver made of a stretch of its memory. */
typedef struct DeviceMemory {
        bool fsdax;                     /* file system DAX, else device DAX */
        uint64_t first;                 /* physical: before it lies the driver's own, the memmap itself for one, without entries */
        uint64_t unit;                  /* bytes of a compound page; a frame's where there are none */
} DeviceMemory;

/* Of [start, start+size). -ENODEV when it does not lie in one driver's memory or the table does not look as expected: then nothing
 * read from it would mean anything. */
int memmap_device(const Memmap *m, uint64_t start, uint64_t size, DeviceMemory *ret);
