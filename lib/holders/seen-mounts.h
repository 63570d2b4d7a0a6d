/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/id-map.h"

/* Mounts by their id, as far as the processes' own mountinfo was read: which file system lies behind a file whose st_dev is
 * a number of its own (btrfs has one for each subvolume, overlayfs for each layer). */
typedef struct SeenMount {
        uint64_t id;            /* no two mounts have the same one at a time, whatever the namespace */
        dev_t dev;
        bool overlay;
} SeenMount;

/* Answers already found. */
typedef struct SeenDev {
        dev_t st_dev, dev;
} SeenDev;

typedef struct SeenMounts {
        SeenMount *items;       size_t n_items, n_allocated;
        SeenDev *devs;          size_t n_devs, n_devs_allocated;
        IdMap by_id, by_dev;    /* of the items; of several with one number the first */
        IdMap by_st_dev;        /* of the devs */
        IdMap namespaces;       /* whose mountinfo was read */
} SeenMounts;

void seen_mounts_done(SeenMounts *s);

/* Adds what the process's mountinfo says, unless one of its namespace was read already. What is longer than anybody needs who is not out to
 * make it long is left out. */
int seen_mounts_learn(SeenMounts *s, int dirfd);

/* The file systems behind the kernel's own files (pipes, sockets, memfds, ...), which are mounted nowhere. */
int seen_mounts_learn_kernel(SeenMounts *s);

/* The mount of that id, of whichever namespace; NULL when none was learnt. */
const SeenMount *seen_mount(const SeenMounts *s, uint64_t id);
bool seen_mounts_overlay(const SeenMounts *s, dev_t dev);

/* The file system that files with this st_dev were found to be on. Adding: -ENOMEM. */
bool seen_dev(const SeenMounts *s, dev_t st_dev, dev_t *ret);
int seen_dev_add(SeenMounts *s, dev_t st_dev, dev_t dev);
