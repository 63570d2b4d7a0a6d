/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* What was found out about mapped inodes: which device each one is, if any. A thousand processes map the same few hundred. */
typedef struct Node {
        dev_t dev;              /* of the file system it is on */
        uint64_t inode;
        mode_t type;            /* S_IFMT part of its mode; 0: an empty place of the table */
        dev_t rdev;
} Node;

typedef struct NodeCache {
        Node *places;
        size_t n, n_places;     /* a power of two */
} NodeCache;

void node_cache_done(NodeCache *c);
/* Valid until the next one is put in; or NULL. */
const Node *node_cache_find(const NodeCache *c, dev_t dev, uint64_t inode);

/* One that is there already is replaced. */
int node_cache_put(NodeCache *c, const Node *node);
