/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which other cards are on their way out: what is on them has to fit somewhere too, and nothing may be moved there. The records tell, and
 * not only whoever runs at the moment: a removal whose worker has died goes on with the next one. Of whatever age: one may wait for its
 * users while many others come and go. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "base/clock.h"
#include "base/parse.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "kernel/pci/pcie-slot.h"
#include "request.h"

enum {
        LIGHT_POLL_MSEC = 10,
};

#define LIGHT_USEC (500 * USEC_PER_MSEC) /* a light is set in less, where nothing hangs */

static bool is_ours(const Request *r, const Slot *slot) {
        for (size_t i = 0; i < r->n_others; i++)
                if (r->others[i] == slot)
                        return true;
        return r->slot == slot;
}

static bool is_known(const Request *r, const Slot *slot) {
        for (size_t i = 0; i < r->n_under_way; i++)
                if (r->under_way[i] == slot)
                        return true;
        return false;
}

static bool is_nested(const Topology *t, const Slot *a, const Slot *b) {
        return topology_slot_is_within(t, a->name, b) || topology_slot_is_within(t, b->name, a);
}

static const Slot *slot_of(const Request *r, json_object *o) {
        const char *port = json_str(o, "port"), *name = json_str(o, "name");

        return port ? topology_slot_of_port(r->topology, port) : name ? topology_slot(r->topology, name) : NULL;
}

/* One that is inside of ours, or around it, is told of by find-slot.c. */
static int add_slot(Request *r, json_object *o) {
        const Slot *slot = slot_of(r, o);

        if (!slot || is_ours(r, slot) || is_known(r, slot))
                return 0;
        if (is_nested(r->topology, slot, r->slot))
                return 0;
        for (size_t i = 0; i < r->n_others; i++)
                if (is_nested(r->topology, slot, r->others[i]))
                        return 0;
        const Slot **more = reallocarray(r->under_way, r->n_under_way + 1, sizeof(Slot *));
        if (!more)
                return -ENOMEM;
        r->under_way = more;
        r->under_way[r->n_under_way++] = slot;
        return 0;
}

/* The first of these that is ours, inside of one of ours, or around it: its card is this one, or goes with it. NULL: none. */
static const Slot *one_that_concerns_us(const Request *r, json_object *slots) {
        for (size_t i = 0; i < json_len(slots); i++) {
                const Slot *slot = slot_of(r, json_at(slots, i));
                bool concerns = slot && (is_ours(r, slot) || is_nested(r->topology, slot, r->slot));

                for (size_t k = 0; k < r->n_others && slot && !concerns; k++)
                        concerns = is_nested(r->topology, slot, r->others[k]);
                if (concerns)
                        return slot;
        }
        return NULL;
}

static int add_writer(Request *r, json_object *writer) {
        json_object *slots = json_get(writer, "slots");
        int q = 0;

        /* One that cannot be read may be of any slot. */
        if (json_len(slots) > 0 && !one_that_concerns_us(r, slots)) {
                /* A light takes no card down. */
                for (size_t i = 0; i < json_len(slots) && q >= 0 && !json_flag(writer, "light"); i++)
                        q = add_slot(r, json_at(slots, i));
                return q;
        }
        _cleanup_free_ char *word = slot_word(r->slot->name), *then = strf("safe-remove plan %s", word ?: "");
        _cleanup_free_ char *text = writer_text(writer), *remedy = writer_remedy(writer, then ?: "");
        json_object *o = json_object_new_object();
        json_set_u64(o, "removal", json_u64(writer, "removal"));
        json_set_bool(o, "light", json_flag(writer, "light"));
        json_set_bool(o, "unread", json_has(writer, "unread"));
        json_set_str(o, "text", text);
        json_set_str(o, "remedy", remedy);
        json_object_array_add(r->writers, o);
        return text && remedy ? 0 : -ENOMEM;
}

static bool is_light_set(const Request *r, json_object *alive) {
        for (size_t i = 0; i < json_len(alive); i++)
                if (json_flag(json_at(alive, i), "light") && one_that_concerns_us(r, json_get(json_at(alive, i), "slots")))
                        return true;
        return false;
}

/* A light that is being set just now is in nobody's way: it is waited for. */
static int look_for_writers(const Request *r, uint64_t own, json_object **ret) {
        uint64_t deadline = now_monotonic() + LIGHT_USEC;

        for (;;) {
                _cleanup_json_ json_object *alive = NULL;
                int q = writers_alive(own, &alive);
                if (q < 0)
                        return q;
                if (!is_light_set(r, alive) || now_monotonic() >= deadline) {
                        *ret = TAKE_PTR(alive);
                        return 0;
                }
                (void) poll(NULL, 0, LIGHT_POLL_MSEC);
        }
}

/* One whose plan cannot be read either may be of any slot. */
static void add_unread(Request *r, json_object *record) {
        json_object *slots = json_array(record, "plan_slots"), *o;
        _cleanup_json_ json_object *one = NULL;
        const Slot *slot = NULL;

        if (!slots && json_str(record, "port")) {
                slots = one = json_object_new_array();
                json_object_array_add(one, json_ref(record));
        }
        if (json_len(slots) > 0) {
                slot = one_that_concerns_us(r, slots);
                if (!slot)
                        return;
        }
        o = json_object_new_object();
        json_set_str(o, "id", json_str(record, "id"));
        json_set_str(o, "slot", slot ? slot->name : NULL);
        json_set_str(o, "why", json_str(record, "why"));
        json_set_bool(o, "newer", json_flag(record, "newer"));
        json_object_array_add(r->unread, o);
}

/* One that could be read when the daemon began, or of which a removal that is resumed was not told. It may be of any slot. */
static void add_unread_now(Request *r, const char *id, const char *why, bool newer) {
        _cleanup_json_ json_object *record = json_object_new_object();
        if (json_find(json_array(r->doc, "unread"), "id", id))
                return;
        json_set_str(record, "id", id);
        json_set_str(record, "why", why);
        json_set_bool(record, "newer", newer);
        add_unread(r, record);
}

/* Of two pressed buttons the first has its turn first, and must not be refused for the second. Later ones that carry a plan out have been
 * there before. */
static bool counts(const Plan *plan, uint64_t id, uint64_t own) {
        if (plan_is_restoration(plan) || plan_is_finish(plan) || plan_verdict(plan) != PLAN_READY)
                return false;
        return own == 0 || id < own || json_has(plan->doc, "takes_down");
}

static int look_at(Request *r, uint64_t id, uint64_t own) {
        _cleanup_free_ char *name = strf("%" PRIu64, id), *dir = strf("%s/removals/%" PRIu64, state_dir(), id), *why = NULL;
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;

        if (!name || !dir)
                return -ENOMEM;
        if (id == own || !removal_may_be_under_way(dir))
                return 0;
        int q = journal_read(name, &j, &plan, &why);
        if (q < 0 && q != -ENOMEM && q != -ENOENT)
                add_unread_now(r, name, why ?: strerror(-q), q == -EPROTONOSUPPORT);
        if (q < 0 || j->ended || j->other_boot || !counts(plan, id, own))
                return q == -ENOMEM ? q : 0;
        for (size_t i = 0; i < plan_n_slots(plan); i++) {
                q = add_slot(r, plan_slot(plan, i));
                if (q < 0)
                        return q;
        }
        return 0;
}

int request_find_under_way(Request *r) {
        json_object *unread = json_array(r->doc, "unread");
        _cleanup_json_ json_object *alive = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t own = 0;
        size_t n = 0;

        r->n_under_way = 0;
        (void) parse_u64(json_str(r->doc, "id") ?: "0", &own); /* a plan's is 0 */
        json_object_put(TAKE_PTR(r->unread));
        r->unread = json_object_new_array();
        for (size_t i = 0; i < json_len(unread); i++)
                add_unread(r, json_at(unread, i));
        int q = removal_ids(&ids, &n);
        for (size_t i = 0; q >= 0 && i < n; i++)
                q = look_at(r, ids[i], own);
        if (q < 0)
                return q;
        json_object_put(TAKE_PTR(r->writers));
        r->writers = json_object_new_array();
        q = look_for_writers(r, own, &alive);
        for (size_t i = 0; i < json_len(alive) && q >= 0; i++)
                q = add_writer(r, json_at(alive, i));
        return q < 0 ? q : 0;
}
