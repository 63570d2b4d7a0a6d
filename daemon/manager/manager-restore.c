/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restoring unasked (Restore=auto): a worker is asked which of the cards that have come get back what their removal took down. */
#include "base/clock.h"
#include "daemon/caller/question.h"
#include "manager.h"

#define ASK_USEC (60 * USEC_PER_SEC)

static void start(Manager *m, const ManagedSlot *s) {
        _cleanup_json_ json_object *by = json_object_new_object();
        const RemovalRequest request = {
                .kind = KIND_RESTORE, .trigger = TRIGGER_INSERT, .target = slot_get(s, SLOT_TEXT_NAME), .by = by,
        };

        json_set_u64(by, "uid", 0);
        json_set_u64(by, "pid", 0);
        json_set_str(by, "comm", "safe-removed");
        int r = manager_remove(m, request, NULL);
        if (r < 0)
                log_plain(LOG_ERR, "The restoration of slot %s cannot be started: %s", request.target, strerror(-r));
}

/* What is in the slot, NULL when nothing is that could be restored. */
static char *card_of(const ManagedSlot *s) {
        const char *address = slot_get(s, SLOT_TEXT_CARD_ADDRESS), *serial = slot_get(s, SLOT_TEXT_SERIAL);

        return *address ? strf("%s %s %s", address, slot_get(s, SLOT_TEXT_MEMDEV), serial) : NULL;
}

/* May be NULL: it is known, or nothing is to be done about it. */
static json_object *new_card(Manager *m, ManagedSlot *s) {
        const char *name = slot_get(s, SLOT_TEXT_NAME);
        _cleanup_free_ char *card = card_of(s);

        if (manager_running_at_slot(m, name, slot_get(s, SLOT_TEXT_PORT)) || streq_ptr(card, s->considered))
                return NULL;
        free(s->considered);
        s->considered = TAKE_PTR(card);
        if (!s->considered)
                return NULL;
        json_object *o = json_object_new_object();
        json_set_str(o, "slot", name);
        json_set_str(o, "memdev", slot_get(s, SLOT_TEXT_MEMDEV));
        json_set_str(o, "serial", slot_get(s, SLOT_TEXT_SERIAL));
        return o;
}

/* It may have gone, or have been removed, since it was asked about: one that was and still sits in its slot has not come back. */
static void start_at(Manager *m, const char *name) {
        const ManagedSlot *s = name ? manager_slot(m, name) : NULL;
        _cleanup_free_ char *card = s ? card_of(s) : NULL;
        const Removal *last = s ? manager_removal_of_slot(m, name, slot_get(s, SLOT_TEXT_PORT)) : NULL;

        if (card && streq_ptr(card, s->considered) && (!last || (!removal_runs(last) && last->number <= m->came_back_number)))
                start(m, s);
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;
        json_object *restore = json_array(answer, "restore");

        if (!answer)
                log_plain(LOG_WARNING, "Whether a card has come back cannot be found out: %s", why_not);
        for (size_t i = 0; i < json_len(restore); i++)
                start_at(m, json_object_get_string(json_at(restore, i)));
        question_free(TAKE_PTR(m->came_back));
        manager_consider_restoring(m); /* what has come meanwhile */
}

void manager_consider_restoring(Manager *m) {
        _cleanup_json_ json_object *request = json_object_new_object();
        json_object *cards = json_object_new_array();

        json_set(request, "cards", cards);
        if (m->came_back || !m->records_known)
                return;
        for (size_t i = 0; i < m->n_slots; i++) {
                json_object *card = new_card(m, m->slots[i]);
                if (card)
                        json_object_array_add(cards, card);
        }
        if (json_len(cards) == 0)
                return;
        m->came_back_number = m->last_number;
        int r = question_ask(m->event, "came-back", request, ASK_USEC, on_answer, m, &m->came_back);
        if (r < 0)
                log_plain(LOG_WARNING, "Whether a card has come back cannot be asked: %s", strerror(-r));
}
