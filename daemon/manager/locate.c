/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "light.h"

static char *objection(const char *code, const char **ret_code, char *text) {
        *ret_code = text ? code : "internal";
        return text ?: strdup(strerror(ENOMEM));
}

char *manager_locate_objection(Manager *m, const ManagedSlot *s, const char **ret_code) {
        static const struct {
                SlotState state;
                const char *why;
        } taken[] = {
                { SLOT_LOST, "its attention LED says that a card was pulled and is not all gone" },
                { SLOT_WITHDRAWN, "its attention LED says that the card is not safe to pull any more" },
                { SLOT_STUCK, "its attention LED says that a removal is stuck" },
                { SLOT_UNKNOWN, "whether a removal of its card has ended is not known" },
        };
        const char *name = slot_get(s, SLOT_TEXT_NAME), *port = slot_get(s, SLOT_TEXT_PORT), *attention = slot_get(s, SLOT_TEXT_ATTENTION_LED);
        SlotState state = slot_state_from_string(slot_get(s, SLOT_TEXT_STATE));
        const Removal *running = manager_running_holding(m, port);

        if (!*port || streq(attention, "none"))
                return objection("no-light", ret_code, strf("Slot %s has no attention LED that is safe-remove's to set.", name));
        if (running)
                return objection("busy", ret_code, strf("Slot %s: %s %s is at work there, and its lights are that one's.", name,
                                                        running->kind == KIND_RESTORE ? "restoration" : "removal", running->id));
        if (s->view.held || manager_enquiry_at_port(m, port))
                return objection("busy", ret_code, strf("Slot %s is held: somebody is at work there, and its lights are his.", name));
        for (size_t i = 0; i < ELEMENTSOF(taken); i++)
                if (state == taken[i].state)
                        return objection("no-light", ret_code, strf("Slot %s: %s, and must not say anything else.", name, taken[i].why));
        if (streq(attention, "on"))
                return objection("no-light", ret_code, strf("Slot %s: its attention LED is on, which says that something is wrong there, and must not "
                                                            "say anything else.", name));
        return NULL;
}

static void tell(Manager *m, const char *port, const char *text) {
        manager_tell_about(m, "locate", port, text);
}

static void tell_over(Manager *m, const char *port) {
        tell(m, port, "its attention LED does not blink for that any more");
}

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        ManagedSlot *s = userdata;
        Manager *m = s->manager;

        slot_not_located(s);
        if (light_locate(m, s, 0, NULL, NULL) == -ENOMEM)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be set as it was before it blinked.", slot_get(s, SLOT_TEXT_NAME));
        manager_refresh_slot(s);
        tell_over(m, slot_get(s, SLOT_TEXT_PORT));
        return 0;
}

static void keep_time(ManagedSlot *s, uint64_t usec) {
        slot_not_located(s);
        s->located_until = now_wall() + usec;
        if (sd_event_add_time_relative(s->manager->event, &s->located_timer, CLOCK_MONOTONIC, usec, 0, on_time, s) < 0)
                (void) on_time(NULL, 0, s); /* nobody else would end it */
        manager_refresh_slot(s);
}

static void on_done(Manager *m, const char *port, uint64_t usec, const char *code, const char *why_not, void *asker) {
        ManagedSlot *s = manager_slot_at_port(m, port);
        const char *name = s ? slot_get(s, SLOT_TEXT_NAME) : "?";
        _cleanup_free_ char *text = code ? strf("Slot %s cannot be shown by its light: %s.", name, why_not) : NULL;

        if (s && !code && usec > 0) {
                _cleanup_free_ char *told = strf("its attention LED blinks for %ju s", (uintmax_t) (usec / USEC_PER_SEC));
                keep_time(s, usec);
                tell(m, port, told);
        } else if (s && !code) {
                slot_not_located(s);
                manager_refresh_slot(s);
                tell_over(m, port);
        }
        if (m->listener)
                m->listener->located(asker, s, code ?: s ? NULL : "unknown", text, m->listener_data);
}

void manager_locate(Manager *m, ManagedSlot *s, uint32_t sec, json_object *by, void *asker) {
        const char *port = slot_get(s, SLOT_TEXT_PORT), *name = slot_get(s, SLOT_TEXT_NAME);

        /* As it is wanted already; what ended it meanwhile has the light. */
        if (sec == 0 && s->located_until == 0 && !light_is_wanted(m, port)) {
                m->listener->located(asker, s, NULL, NULL, m->listener_data);
                return;
        }
        log_plain(LOG_NOTICE, "Slot %s: uid %ju (process %ju) asks %s.", name, (uintmax_t) json_u64(by, "uid"),
                  (uintmax_t) json_u64(by, "pid"), sec > 0 ? "that its attention LED blinks, so that the slot is found" : "that its attention LED blinks no more");
        int r = light_locate(m, s, sec * USEC_PER_SEC, on_done, asker);
        if (r == -EBUSY)
                on_done(m, port, 0, "busy", "its attention LED is being set for something else at this moment", asker);
        else if (r < 0)
                on_done(m, port, 0, "internal", strerror(-r), asker);
}

void manager_take_located(ManagedSlot *s, json_object *entry) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        bool on_record = json_has(entry, "located_usec");

        if (!*port || light_is_wanted(s->manager, port) || manager_running_holding(s->manager, port))
                return;
        if (on_record && s->located_until == 0)
                keep_time(s, json_u64(entry, "located_usec"));
        else if (!on_record && s->located_until > 0) {
                /* Whoever took the slot has ended it. */
                slot_not_located(s);
                manager_refresh_slot(s);
                tell_over(s->manager, port);
        }
}
