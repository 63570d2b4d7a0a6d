/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "incidents.h"

#define LOOK_USEC (100 * USEC_PER_SEC)           /* a card that the kernel resets is waited for */
#define ACT_USEC (200 * USEC_PER_SEC)
#define AGAIN_USEC USEC_PER_SEC          /* after a worker that did not answer; twice as long each time */
#define AGAIN_MAX_USEC (64 * USEC_PER_SEC)

enum {
        TRIES_MAX = 14,        /* for a quarter of an hour */
};

#define CARD_GONE "card-gone"  /* the cause, the code of a removal's end, and the event */

/* A port of which a worker is asked. There is one for each: what is said of it meanwhile is asked about afterwards, once. */
struct Incident {
        Manager *manager;
        char *port, *cause, *text;
        char *removal;         /* that the card was pulled in the middle of; or NULL */
        bool acts, late;       /* late: what the card had may be another one's by now */
        char *again;           /* what was said since, which the worker may not have seen: the cause; or NULL */
        Question *question;
        unsigned tries;        /* without an answer */
        uint64_t delay;        /* before the next one */
        sd_event_source *timer;
        bool told;             /* as gone, without an answer */
        Incident *next;
};

static void incident_free(Incident *i) {
        question_free(i->question);
        sd_event_source_disable_unref(i->timer);
        free(i->port);
        free(i->cause);
        free(i->text);
        free(i->removal);
        free(i->again);
        free(i);
}

DEFINE_CLEANUP_FUNC(Incident, incident_free)

void manager_free_incidents(Manager *m) {
        while (m->incidents) {
                Incident *i = m->incidents;

                m->incidents = i->next;
                incident_free(i);
        }
}

static void incident_forget(Incident *forgotten) {
        Incident **i = &forgotten->manager->incidents;

        while (*i != forgotten)
                i = &(*i)->next;
        *i = forgotten->next;
        incident_free(forgotten);
}

/* Also before the worker that goes on has said so. Not when a self-test gives the slots their power back. */
static bool may_go(const Removal *r) {
        if (streq_ptr(r->step, step_type_to_string(STEP_POWER_ON)))
                return false;
        return r->state == REMOVAL_FINISHING || (r->finishing && r->state != REMOVAL_RESTORING);
}

static bool is_heard(const char *cause) {
        return streq(cause, CARD_GONE) || streq(cause, "card-doubted");
}

/* After the power-off a card may be pulled. Whether a slot that is safe has a card is what the next scan will tell. */
static bool is_expected(Manager *m, const char *port, const char *cause) {
        const ManagedSlot *s = manager_slot_at_port(m, port);
        const Removal *running = manager_running_holding(m, port);

        if (!is_heard(cause))
                return running;
        return running ? may_go(running) : s && s->outcome == OUTCOME_SAFE;
}

/* Other cards than memory (an NVMe drive, say) may be pulled at any time: what of one is still in use is found by the look. Asked when somebody says so, and never again: of
 * a card that is gone the next look finds no memory device, and nothing would be told of it. */
static bool is_none(Manager *m, const char *port, const char *cause) {
        const ManagedSlot *s = manager_slot_at_port(m, port);

        return is_expected(m, port, cause) ||
               (is_heard(cause) && s && !manager_running_holding(m, port) && !*slot_get(s, SLOT_TEXT_MEMDEV));
}

/* Once for each removal: the kernel says it again when it gets the slot back. */
static bool is_told(ManagedSlot *s, const char *removal) {
        if (s && removal && streq_ptr(s->gone_told, removal))
                return true;
        if (s && removal) {
                free(s->gone_told);
                s->gone_told = strdup(removal);
        }
        return false;
}

static void tell_gone(Manager *m, const char *port, const char *removal) {
        Removal *running = manager_running_holding(m, port);

        if (is_told(manager_slot_at_port(m, port), removal))
                return;
        manager_log_about(m, LOG_CRIT, LOG_MESSAGE_CARD_GONE, port, "the card was pulled without being safe to pull");
        manager_tell_about(m, CARD_GONE, port, NULL);
        if (running)
                (void) removal_cancel(running, CARD_GONE);
}

/* What was found and done, and what is to be done next, in the journal and to whoever listens. */
static void tell_incident(Manager *m, const char *port, json_object *answer) {
        static const char *const told[] = { "lost", "done", "left", "next" };
        const char *id = json_str(answer, "id"), *message = json_str(answer, "message"), *unrecorded = json_str(answer, "unrecorded");
        _cleanup_json_ json_object *event = manager_event_about(m, "incident", port, message);
        _cleanup_free_ char *next = json_joined(json_array(answer, "next"), NULL, "; "), *lost = json_joined(json_array(answer, "lost"), NULL, "; ");
        _cleanup_free_ char *what = strf("incident %s: %s. Next: %s.%s%s%s%s", id ?: "(not on record)", message ?: "a card is gone", next ?: "?",
                                         lost && *lost ? " Lost: " : "", lost ?: "", unrecorded ? " It could not be written down: " : "", unrecorded ?: "");

        manager_log_about(m, LOG_CRIT, LOG_MESSAGE_INCIDENT, port, what ?: "a card is gone without having been removed");
        json_set_str(event, "incident", id);
        for (size_t k = 0; k < ELEMENTSOF(told); k++)
                json_set(event, told[k], json_ref(json_array(answer, told[k])));
        manager_tell(m, event);
}

/* A worker before the one that has answered got as far as that, and was not heard. */
static json_object *unheard(const char *id) {
        json_object *o = json_object_new_object(), *next = json_object_new_array();

        json_set_str(o, "id", id);
        json_set_str(o, "message", "the card is gone without having been removed; the worker that found it so and dealt with it ended before it could say what was done");
        json_append_strf(next, "safe-remove incident %s", id);
        json_set(o, "next", next);
        return o;
}

/* The kernel's words stand beside it: a card that answers may have lost more than a look at it shows. */
static void tell_false_alarm(const Incident *i) {
        _cleanup_free_ char *said = i->text ? strf(" (%s)", i->text) : NULL;
        _cleanup_free_ char *what = strf("the card may be gone, it was said%s; it was looked at, and nothing is done", said ?: "");

        manager_log_about(i->manager, LOG_NOTICE, LOG_MESSAGE_FALSE_ALARM, i->port, what ?: "the card may be gone, it was said, and is there");
}

static char *copy_of(const char *text) {
        return text ? strdup(text) : NULL;
}

/* The slot's last removal is the one in which its card was pulled, and no other card has come since. */
static bool is_of_last(const ManagedSlot *s) {
        return s->outcome == OUTCOME_STUCK && streq_ptr(json_str(s->last, "code"), CARD_GONE);
}

/* Nothing is done there while a removal is at work. */
static int aim(Incident *i) {
        const Removal *running = manager_running_holding(i->manager, i->port);
        const ManagedSlot *s = manager_slot_at_port(i->manager, i->port);
        const char *removal = running ? running->id : s && is_of_last(s) ? json_str(s->last, "id") : NULL;

        i->acts = !running;
        free(i->removal);
        i->removal = copy_of(removal);
        return removal && !i->removal ? -ENOMEM : 0;
}

static void on_answer(json_object *answer, const char *why_not, void *userdata);

static int ask(Incident *i) {
        _cleanup_json_ json_object *request = json_object_new_object();
        const ManagedSlot *s = manager_slot_at_port(i->manager, i->port);

        json_set_str(request, "port", i->port);
        json_set_str(request, "slot", s ? slot_get(s, SLOT_TEXT_NAME) : NULL);
        json_set_str(request, "cause", i->cause);
        json_set_str(request, "text", i->text);
        json_set_str(request, "removal", i->removal);
        json_set_bool(request, "act", i->acts);
        json_set_bool(request, "late", i->late || i->tries > 0);
        return question_ask(i->manager->event, "incident", request, i->acts ? ACT_USEC : LOOK_USEC, on_answer, i, &i->question);
}

static int on_again(sd_event_source *timer, uint64_t usec, void *userdata) {
        Incident *i = userdata;

        i->timer = sd_event_source_disable_unref(i->timer);
        if (is_expected(i->manager, i->port, i->cause)) { /* a removal has the slot now, and finds it out, or has ended well */
                incident_forget(i);
                return 0;
        }
        int r = aim(i);
        if (r >= 0)
                r = ask(i);
        if (r < 0)
                on_answer(NULL, strerror(-r), i);
        return 0;
}

/* The kernel has said it meanwhile: that counts more than what it waits with, and is not waited with. */
static void hurry(Incident *i, const char *cause, const char *text) {
        char *heard = strdup(cause);

        if (!heard)
                return;
        free(i->cause);
        free(i->text);
        i->cause = heard;
        i->text = copy_of(text);
        i->late = false;
        i->tries = 0;
        i->delay = 0;
        (void) sd_event_source_set_time_relative(i->timer, 0);
}

/* What is gone stays on nobody's record until a worker has written it down. */
static void take_silence(Incident *i, const char *why) {
        Manager *m = i->manager;
        bool last = ++i->tries >= TRIES_MAX;

        if (i->tries == 1 || last)
                log_plain(LOG_ERR, "Whether the card at %s is gone could not be looked at: %s. %s", i->port, why,
                          last ? "It is not looked at again by itself (systemctl restart safe-removed.service looks)." : "It is looked at again.");
        if (streq(i->cause, CARD_GONE) && !i->told && !is_expected(m, i->port, i->cause)) { /* the kernel's own word counts, where it says so outright */
                i->told = true;
                tell_gone(m, i->port, i->removal);
        }
        free(TAKE_PTR(i->again)); /* the next worker sees that too */
        i->delay = i->delay == 0 ? AGAIN_USEC : i->delay < AGAIN_MAX_USEC ? i->delay * 2 : AGAIN_MAX_USEC;
        if (last || sd_event_add_time_relative(m->event, &i->timer, CLOCK_MONOTONIC, i->delay, USEC_PER_MSEC, on_again, i) < 0)
                incident_forget(i);
        manager_rescan(m);
}

static void doubt(Manager *m, const char *port, const char *cause, const char *text, bool late);

static void take_verdict(Incident *i, json_object *answer, bool believed) {
        _cleanup_free_ char *port = strdup(i->port), *again = TAKE_PTR(i->again);
        const char *known = json_str(answer, "again");
        bool heard = is_heard(i->cause), acted = i->acts && believed && json_str(answer, "message"), over = i->acts && believed;
        Manager *m = i->manager;

        if (!believed && heard)
                tell_false_alarm(i);
        if (believed && heard && !known && !i->told && !is_expected(m, i->port, i->cause))
                tell_gone(m, i->port, i->removal);
        if (acted)
                tell_incident(m, i->port, answer);
        else if (over && known && i->tries > 0) {
                _cleanup_json_ json_object *o = unheard(known);

                tell_incident(m, i->port, o);
        }
        incident_forget(i);
        manager_rescan(m);
        /* While a removal was at work there nothing was done. */
        if (again && port && !over && !is_expected(m, port, again))
                doubt(m, port, again, NULL, false);
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        const char *verdict = json_str(answer, "verdict");
        Incident *i = userdata;

        if (verdict) {
                take_verdict(i, answer, streq(verdict, "gone"));
                return;
        }
        Question *asked = TAKE_PTR(i->question);
        take_silence(i, json_str(answer, "message") ?: why_not ?: "the worker gave no reason");
        question_free(asked);
}

static void doubt(Manager *m, const char *port, const char *cause, const char *text, bool late) {
        for (Incident *i = m->incidents; i; i = i->next)
                if (streq(i->port, port)) {
                        if (i->timer && is_heard(cause)) {
                                hurry(i, cause, text);
                                return;
                        }
                        free(i->again);
                        i->again = strdup(cause);
                        return;
                }
        _cleanup_(incident_freep) Incident *made = calloc(1, sizeof(*made));
        if (!made)
                return;
        *made = (Incident) { .manager = m, .port = strdup(port), .cause = strdup(cause), .text = copy_of(text), .late = late, .next = m->incidents };
        if (!made->port || !made->cause || aim(made) < 0)
                return;
        Incident *i = m->incidents = TAKE_PTR(made);
        int r = ask(i);
        if (r < 0)
                on_answer(NULL, strerror(-r), i);
}

void manager_doubt_card(Manager *m, const char *port, const char *cause, const char *text) {
        if (!is_none(m, port, cause))
                doubt(m, port, cause, text, false);
}

void manager_recall_incident(Manager *m, const ManagedSlot *s) {
        if (is_of_last(s) && *slot_get(s, SLOT_TEXT_PORT) && !is_none(m, slot_get(s, SLOT_TEXT_PORT), "removal"))
                doubt(m, slot_get(s, SLOT_TEXT_PORT), "removal", "its removal has ended so, and the service was started after that", true);
}

/* The card was pulled in the middle of it: now that nobody else is at work there. */
static void on_ended(Removal *r, void *userdata) {
        for (size_t i = 0; i < removal_n_slots(r); i++)
                if (streq_ptr(r->code, CARD_GONE) && removal_port(r, i))
                        manager_doubt_card(userdata, removal_port(r, i), "removal", r->message);
}

const RemovalListener incidents_listener = {
        .ended = on_ended,
};
