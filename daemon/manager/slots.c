/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps the list of slots: what each look at the machine, and each removal, changes of it. */
#include "base/clock.h"
#include "incident/incidents.h"
#include "light.h"
#include "ports.h"
#include "removals.h"
#include "slots.h"
#include "stays.h"

static void tell_card_lost(Manager *m, const ManagedSlot *s, json_object *lost) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        _cleanup_json_ json_object *event = manager_event_about(m, "card-lost", port, s->left);
        _cleanup_free_ char *all = json_joined(lost, NULL, "; ");
        _cleanup_free_ char *what = strf("the card was pulled, lost its power, or was taken away from the kernel while it was in use, and not all of it is gone (%s): what was on it "
                                         "is lost, and whoever uses it may take the machine down; restart the machine. Lost: %s",
                                         s->left, all && *all ? all : "see safe-remove verify");

        manager_log_about(m, LOG_CRIT, LOG_MESSAGE_CARD_LOST, port, what ?: "the card was pulled or lost its power, and not all of it is gone");
        if (lost)
                json_set(event, "lost", json_ref(lost));
        manager_tell(m, event);
}

static void tell_disks_lost(Manager *m, json_object *before, json_object *now) {
        for (size_t i = 0; i < json_len(now); i++) {
                json_object *disk = json_at(now, i);
                const char *device = json_str(disk, "device") ?: "?", *slot = json_str(disk, "slot");

                if (json_find(before, "device", device))
                        continue;
                _cleanup_json_ json_object *event = manager_event_about(m, "disk-lost", NULL, device);
                _cleanup_free_ char *all = json_joined(json_array(disk, "lost"), NULL, "; ");
                LogSubject subject = { .slot = slot };

                log_write(LOG_CRIT, LOG_MESSAGE_DISK_LOST, &subject, "The disk %s is gone and still in use; %s. Lost: %s", device,
                          slot ? "its slot has another card now" : "nothing tells which slot it was in", all ?: "?");
                if (slot)
                        json_set_str(event, "slot", slot);
                json_set(event, "lost", json_ref(json_array(disk, "lost")));
                manager_tell(m, event);
        }
}

static json_object *last_new(const char *id, const char *outcome, const char *code) {
        json_object *o = json_object_new_object();

        json_set_str(o, "id", id);
        json_set_str(o, "outcome", outcome);
        json_set_str(o, "code", code);
        return o;
}

/* Newest first. */
static void recall(Manager *m, json_object *entry, const char *slot) {
        bool removed = streq_ptr(json_str(entry, "kind"), removal_kind_to_string(KIND_REMOVE));

        if (slot && !json_has(m->recalled, slot))
                json_set_str(m->recalled, slot, (removed ? json_str(entry, "outcome") : NULL) ?: "");
        if (slot && json_str(entry, "outcome") && !json_has(m->recalled_last, slot))
                json_set(m->recalled_last, slot, last_new(json_str(entry, "id"), json_str(entry, "outcome"), json_str(entry, "code")));
}

static void take_recalled(ManagedSlot *s) {
        const char *slot = slot_get(s, SLOT_TEXT_NAME);
        int outcome = outcome_from_string(json_str(s->manager->recalled, slot));

        if (json_has(s->manager->recalled, slot))
                json_object_object_del(s->manager->recalled, slot);
        if (!s->last && json_has(s->manager->recalled_last, slot)) {
                s->last = json_ref(json_get(s->manager->recalled_last, slot));
                json_object_object_del(s->manager->recalled_last, slot);
        }
        if (outcome >= 0)
                s->outcome = (Outcome) outcome;
}

void manager_recall_outcomes(Manager *m, json_object *entries) {
        char boot[33];

        int r = boot_id_read(boot);
        if (r < 0) {
                log_plain(LOG_WARNING, "The outcomes of earlier removals cannot be shown: %s", strerror(-r));
                return;
        }
        json_object_put(m->recalled);
        json_object_put(m->recalled_last);
        m->recalled = json_object_new_object();
        m->recalled_last = json_object_new_object();
        for (size_t i = 0; i < json_len(entries); i++) {
                json_object *entry = json_at(entries, i), *slots = json_array(entry, "slots");

                /* A boot makes everything new. */
                if (!streq_ptr(json_str(entry, "ended_boot") ?: json_str(entry, "boot"), boot))
                        continue;
                recall(m, entry, json_str(entry, "slot"));
                for (size_t k = 0; k < json_len(slots); k++)
                        recall(m, entry, json_object_get_string(json_at(slots, k)));
        }
        /* Those that were seen before the records could be read. */
        for (size_t i = 0; i < m->n_slots; i++) {
                take_recalled(m->slots[i]);
                manager_show_slot(m->slots[i], NULL, false);
                manager_recall_incident(m, m->slots[i]);
                if (!*slot_get(m->slots[i], SLOT_TEXT_CARD_ADDRESS))
                        manager_guard_slot(m, m->slots[i]);
        }
}

/* A card that was pulled, and not all of it went. Its slot shows a fault until that is gone too, or a card is in it. */
static int take_left(ManagedSlot *s, json_object *entry) {
        const char *left = json_str(entry, "left"), *name = slot_get(s, SLOT_TEXT_NAME), *port = slot_get(s, SLOT_TEXT_PORT);
        bool was = s->left != NULL || json_flag(entry, "was_lost"); /* another daemon may have found it */

        if (left && manager_running_at_slot(s->manager, name, port))
                return 0;
        char *copy = left ? strdup(left) : NULL;
        if (left && !copy)
                return -ENOMEM;
        free(s->left);
        s->left = copy;
        if (was == (left != NULL))
                return 0;
        /* What is gone at last darkens the light only where nothing else keeps it on: a removal that is stuck, or one on its way. */
        bool kept = !left && (s->outcome == OUTCOME_STUCK || manager_running_at_slot(s->manager, name, port));
        if (*port && !kept && light_attention(s->manager, s, left ? "on" : "off") < 0)
                log_plain(LOG_WARNING, "The attention LED of slot %s cannot be set.", name);
        if (left) {
                tell_card_lost(s->manager, s, json_array(entry, "lost"));
                if (*port && !json_str(entry, "incident"))
                        manager_doubt_card(s->manager, port, "look", left);
        }
        return 0;
}

/* A card that somebody has taken away from the kernel, with nothing of it in use: who looks at the slot sees a card that is up. */
static void take_taken(ManagedSlot *s, json_object *entry) {
        if (json_flag(entry, "taken") && json_str(entry, "port"))
                manager_doubt_card(s->manager, json_str(entry, "port"), "look", "the card is up in its slot, and the kernel does not have it any more");
}

static void assert_light(ManagedSlot *s, json_object *entry) {
        manager_take_located(s, entry);
        if (light_assert(s->manager, s) < 0)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be turned on.", slot_get(s, SLOT_TEXT_NAME));
}

static int add_slot(Manager *m, json_object *entry) {
        _cleanup_(slot_freep) ManagedSlot *s = NULL;

        int r = slot_new(m, json_str(entry, "name"), &s);
        if (r < 0)
                return r;
        r = vec_grow((void **) &m->slots, m->n_slots, &m->a_slots, sizeof(ManagedSlot *));
        if (r < 0)
                return r;

        take_recalled(s);
        manager_show_slot(s, entry, false);
        s->seen = true;
        if (!*slot_get(s, SLOT_TEXT_CARD_ADDRESS))
                manager_guard_slot(m, s); /* the daemon was away since it was safe */
        manager_slot_seen(m, s);
        ManagedSlot *added = m->slots[m->n_slots++] = TAKE_PTR(s);
        manager_stays_changed(m);
        manager_show_new_slot(added);
        manager_recall_incident(m, added);
        r = take_left(added, entry);
        take_taken(added, entry);
        if (added->left)
                manager_show_slot(added, NULL, false);
        assert_light(added, entry);
        return r;
}

/* A memory module that was released stays in its socket: it is in use again once a region on it has its driver. */
static bool is_in_use_again(const Manager *m, const ManagedSlot *s) {
        json_object *regions = json_array(m->topology, "nd_regions");

        for (size_t i = 0; i < json_len(regions); i++) {
                json_object *region = json_at(regions, i);
                if (json_str(region, "driver") && json_has_string(json_array(region, "nmems"), slot_get(s, SLOT_TEXT_NAME)))
                        return true;
        }
        return false;
}

/* Another card in the slot: what became of the former one's removal is history. */
static void forget_outcome(ManagedSlot *s, const char *former_card, const char *former_serial) {
        const char *card = slot_get(s, SLOT_TEXT_CARD_ADDRESS);

        if (s->outcome == OUTCOME_RELEASED && is_in_use_again(s->manager, s))
                s->outcome = _OUTCOME_INVALID;
        if (s->outcome == _OUTCOME_INVALID || !*card)
                return;
        if (s->outcome == OUTCOME_SAFE || !streq(card, former_card) || !streq(slot_get(s, SLOT_TEXT_SERIAL), former_serial))
                s->outcome = _OUTCOME_INVALID;
}

/* A card that is up has its power LED on, and one that was pulled needs no light. */
static void end_withdrawal(ManagedSlot *s) {
        bool up = *slot_get(s, SLOT_TEXT_CARD_ADDRESS) && streq(slot_get(s, SLOT_TEXT_POWER_LED), "on");

        if (!s->withdrawn || (s->view.occupied && !up))
                return;
        s->withdrawn = false;
        if (light_attention(s->manager, s, "off") < 0)
                log_plain(LOG_WARNING, "The attention LED of slot %s cannot be turned off.", slot_get(s, SLOT_TEXT_NAME));
}

static int update_slot(ManagedSlot *s, json_object *entry) {
        _cleanup_free_ char *card = strdup(slot_get(s, SLOT_TEXT_CARD_ADDRESS));
        _cleanup_free_ char *serial = strdup(slot_get(s, SLOT_TEXT_SERIAL));
        Outcome before = s->outcome;

        if (!card || !serial)
                return -ENOMEM;

        s->seen = true;
        int r = take_left(s, entry);
        if (r < 0)
                return r;
        take_taken(s, entry);
        manager_show_slot(s, entry, false);
        if (!streq(card, slot_get(s, SLOT_TEXT_CARD_ADDRESS)) || !streq(serial, slot_get(s, SLOT_TEXT_SERIAL)))
                manager_stays_changed(s->manager);
        if (!manager_running_at_slot(s->manager, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT)))
                forget_outcome(s, card, serial);
        bool withdrawn = s->withdrawn;
        end_withdrawal(s);
        if (s->outcome != before || s->withdrawn != withdrawn)
                manager_show_slot(s, NULL, false);
        assert_light(s, entry);
        manager_slot_seen(s->manager, s);
        return 0;
}

static int take_entry(Manager *m, json_object *entry) {
        const char *name = json_str(entry, "name"), *port = json_str(entry, "port");

        if (!name)
                return 0;
        /* While a slot is held its folder is gone and its name comes from the port's registers, which need not be the name the
         * kernel had given it. The port stays the same, and so does our object. */
        ManagedSlot *s = port ? manager_slot_at_port(m, port) : NULL;
        if (!s)
                s = manager_slot(m, name);
        return s ? update_slot(s, entry) : add_slot(m, entry);
}

static void drop_unseen(Manager *m) {
        for (size_t i = m->n_slots; i-- > 0;) {
                ManagedSlot *s = m->slots[i];
                const char *name = slot_get(s, SLOT_TEXT_NAME), *port = slot_get(s, SLOT_TEXT_PORT);

                /* A slot whose removal runs can be between two drivers at this moment. */
                if (s->seen || manager_running_at_slot(m, name, port))
                        continue;
                manager_hide_slot(s);
                m->slots[i] = m->slots[--m->n_slots];
                slot_free(s);
        }
}

static void look_for_presses(Manager *m) {
        m->look_for_presses = false;
        for (size_t i = 0; i < m->n_slots; i++) {
                const ManagedSlot *s = m->slots[i];
                const char *port = slot_get(s, SLOT_TEXT_PORT);

                /* Without a card that is up, blinking means that it is being powered on. A held slot is nobody's but
                 * its removal's. */
                if (!*port || s->view.held || !*slot_get(s, SLOT_TEXT_CARD_ADDRESS) || manager_running_at_port(m, port))
                        continue;
                if (manager_look_at_slot(m, port, true) < 0)
                        log_plain(LOG_WARNING, "Slot %s could not be looked at for a missed press of its button.",
                                        slot_get(s, SLOT_TEXT_NAME));
        }
}

void manager_take_scan(json_object *topology, const char *why_not, void *userdata) {
        Manager *m = userdata;
        json_object *slots = json_array(topology, "slots");

        if (!slots) {
                log_plain(LOG_ERR, "The machine could not be scanned: %s. What is shown of the slots may be out of date.",
                                why_not ?: "the scan has no slots in it");
                for (size_t i = 0; i < m->n_slots; i++)
                        manager_show_slot(m->slots[i], NULL, true);
                return;
        }

        tell_disks_lost(m, json_array(m->topology, "vanished"), json_array(topology, "vanished"));
        json_object_put(m->topology);
        m->topology = json_ref(topology);
        m->looked_usec = now_wall();
        for (size_t i = 0; i < m->n_slots; i++)
                m->slots[i]->seen = false;
        for (size_t i = 0; i < json_len(slots); i++) {
                int r = take_entry(m, json_at(slots, i));
                if (r < 0)
                        log_plain(LOG_ERR, "A slot found by the scan cannot be shown: %s", strerror(-r));
        }
        drop_unseen(m);
        manager_consider_restoring(m);
        manager_consider_stays(m);
        if (m->look_for_presses)
                look_for_presses(m);
}

static void on_started(Removal *r, void *userdata) {
        for (size_t i = 0; i < removal_n_slots(r); i++) {
                ManagedSlot *slot = manager_slot_of_removal(userdata, r, i);
                if (!slot)
                        continue;
                slot->outcome = _OUTCOME_INVALID;
                slot->withdrawn = false; /* its lights are this one's now */
                manager_refresh_slot(slot);
        }
}

/* A worker's `led`. */
static void on_told(Removal *r, json_object *event, void *userdata) {
        const char *name = json_str(event, "slot");

        if (!streq_ptr(json_str(event, "type"), "led"))
                return;
        ManagedSlot *s = name ? manager_slot_named(userdata, name, json_str(event, "port")) : manager_slot_of_removal(userdata, r, 0);
        if (s)
                manager_show_leds(s, json_str(event, "power"), json_str(event, "attention"));
}

/* What a daemon finds on record may have ended before its first look: the slot has it when it is seen. */
static void recall_ended(Manager *m, const Removal *r, const char *slot) {
        if (!slot || !m->recalled)
                return;
        json_set_str(m->recalled, slot, r->kind == KIND_REMOVE ? outcome_to_string(r->outcome) : "");
        json_set(m->recalled_last, slot, last_new(r->id, outcome_to_string(r->outcome), r->code));
}

static void on_ended(Removal *r, void *userdata) {
        Manager *m = userdata;

        for (size_t i = 0; i < removal_n_slots(r); i++) {
                ManagedSlot *slot = manager_slot_of_removal(m, r, i);
                if (slot) {
                        slot->outcome = r->kind == KIND_REMOVE ? r->outcome : _OUTCOME_INVALID;
                        json_object_put(slot->last);
                        slot->last = last_new(r->id, outcome_to_string(r->outcome), r->code);
                } else
                        recall_ended(m, r, removal_slot(r, i));
                manager_refresh_slot(slot);
        }
        manager_stays_changed(m);
        scanner_distrust(m->scanner);
        manager_rescan(m);
}

const RemovalListener slots_listener = {
        .started = on_started,
        .told = on_told,
        .ended = on_ended,
};
