/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What the memory of a NUMA node is used for, in bytes, from /sys/devices/system/node/nodeN/meminfo. What this kernel does not count
 * is 0. */
typedef struct NodeMemory {
        uint64_t total, free;
        uint64_t anonymous;     /* AnonPages: of processes */
        uint64_t shared;        /* Shmem: tmpfs, memfd, System V */
        uint64_t files;         /* page cache of files: FilePages without Shmem */
        uint64_t kernel;        /* Slab, PageTables, SecPageTables, KernelStack */
} NodeMemory;

/* -EBADMSG without MemTotal and MemFree, or with a number that is none. */
int node_memory_parse(const char *text, NodeMemory *ret);
int node_memory_read(int node, NodeMemory *ret);

/* Huge pages of one size, of a node or of the whole machine. */
typedef struct HugePool {
        uint64_t page_bytes;
        uint64_t total, free;
        uint64_t reserved;      /* of the free ones, promised to mappings; the machine's only */
        uint64_t surplus;       /* of the total, made for a mapping that anybody may have, and gone with it */
} HugePool;

/* Ascending by size; empty where the kernel has none. node -1: the machine. The array belongs to the caller. */
int huge_pools_read(int node, HugePool **ret, size_t *ret_n);

/* "0-1,4": 1 when every node of a not empty list is among the n of `nodes`, else 0. -EBADMSG on rubbish. */
int node_list_within(const char *list, const int *nodes, size_t n);

/* 1 when the node is among those of the list, else 0. -EBADMSG on rubbish. */
int node_list_has(const char *list, int node);
