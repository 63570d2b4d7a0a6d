/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restoring unasked (Restore=auto): a card that has come back gets back what its removal took down. Once for each removal: what
 * counts is the newest record of the card, or else of the slot, so that a daemon that was away neither misses a card nor
 * tries one twice. */
#include "base/clock.h"
#include "history.h"
#include "manager.h"
#include "plan/policy.h"

enum {
        RECORDS_MAX = 200,     /* how far back a card is looked for */
};

static bool wanted_by_policy(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };

        return policy_load(&policy, warnings) >= 0 && policy.restore_auto;
}

/* It was removed alone, or with others in one request. */
static bool is_of_card(json_object *card, const char *serial) {
        json_object *endpoints = json_array(card, "endpoints");
        bool found = streq_ptr(json_str(card, "serial"), serial);

        for (size_t i = 0; i < json_len(endpoints) && !found; i++)
                found = json_str(json_at(endpoints, i), "slot") && streq_ptr(json_str(json_at(endpoints, i), "serial"), serial);
        return found;
}

/* The newest record of this card; of the slot, where the card has none. */
static json_object *newest_record(json_object *entries, const char *serial, const char *slot) {
        json_object *of_slot = NULL;

        for (size_t i = 0; i < json_len(entries); i++) {
                json_object *entry = json_at(entries, i);

                if (*serial && is_of_card(json_get(entry, "card"), serial))
                        return entry;
                if (!of_slot && streq_ptr(json_str(entry, "slot"), slot))
                        of_slot = entry;
        }
        return of_slot;
}

/* Behind a reboot it is for what the machine does at boot to decide what is used. */
static bool is_finished_removal(json_object *entry) {
        int outcome = outcome_from_string(json_str(entry, "outcome"));
        char boot[33];

        return boot_id_read(boot) >= 0 && streq_ptr(json_str(entry, "boot"), boot) &&
               streq_ptr(json_str(entry, "kind"), removal_kind_to_string(KIND_REMOVE)) &&
               (outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED);
}

/* A card's driver comes a moment after the card. */
static bool is_ready(const ManagedSlot *s, json_object *entry) {
        json_object *card = json_get(entry, "card");

        return (!json_str(card, "memdev") || *slot_get(s, SLOT_TEXT_MEMDEV)) &&
               (!json_str(card, "serial") || *slot_get(s, SLOT_TEXT_SERIAL));
}

static void start(Manager *m, const ManagedSlot *s) {
        _cleanup_json_ json_object *by = json_object_new_object();
        const RemovalRequest request = {
                .kind = KIND_RESTORE, .trigger = TRIGGER_INSERT, .target = slot_get(s, SLOT_TEXT_NAME), .by = by,
        };

        json_set_u64(by, "uid", 0);
        json_set_u64(by, "pid", 0);
        json_set_str(by, "comm", trigger_to_string(TRIGGER_INSERT));
        int r = manager_remove(m, request, NULL);
        if (r < 0)
                log_plain(LOG_ERR, "The restoration of slot %s cannot be started: %s", request.target, strerror(-r));
}

/* What is in the slot, NULL when nothing is that could be restored. */
static char *card_of(const ManagedSlot *s) {
        const char *address = slot_get(s, SLOT_TEXT_CARD_ADDRESS), *serial = slot_get(s, SLOT_TEXT_SERIAL);

        return *address ? strf("%s %s %s", address, slot_get(s, SLOT_TEXT_MEMDEV), serial) : NULL;
}

static void consider(Manager *m, ManagedSlot *s) {
        const char *name = slot_get(s, SLOT_TEXT_NAME), *port = slot_get(s, SLOT_TEXT_PORT);
        _cleanup_json_ json_object *history = NULL;
        _cleanup_free_ char *card = card_of(s);

        if (manager_running_at_slot(m, name, port) || streq_ptr(card, s->considered))
                return;
        free(s->considered);
        s->considered = TAKE_PTR(card);
        if (!s->considered || !wanted_by_policy() || history_load(RECORDS_MAX, &history) < 0)
                return;

        json_object *entry = newest_record(json_array(history, "removals"), slot_get(s, SLOT_TEXT_SERIAL), name);
        if (entry && is_finished_removal(entry) && is_ready(s, entry))
                start(m, s);
}

void manager_consider_restoring(Manager *m) {
        for (size_t i = 0; i < m->n_slots; i++)
                consider(m, m->slots[i]);
}
