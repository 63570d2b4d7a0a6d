/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/node-cache.h"

enum {
        PLACES_MIN = 256,
};

void node_cache_done(NodeCache *c) {
        free(c->places);
        *c = (NodeCache) { 0 };
}

/* Where it is, or where it would be. There always is an empty place. */
static Node *place_of(Node *places, size_t n_places, dev_t dev, uint64_t inode) {
        uint64_t hash = (inode ^ (uint64_t) dev << 40) * UINT64_C(0x9e3779b97f4a7c15);

        for (size_t i = hash >> 32;; i++) {
                Node *n = &places[i & (n_places - 1)];
                if (n->type == 0 || (n->dev == dev && n->inode == inode))
                        return n;
        }
}

const Node *node_cache_find(const NodeCache *c, dev_t dev, uint64_t inode) {
        if (c->n_places == 0)
                return NULL;
        const Node *n = place_of(c->places, c->n_places, dev, inode);
        return n->type != 0 ? n : NULL;
}

static int grow(NodeCache *c) {
        size_t want = c->n_places > 0 ? c->n_places * 2 : PLACES_MIN;

        Node *places = calloc(want, sizeof(*places));
        if (!places)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_places; i++)
                if (c->places[i].type != 0)
                        *place_of(places, want, c->places[i].dev, c->places[i].inode) = c->places[i];
        free(c->places);
        c->places = places;
        c->n_places = want;
        return 0;
}

int node_cache_put(NodeCache *c, const Node *node) {
        if (c->n * 2 >= c->n_places) {
                int r = grow(c);
                if (r < 0)
                        return r;
        }
        Node *place = place_of(c->places, c->n_places, node->dev, node->inode);
        c->n += place->type == 0;
        *place = *node;
        return 0;
}
