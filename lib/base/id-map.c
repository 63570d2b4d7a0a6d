/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/id-map.h"

enum {
        SLOTS_FIRST = 64, /* a power of two, as all that follow */
};

void id_map_done(IdMap *m) {
        free(m->slots);
        *m = (IdMap) { 0 };
}

/* Numbers follow one another, or all end in the same bits: the high bits of the product depend on all of them. */
static size_t begin(uint64_t id, size_t n_slots) {
        return (size_t) ((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (n_slots - 1);
}

/* The slot of the id, or the empty one where it would be. At most half of them are taken. */
static struct IdMapSlot *slot_of(struct IdMapSlot *slots, size_t n_slots, uint64_t id) {
        size_t i = begin(id, n_slots);

        while (slots[i].place > 0 && slots[i].id != id)
                i = (i + 1) & (n_slots - 1);
        return &slots[i];
}

static int grow(IdMap *m) {
        size_t n_slots = m->n_slots > 0 ? 2 * m->n_slots : SLOTS_FIRST;

        struct IdMapSlot *slots = calloc(n_slots, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_slots; i++)
                if (m->slots[i].place > 0)
                        *slot_of(slots, n_slots, m->slots[i].id) = m->slots[i];
        free(m->slots);
        m->slots = slots;
        m->n_slots = n_slots;
        return 0;
}

int id_map_add(IdMap *m, uint64_t id, size_t place) {
        int r = 2 * m->n >= m->n_slots ? grow(m) : 0;
        if (r < 0)
                return r;

        struct IdMapSlot *slot = slot_of(m->slots, m->n_slots, id);
        if (slot->place > 0)
                return 0;
        *slot = (struct IdMapSlot) { .id = id, .place = place + 1 };
        m->n++;
        return 1;
}

bool id_map_find(const IdMap *m, uint64_t id, size_t *ret_place) {
        const struct IdMapSlot *slot = m->n > 0 ? slot_of(m->slots, m->n_slots, id) : NULL;

        if (!slot || slot->place == 0)
                return false;
        *ret_place = slot->place - 1;
        return true;
}
