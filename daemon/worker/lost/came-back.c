/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restoring unasked (Restore=auto): which of the cards that are new in their slots get back what their removal took down. Once for each
 * removal: what counts is the newest record of the card, or else of the slot, so that a daemon that was away neither misses a card
 * nor tries one twice. */
#include "base/clock.h"
#include "daemon/worker/history.h"
#include "daemon/worker/verbs.h"
#include "engine/engine.h"
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

        return boot_id_read(boot) >= 0 && streq_ptr(json_str(entry, "boot"), boot) && streq_ptr(json_str(entry, "kind"), "remove") &&
               (outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED);
}

/* A card's driver comes a moment after the card. */
static bool is_ready(json_object *now, json_object *entry) {
        json_object *card = json_get(entry, "card");

        return (!json_str(card, "memdev") || *(json_str(now, "memdev") ?: "")) && (!json_str(card, "serial") || *(json_str(now, "serial") ?: ""));
}

int worker_came_back(WorkerIo *io, json_object *request) {
        json_object *cards = json_array(request, "cards"), *restore = json_object_new_array(), *o = json_object_new_object();
        _cleanup_json_ json_object *history = NULL;

        json_set_str(o, "type", "came-back");
        json_set(o, "restore", restore);
        if (wanted_by_policy() && history_load(RECORDS_MAX, &history) >= 0)
                for (size_t i = 0; i < json_len(cards); i++) {
                        json_object *card = json_at(cards, i);
                        const char *slot = json_str(card, "slot") ?: "";
                        json_object *entry = newest_record(json_array(history, "removals"), json_str(card, "serial") ?: "", slot);

                        if (entry && is_finished_removal(entry) && is_ready(card, entry))
                                json_append_str(restore, slot);
                }
        worker_send(io, o);
        return 0;
}
