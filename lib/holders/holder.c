/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/holder.h"

static const char *const hold_way_table[_HOLD_WAY_MAX] = {
        [HOLD_MAPPING] = "mapping",
        [HOLD_DESCRIPTOR] = "descriptor",
        [HOLD_CWD] = "cwd",
        [HOLD_ROOT] = "root",
        [HOLD_PROGRAM] = "program",
        [HOLD_PIN] = "pin",
};

DEFINE_STRING_TABLE(hold_way, HoldWay)

void holder_done(Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++) {
                free(h->holds[i].path);
                free(h->holds[i].found);
        }
        free(h->holds);
        free(h->comm);
        free(h->exe);
        free(h->unit);
        free(h->cgroup);
        *h = (Holder) { 0 };
}

bool holder_maps(const Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == HOLD_MAPPING)
                        return true;
        return false;
}

void holders_clear(Holders *h) {
        for (size_t i = 0; i < h->n_items; i++)
                holder_done(&h->items[i]);
        free(h->items);
        *h = (Holders) { 0 };
}

void holders_free(Holders *h) {
        if (!h)
                return;
        holders_clear(h);
        free(h);
}

int holders_move(Holders *to, Holders *from) {
        size_t n = to->n_items + from->n_items;

        if (n > to->n_allocated) {
                Holder *grown = reallocarray(to->items, n, sizeof(Holder));
                if (!grown)
                        return -ENOMEM;
                to->items = grown;
                to->n_allocated = n;
        }
        if (from->n_items > 0)
                memcpy(to->items + to->n_items, from->items, from->n_items * sizeof(Holder));
        to->n_items = n;
        gaps_add(&to->gaps, &from->gaps);
        from->gaps = (Gaps) { 0 };
        from->n_items = 0;
        return 0;
}

static json_object *hold_to_json(const Hold *h, const HoldTargets *targets) {
        json_object *o = json_object_new_object();

        json_set_str(o, "way", hold_way_to_string(h->way));
        json_set_str(o, "target", h->target < targets->n_items ? targets->items[h->target].name : NULL);
        json_set_str(o, "path", h->path);
        json_set_str(o, "found", h->found);
        json_set_u64(o, "bytes", h->bytes);
        return o;
}

json_object *holder_to_json(const Holder *h, const HoldTargets *targets) {
        json_object *o = json_object_new_object(), *holds = json_object_new_array();

        json_set_str(o, "kind", "process");
        json_set_u64(o, "pid", (uint64_t) h->pid);
        json_set_u64(o, "start_time", h->start_time);
        json_set_str(o, "comm", h->comm);
        json_set_str(o, "exe", h->exe);
        json_set_str(o, "unit", h->unit);
        json_set_str(o, "cgroup", h->cgroup);
        json_set_u64(o, "uid", h->uid);
        if (h->hidden)
                json_set_bool(o, "hidden", true);
        json_set_bool(o, "protected", h->protected);
        for (size_t i = 0; i < h->n_holds; i++)
                json_object_array_add(holds, hold_to_json(&h->holds[i], targets));
        json_set(o, "holds", holds);
        json_set_u64(o, "more_holds", h->n_more_holds);
        return o;
}
