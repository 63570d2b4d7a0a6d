/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A card that is pulled by surprise leaves nothing in the topology but what it should have taken along: memory that is online with nothing
 * behind it. Only who has seen the card knows that this is its. */
#include <errno.h>

#include "base/clock.h"
#include "base/format.h"
#include "engine/last-seen.h"
#include "engine/state-dir.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "last-seen.h"
#include "lost.h"

enum {
        FILE_SYSTEMS_MAX = 1000,
};

const char *last_seen_key(const char *port, const char *name) {
        return port ?: name;
}

static bool is_among(json_object *ranges, json_object *range) {
        for (size_t i = 0; i < json_len(ranges); i++)
                if (json_u64(json_at(ranges, i), "start") == json_u64(range, "start") &&
                    json_u64(json_at(ranges, i), "size") == json_u64(range, "size"))
                        return true;
        return false;
}

/* Whether anybody still has something there. */
static bool is_left(json_object *range) {
        static const Probe *const asked[] = { &probe_memory_blocks, &probe_iomem, &probe_regions };
        _cleanup_json_ json_object *scope = json_object_new_object();
        json_object *ranges = json_object_new_array();
        bool left = false;

        json_object_array_add(ranges, json_ref(range));
        json_set(scope, "ranges", ranges);
        for (size_t i = 0; i < ELEMENTSOF(asked) && !left; i++) {
                _cleanup_free_ char *answer = NULL;
                left = asked[i]->ask(scope, &answer) <= 0;
        }
        return left;
}

/* Of a card that is on its way the regions go before the functions do, and the memory that was theirs after them. */
static void keep_what_is_left(const Topology *t, json_object *scope, json_object *before) {
        json_object *ranges = json_array(scope, "ranges"), *old = json_array(before, "ranges");

        for (size_t i = 0; i < json_len(old); i++)
                if (!json_flag(json_at(old, i), "goes_with_power") && !is_among(ranges, json_at(old, i)) && !lost_is_taken(t, json_at(old, i)) &&
                    is_left(json_at(old, i))) {
                        json_object_array_add(ranges, json_ref(json_at(old, i)));
                        if (!json_has(scope, "peers") && json_has(before, "peers"))
                                json_set(scope, "peers", json_ref(json_array(before, "peers")));
                }
}

static bool is_same(json_object *scope, json_object *before) {
        _cleanup_json_ json_object *bare = probe_scope(before, NULL);

        json_object_object_del(bare, "gone_before");
        json_object_object_del(bare, "volumes");
        return json_object_equal(scope, bare);
}

/* Whoever has turned the light on for it may not be there any more to turn it off. */
static void end_loss(json_object *before, json_object *slot) {
        if (json_has(before, "lost") && slot)
                json_set_bool(slot, "was_lost", true);
}

/* A look, and a second one (NULL: none was needed yet, or nobody could): what one look sees may not have been so at any one time. */
typedef struct Look {
        const Topology *t;
        Topology *again;
        json_object *known;
        VanishedList vanished;
} Look;

static void look_done(Look *l) {
        topology_free(l->again);
        json_object_put(l->known);
        vanished_done(&l->vanished);
}

/* Anybody can have thousands of overlays stand on the card's files, in a namespace of his own; and of what is too long nothing is written. What an
 * overlay stands on is asked about itself. */
static void keep_few_file_systems(json_object *scope) {
        json_object *all = json_array(scope, "file_systems"), *few = json_object_new_array();

        for (size_t i = 0; i < json_len(all); i++) {
                bool overlay = json_len(all) > FILE_SYSTEMS_MAX && streq_ptr(json_str(json_at(all, i), "type"), "overlay");
                if (!overlay)
                        json_object_array_add(few, json_ref(json_at(all, i)));
        }
        json_set(scope, "file_systems", few);
}

/* The cards that have memory together with it, each once. */
static json_object *peers_of(const Scope *s, const Topology *t) {
        _cleanup_json_ json_object *down = scope_takes_down_json(s, t);
        json_object *regions = json_array(down, "regions"), *all = json_object_new_array();

        for (size_t i = 0; i < json_len(regions); i++) {
                json_object *peers = json_array(json_at(regions, i), "peers");
                for (size_t k = 0; k < json_len(peers); k++)
                        if (!json_find(all, "memdev", json_str(json_at(peers, k), "memdev")))
                                json_object_array_add(all, json_ref(json_at(peers, k)));
        }
        return all;
}

/* Nothing is written where all is as it was. What cannot be written is not remembered, which no look fails for. */
static void remember(const char *key, const Topology *t, const Scope *s, json_object *slot) {
        _cleanup_json_ json_object *scope = scope_seen_json(s, t), *before = NULL, *card = NULL;

        keep_few_file_systems(scope);
        if (s->n_peers > 0)
                json_set(scope, "peers", peers_of(s, t));
        (void) last_seen_load(key, &before);
        end_loss(before, slot);
        keep_what_is_left(t, scope, json_get(before, "scope"));
        if (before && !json_has(before, "lost") && !json_has(before, "incident") && is_same(scope, json_get(before, "scope")))
                return;
        scope_add_gone_before(scope, s, t);
        card = scope_card_json(s);
        (void) last_seen_store(key, card, scope);
}

/* What the slot itself shows is not asked about: a slot that somebody has emptied may show anything. Where a card is there again, its own
 * devices are no answer. */
static char *what_is_left(json_object *scope, bool occupied) {
        static const struct {
                const Probe *probe;
                bool beside_a_card;
        } asked[] = {
                { &probe_functions, false },
                { &probe_memdevs, false },
                { &probe_memory_blocks, true },
                { &probe_iomem, false },
                { &probe_regions, false },
                { &probe_decoders, false },
                { &probe_block_devices, false },
                { &probe_kernel_users, true },
                { &probe_references, true },
                { &probe_mounts, true },
                { &probe_processes, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
                _cleanup_free_ char *answer = NULL;
                int r = occupied && !asked[i].beside_a_card ? 1 : asked[i].probe->ask(scope, &answer);
                if (r <= 0)
                        return strf("%s: %s", asked[i].probe->name, answer ?: r < 0 ? strerror(-r) : "no");
        }
        return NULL;
}

/* A card that was here may have left anything. */
static bool is_unread(int error) {
        return error < 0 && error != -ENOENT;
}

static char *unread_text(const char *key, int error) {
        _cleanup_free_ char *path = last_seen_path(key);

        return strf("what the card that was here had is not known: %s cannot be read (%s); without that file the card counts as never "
                    "seen", path ?: "?",
                    format_strerror(error));
}

char *last_seen_left(const char *key) {
        _cleanup_json_ json_object *before = NULL;

        int r = last_seen_load(key, &before);
        return is_unread(r) ? unread_text(key, r) : r < 0 ? NULL : what_is_left(json_get(before, "scope"), false);
}

/* As t has it. A stick that was pulled while it was mounted is not what keeps a slot from being empty, nor is another card's region. */
static char *left_in(const Look *l, const Topology *t, const Slot *slot, json_object *before) {
        _cleanup_json_ json_object *scope = probe_scope(json_get(before, "scope"), NULL);
        json_object *ranges = json_array(scope, "ranges"), *own = json_object_new_array();
        const Slot *now = topology_slot(t, slot->name);
        _cleanup_(scope_done) Scope s = { 0 };

        for (size_t i = 0; i < json_len(ranges); i++)
                if (!lost_is_taken(t, json_at(ranges, i)))
                        json_object_array_add(own, json_ref(json_at(ranges, i)));
        json_set(scope, "ranges", own);
        vanished_leave_out(&l->vanished, slot, false, scope);
        return what_is_left(scope, now && scope_find(t, now, &s) >= 0 && s.n_functions > 0);
}

/* By its slot the card is there and up, and the kernel has forgotten it: somebody has told it to (PCI's `remove`). Of one that the kernel's own way of
 * removing has taken the light is off. Other cards than memory come and go as they like. */
static bool is_taken_away(const Slot *slot, json_object *before) {
        return slot->has_registers && lost_shows_card_up(&slot->registers) && !json_str(before, "incident") &&
               json_len(json_array(json_get(before, "scope"), "memdevs")) > 0;
}

/* What is found for the first time is told when a second look finds it too: a card that somebody takes away and brings back at once (PCI's `remove`
 * and `rescan`) was missing in the first look and answers the probes after it. What the second look does not find, the next one asks about. */
static void ask_about_gone(Look *l, const char *key, json_object *before, json_object *entry, const Slot *slot) {
        _cleanup_free_ char *left = left_in(l, l->t, slot, before);

        if (!left) {
                end_loss(before, entry);
                if (is_taken_away(slot, before))
                        json_set_bool(entry, "taken", true);
                last_seen_retire(key);
                return;
        }
        json_object *lost = json_ref(json_array(before, "lost"));
        if (!lost) {
                if (!l->again)
                        (void) topology_load(&l->again);
                if (l->again) {
                        free(left);
                        left = left_in(l, l->again, slot, before);
                        if (!left)
                                return;
                }
                /* The first look that finds it writes down what was lost: the next one may find less. */
                lost = lost_lines(l->t, json_get(before, "scope"));
                lost_add_peers(json_get(before, "scope"), lost);
                (void) last_seen_add_lost(key, lost);
        }
        json_set_str(entry, "left", left);
        if (json_str(before, "incident"))
                json_set_str(entry, "incident", json_str(before, "incident"));
        json_set(entry, "lost", lost);
}

static void add_unseen(json_object *scope, json_object *unseen) {
        static const char *const keys[] = { "ranges", "block_devices", "gone", "file_systems", "gone_before" };

        for (size_t k = 0; k < ELEMENTSOF(keys); k++) {
                json_object *to = json_array(scope, keys[k]), *from = json_array(unseen, keys[k]);

                if (!to && from)
                        json_set(scope, keys[k], json_ref(from));
                for (size_t i = 0; to && i < json_len(from); i++)
                        json_object_array_add(to, json_ref(json_at(from, i)));
        }
}

/* What each slot's card had when it was seen. */
static json_object *all_known(const Topology *t) {
        json_object *known = json_object_new_array();

        for (size_t i = 0; i < t->n_slots; i++) {
                _cleanup_json_ json_object *before = NULL;
                if (last_seen_load(last_seen_key(t->slots[i].port, t->slots[i].name), &before) >= 0)
                        json_object_array_add(known, json_ref(json_get(before, "scope")));
        }
        return known;
}

/* What somebody saw, and what nobody did: the daemon may have been away for all of the card's life, or since its memory came online. */
static json_object *card_before(Look *l, const char *key, const Slot *slot) {
        json_object *before = NULL, *unseen = lost_without_record(l->t, slot, l->known, &l->vanished, &l->again);
        bool seen = last_seen_load(key, &before) >= 0;

        if (!unseen)
                return before;
        if (seen)
                add_unseen(json_get(before, "scope"), unseen);
        else {
                before = json_object_new_object();
                json_set(before, "scope", json_ref(unseen));
        }
        json_object_object_del(before, "lost");
        json_set_u64(before, "seen_usec", now_monotonic());
        (void) last_seen_store(key, json_get(before, "card"), json_get(before, "scope"));
        json_object_put(unseen);
        return before;
}

int last_seen_gone(const Topology *t, const Slot *slot, json_object **ret) {
        const char *key = last_seen_key(slot->port, slot->name);
        _cleanup_(look_done) Look l = { .t = t, .known = all_known(t) };
        _cleanup_json_ json_object *before = NULL;
        _cleanup_(scope_done) Scope s = { 0 };

        int r = last_seen_load(key, &before);
        if (is_unread(r))
                return r;
        json_object_put(TAKE_PTR(before));
        r = scope_find(t, slot, &s);
        if (r >= 0)
                r = vanished_find(t, l.known, &l.vanished);
        if (r < 0)
                return r;
        *ret = s.n_functions > 0 ? NULL : card_before(&l, key, slot);
        return 0;
}

int last_seen_vanished(const Topology *t, VanishedList *ret) {
        _cleanup_json_ json_object *known = all_known(t);

        return vanished_find(t, known, ret);
}

/* Whose it was that is gone was not asked to the end. */
static void tell_unread(json_object *topology, int error) {
        json_object *odd = json_array(topology, "not_understood"), *o = json_object_new_object();

        if (!odd) {
                odd = json_object_new_array();
                json_set(topology, "not_understood", odd);
        }
        json_set_strf(o, "path", "%s/removals", state_dir());
        json_set(o, "device", NULL);
        json_set_str(o, "why", error == -EINPROGRESS ? "it does not answer" : format_strerror(error));
        json_object_array_add(odd, o);
}

/* Then nothing of the slot's card is proved gone, and nothing is written over it. */
static bool is_remembered_unread(const char *key, json_object *slot) {
        _cleanup_json_ json_object *before = NULL;

        int r = last_seen_load(key, &before);
        if (!is_unread(r))
                return false;
        _cleanup_free_ char *text = unread_text(key, r);
        if (slot)
                json_set_str(slot, "left", text ?: strerror(-r));
        return true;
}

void last_seen_update(const Topology *t, json_object *topology) {
        _cleanup_(look_done) Look l = { .t = t, .known = all_known(t) };
        _cleanup_json_ json_object *of_no_slot = NULL;

        (void) vanished_find(t, l.known, &l.vanished);
        of_no_slot = lost_vanished(&l.vanished);
        if (of_no_slot)
                json_set(topology, "vanished", json_ref(of_no_slot));
        if (l.vanished.unread < 0)
                tell_unread(topology, l.vanished.unread);
        for (size_t i = 0; i < t->n_slots; i++) {
                _cleanup_(scope_done) Scope s = { 0 };
                _cleanup_json_ json_object *before = NULL;
                const Slot *slot = &t->slots[i];
                const char *key = last_seen_key(slot->port, slot->name);
                json_object *entry = json_find(json_array(topology, "slots"), "name", slot->name);

                /* A module in a socket stays there. And of a held slot the plan has written everything down. */
                if (!slot->address || slot->held || scope_find(t, slot, &s) < 0)
                        continue;
                if (s.n_functions > 0) {
                        remember(key, t, &s, entry);
                        continue;
                }
                if (is_remembered_unread(key, entry))
                        continue;
                before = card_before(&l, key, slot);
                if (before && entry)
                        ask_about_gone(&l, key, before, entry, slot);
        }
}
