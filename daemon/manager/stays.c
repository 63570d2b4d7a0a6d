/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "stays.h"

#define LOOK_USEC (60 * USEC_PER_SEC)
#define PAUSE_USEC (5 * USEC_PER_SEC)

static json_object *findings_of(json_object *slots, const ManagedSlot *s) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        json_object *entry = *port ? json_find(slots, "port", port) : json_find(slots, "name", slot_get(s, SLOT_TEXT_NAME));

        return json_array(entry, "findings");
}

/* "what; what", and of the first one what to do. */
static void tell(Manager *m, const ManagedSlot *s, json_object *findings) {
        _cleanup_free_ char *remedy = json_joined(json_array(json_at(findings, 0), "remedy"), NULL, "; or: ");
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        LogSubject subject = { .slot = slot_get(s, SLOT_TEXT_NAME), .port = *port ? port : NULL, .serial = slot_get(s, SLOT_TEXT_SERIAL) };
        _cleanup_json_ json_object *event = manager_event_about(m, "memory-stays", *port ? port : NULL, slot_get(s, SLOT_TEXT_STAYS));
        json_object *codes = json_object_new_array();

        log_write(LOG_WARNING, LOG_MESSAGE_STAYS, &subject, "The memory of the card in slot %s will not leave again: %s.%s%s", subject.slot,
                  slot_get(s, SLOT_TEXT_STAYS), remedy && *remedy ? " What to do: " : "", remedy ?: "");
        for (size_t i = 0; i < json_len(findings); i++)
                json_append_str(codes, json_str(json_at(findings, i), "code"));
        json_set_str(event, "slot", subject.slot);
        json_set(event, "codes", codes);
        json_set(event, "remedy", json_ref(json_array(json_at(findings, 0), "remedy")));
        manager_tell(m, event);
}

static void take(Manager *m, ManagedSlot *s, json_object *findings) {
        _cleanup_free_ char *words = json_joined(findings, "what", "; ");

        if (!words || streq(words, slot_get(s, SLOT_TEXT_STAYS)) || manager_running_at_slot(m, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT)))
                return;
        manager_show_stays(s, words);
        if (*words)
                tell(m, s, findings);
}

/* By OnlineMovable=. */
static void tell_online(json_object *online) {
        uint64_t n = json_u64(online, "blocks"), failed = json_u64(online, "failed");

        if (n > 0)
                log_plain(LOG_NOTICE, "%" PRIu64 " memory block%s of cards that have come %s online in zone Movable (OnlineMovable=yes).", n, n == 1 ? "" : "s",
                          n == 1 ? "is" : "are");
        if (failed > 0)
                log_plain(LOG_WARNING, "%" PRIu64 " memory block%s of cards that have come could not be brought online (OnlineMovable=yes): %s.", failed,
                          failed == 1 ? "" : "s", json_str(online, "why") ?: "?");
}

static int on_pause_over(sd_event_source *timer, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        m->stays_pause = sd_event_source_disable_unref(m->stays_pause);
        manager_consider_stays(m);
        return 0;
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        json_object *slots = json_array(answer, "slots");
        Manager *m = userdata;

        if (!slots)
                log_plain(LOG_WARNING, "Whether the memory of the cards will ever leave could not be looked at: %s",
                          json_str(answer, "message") ?: why_not ?: "?");
        tell_online(json_get(answer, "online"));
        /* What a removal does meanwhile to the memory of its card is told by itself. */
        for (size_t i = 0; slots && i < m->n_slots; i++)
                take(m, m->slots[i], findings_of(slots, m->slots[i]));
        question_free(TAKE_PTR(m->stays));
        int r = sd_event_add_time_relative(m->event, &m->stays_pause, CLOCK_MONOTONIC, PAUSE_USEC, 0, on_pause_over, m);
        if (r < 0)
                log_plain(LOG_WARNING, "Whether the memory of the cards will ever leave is not looked at again: %s", strerror(-r));
}

void manager_stays_changed(Manager *m) {
        m->stays_due = true;
}

void manager_consider_stays(Manager *m) {
        _cleanup_json_ json_object *request = json_object_new_object();
        bool any = false;

        for (size_t i = 0; i < m->n_slots; i++)
                any = any || *slot_get(m->slots[i], SLOT_TEXT_MEMDEV) || *slot_get(m->slots[i], SLOT_TEXT_STAYS);
        if (!m->stays_due || !any || m->stays || m->stays_pause || manager_any_running(m))
                return;
        json_set_bool(request, "arrived", m->stays_arrived);
        m->stays_due = m->stays_arrived = false;
        int r = question_ask(m->event, "stays", request, LOOK_USEC, on_answer, m, &m->stays);
        if (r < 0)
                on_answer(NULL, strerror(-r), m);
}

void manager_free_stays(Manager *m) {
        question_free(m->stays);
        sd_event_source_disable_unref(m->stays_pause);
}
