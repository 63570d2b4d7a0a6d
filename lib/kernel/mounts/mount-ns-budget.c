/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/mounts/mount-ns-budget.h"

void mount_ns_budget_begin(MountNsBudget *b, unsigned msec, size_t bytes) {
        *b = (MountNsBudget) { .deadline = now_monotonic() + msec * USEC_PER_MSEC, .bytes = bytes };
}

size_t mount_ns_budget_for(MountNsBudget *b, const MountNs *ns) {
        if (!ns->foreign)
                return MOUNT_NS_WHOLE_TABLE_BYTES;
        if (b->bytes == 0 || now_monotonic() >= b->deadline) {
                b->n_left_out++;
                return 0;
        }
        return b->bytes < MOUNT_NS_TABLE_BYTES ? b->bytes : MOUNT_NS_TABLE_BYTES;
}

int mount_ns_budget_took(MountNsBudget *b, const MountNs *ns, int length_or_error) {
        if (!ns->foreign || length_or_error == -ENOMEM)
                return length_or_error < 0 ? length_or_error : 0;
        if (length_or_error < 0)
                b->n_left_out++;
        else if (b->bytes != SIZE_MAX)
                b->bytes -= (size_t) length_or_error < b->bytes ? (size_t) length_or_error : b->bytes;
        return 0;
}

int mount_ns_shares_begin(MountNsShares *s, const MountNsList *l, unsigned msec) {
        int r = 0;

        *s = (MountNsShares) { 0 };
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                if (l->items[i].foreign)
                        r = id_map_add(&s->owners, l->items[i].owner, s->owners.n);
        s->used = r < 0 ? NULL : calloc(s->owners.n + 1, sizeof(uint64_t));
        if (!s->used) {
                mount_ns_shares_done(s);
                return -ENOMEM;
        }
        s->share = s->owners.n > 0 ? msec * USEC_PER_MSEC / s->owners.n : 0;
        if (s->share < MOUNT_NS_SHARE_MSEC * USEC_PER_MSEC)
                s->share = MOUNT_NS_SHARE_MSEC * USEC_PER_MSEC;
        return 0;
}

void mount_ns_shares_done(MountNsShares *s) {
        id_map_done(&s->owners);
        free(s->used);
        *s = (MountNsShares) { 0 };
}

uint64_t mount_ns_shares_until(const MountNsShares *s, const MountNs *ns, uint64_t now) {
        size_t i;

        if (!ns->foreign)
                return UINT64_MAX;
        return id_map_find(&s->owners, ns->owner, &i) && s->used[i] < s->share ? now + s->share - s->used[i] : 0;
}

void mount_ns_shares_took(MountNsShares *s, const MountNs *ns, uint64_t usec) {
        size_t i;

        if (ns->foreign && id_map_find(&s->owners, ns->owner, &i))
                s->used[i] += usec;
}

/* One of the list, and where it belongs. */
typedef struct Place {
        MountNs ns;
        size_t turn;            /* of foreign ones: how many of the same owner's come before */
        size_t index;
} Place;

static int compare(const void *a, const void *b) {
        const Place *x = a, *y = b;

        if (x->ns.foreign != y->ns.foreign)
                return x->ns.foreign ? 1 : -1;
        if (x->turn != y->turn)
                return x->turn < y->turn ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

typedef struct Turns {
        IdMap owners;           /* places in `n` */
        size_t *n;
} Turns;

static void turns_done(Turns *t) {
        id_map_done(&t->owners);
        free(t->n);
}

static int take_turn(Turns *t, Place *p) {
        size_t i;

        int r = id_map_add(&t->owners, p->ns.owner, t->owners.n);
        if (r >= 0 && id_map_find(&t->owners, p->ns.owner, &i))
                p->turn = ++t->n[i];
        return r < 0 ? r : 0;
}

/* Those with processes have the first turns. */
static int take_turns(Place *places, size_t n) {
        _cleanup_(turns_done) Turns turns = { .n = calloc(n + 1, sizeof(size_t)) };
        int r = turns.n ? 0 : -ENOMEM;

        for (int empty = 0; empty < 2; empty++)
                for (size_t i = 0; i < n && r >= 0; i++)
                        if (places[i].ns.foreign && (places[i].ns.pid == 0) == empty)
                                r = take_turn(&turns, &places[i]);
        return r;
}

int mount_ns_sort(MountNsList *l) {
        _cleanup_free_ Place *places = calloc(l->n_items + 1, sizeof(Place));
        if (!places)
                return -ENOMEM;

        for (size_t i = 0; i < l->n_items; i++)
                places[i] = (Place) { .ns = l->items[i], .index = i };
        int r = take_turns(places, l->n_items);
        if (r < 0)
                return r;
        if (l->n_items > 1)
                qsort(places, l->n_items, sizeof(Place), compare);
        id_map_done(&l->by_id);
        for (size_t i = 0; i < l->n_items; i++)
                l->items[i] = places[i].ns;
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                r = id_map_add(&l->by_id, l->items[i].id, i);
        return r < 0 ? r : 0;
}
