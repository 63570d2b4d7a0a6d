/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long the plan's list of holders may become. Whoever has processes chooses how many they are, what their files are called, and what
 * their control groups are: nobody's choice makes a plan that cannot be told or written down. No step reads these texts, each looks
 * again. */
#include "plan/find/blockers.h"

enum {
        TEXT_OF_ONE = 1024 * 1024, /* bytes of JSON, of one user */
        TEXT_OF_USERS = 8 * 1024 * 1024, /* of all but root, who has his own */
};

typedef struct Store {
        uint64_t uid;
        size_t used;
} Store;

typedef struct Stores {
        Store *items;           size_t n_items, n_allocated;
        size_t used;            /* by all but root */
} Stores;

static void stores_done(Stores *s) {
        free(s->items);
}

static int store_of(Stores *s, uint64_t uid, Store **ret) {
        for (size_t i = s->n_items; i-- > 0;)
                if (s->items[i].uid == uid) {
                        *ret = &s->items[i];
                        return 0;
                }
        int r = vec_grow((void **) &s->items, s->n_items, &s->n_allocated, sizeof(Store));
        if (r < 0)
                return r;
        *ret = &s->items[s->n_items++];
        **ret = (Store) { .uid = uid };
        return 0;
}

static bool fits(Stores *s, Store *store, json_object *value) {
        const char *text = json_text(value);
        size_t length = text ? strlen(text) : SIZE_MAX / 2;

        if (store->used + length > TEXT_OF_ONE || (store->uid != 0 && s->used + length > TEXT_OF_USERS))
                return false;
        store->used += length;
        s->used += store->uid != 0 ? length : 0;
        return true;
}

/* Its holds as far as they fit, the others counted; then what else may be long. */
static void bound_holder(Stores *s, Store *store, json_object *holder) {
        static const char *const keys[] = { "exe", "cgroup" };
        json_object *holds = json_array(holder, "holds");
        size_t n = 0, all = json_len(holds);

        while (n < all && fits(s, store, json_at(holds, n)))
                n++;
        if (n < all) {
                (void) json_object_array_del_idx(holds, n, all - n);
                json_set_u64(holder, "more_holds", json_u64(holder, "more_holds") + all - n);
        }
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_str(holder, keys[i]) && !fits(s, store, json_get(holder, keys[i])))
                        json_set(holder, keys[i], NULL);
}

int bound_holders(json_object *holders) {
        _cleanup_(stores_done) Stores s = { 0 };

        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *holder = json_at(holders, i);
                Store *store;

                int r = store_of(&s, json_u64(holder, "uid"), &store);
                if (r < 0)
                        return r;
                bound_holder(&s, store, holder);
        }
        return 0;
}
