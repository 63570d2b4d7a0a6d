/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "light.h"

enum {
        LIGHT_SEC = 30,
        PAUSE_SEC = 2,
        PAUSE_SEC_MAX = 64,
        UNANSWERED_SEC_MAX = 3600, /* whose workers hang in the kernel: each leaves one more there */
};

#define BLINKS_USEC (10 * USEC_PER_SEC) /* longer than the kernel has it blink after a press, or over a card that comes up */

#define BEFORE "before" /* what the indicator showed before it blinked for somebody */
#define LIT "lit"       /* the power indicator is on over a card that has power */

/* LEDs that do not yet show what they should: attention LEDs, but for LIT. A new write may be followed by an older one that hung in the kernel; the older one
 * must not be the last. */
struct Light {
        Manager *manager;
        char *port;
        char *wanted;
        bool newer;            /* wanted since the worker that is at it began */
        bool told;             /* that it cannot be set */
        unsigned pause_sec;    /* before the next try, after one that failed; doubled each time */
        Question *question;
        sd_event_source *retry;
        uint64_t blink_usec;
        light_done_t done;     /* who waits to be told; or NULL */
        void *done_data;
        Light *next;
};

static void tell_done(Light *l, const char *code, const char *why_not) {
        light_done_t done = l->done;

        l->done = NULL;
        if (done)
                done(l->manager, l->port, l->blink_usec, code, why_not, l->done_data);
}

static void light_free(Light *l) {
        question_free(l->question);
        sd_event_source_disable_unref(l->retry);
        free(l->wanted);
        free(l->port);
        free(l);
}

DEFINE_CLEANUP_FUNC(Light, light_free)

void lights_free(Manager *m) {
        while (m->lights) {
                Light *l = m->lights;

                m->lights = l->next;
                light_free(l);
        }
}

static Light *light_of(const Manager *m, const char *port) {
        for (Light *l = m->lights; l; l = l->next)
                if (streq(l->port, port))
                        return l;
        return NULL;
}

bool light_is_wanted(const Manager *m, const char *port) {
        return light_of(m, port) != NULL;
}

static void forget(Light *forgotten) {
        Light **l = &forgotten->manager->lights;

        while (*l != forgotten)
                l = &(*l)->next;
        *l = forgotten->next;
        tell_done(forgotten, "busy", "a removal has begun there");
        light_free(forgotten);
}

void lights_call_off(Manager *m) {
        for (Light *l = m->lights; l; l = l->next)
                tell_done(l, "internal", "the service is being stopped");
}

/* A removal that began meanwhile has the lights for itself, also of a slot inside of its own, and a port that is gone has none. */
static bool is_over(const Light *l) {
        return manager_running_holding(l->manager, l->port) || !manager_slot_at_port(l->manager, l->port);
}

static bool is_fault(const ManagedSlot *s) {
        SlotState state = slot_state_from_string(slot_get(s, SLOT_TEXT_STATE));

        return state == SLOT_LOST || state == SLOT_WITHDRAWN || state == SLOT_STUCK;
}

/* That of a slot that is not stuck any more. (What else ends turns its light off.) */
static bool is_settled(const Light *l) {
        const ManagedSlot *s = manager_slot_at_port(l->manager, l->port);

        return s && streq(l->wanted, "on") && !is_fault(s);
}

static void try(Light *l);

static bool shows_the_way(const Light *l) {
        return streq(l->wanted, "blink") || streq(l->wanted, BEFORE);
}

/* As a sentence about it has them. */
static const char *indicator_of(const Light *l) {
        return streq(l->wanted, LIT) ? "power" : "attention";
}

static const char *word_of(const Light *l) {
        return streq(l->wanted, LIT) ? "on" : l->wanted;
}

static int want(Light *l, const char *attention) {
        char *wanted = strdup(attention);
        if (!wanted)
                return -ENOMEM;
        free(l->wanted);
        l->wanted = wanted;
        l->pause_sec = PAUSE_SEC;
        return 0;
}

/* It may have been turned on after the end of what it was for. */
static void turn_off(Light *l) {
        if (want(l, "off") < 0)
                forget(l);
        else
                try(l);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Light *l = userdata;

        (void) source;
        (void) usec;
        l->retry = sd_event_source_disable_unref(l->retry);
        if (is_over(l))
                forget(l);
        else if (is_settled(l))
                turn_off(l);
        else
                try(l);
        return 0;
}

/* `why_not` is NULL where it shows what is wanted, and may not go on to. */
static void try_later(Light *l, const char *why_not, unsigned max_sec) {
        const ManagedSlot *s = manager_slot_at_port(l->manager, l->port);

        if (why_not && !l->told)
                log_plain(LOG_ERR, "The %s LED of slot %s cannot be set to %s: %s. It is tried again.", indicator_of(l),
                                s ? slot_get(s, SLOT_TEXT_NAME) : "?", word_of(l), why_not);
        l->told = l->told || why_not;
        if (is_over(l) || sd_event_add_time_relative(l->manager->event, &l->retry, CLOCK_MONOTONIC, l->pause_sec * USEC_PER_SEC, 0, on_retry, l) < 0) {
                forget(l);
                return;
        }
        l->pause_sec = 2 * l->pause_sec < max_sec ? 2 * l->pause_sec : max_sec;
}

/* NULL: the light is as it was asked for, by what the slot's registers say. A slot that has none says nothing. What it showed before the worker alone knows,
 * who has read it back. */
static const char *trouble(json_object *answer, const char *why_not, const char *asked) {
        const char *shown = streq(asked, BEFORE) || streq(asked, LIT) ? NULL : json_str(answer, "attention");

        if (!answer)
                return why_not;
        if (streq_ptr(json_str(answer, "type"), "error"))
                return json_str(answer, "message") ?: "the worker gave no reason";
        if (streq(asked, LIT))
                return json_flag(answer, "dark") ? "it was written, and the power LED is off over a card that has power" : NULL;
        return shown && !streq(shown, asked) ? "it was written, and the slot shows another one" : NULL;
}

/* What shows somebody the way is not tried again: he is told. Half of it may have been done all the same. */
static bool is_blink_over(Light *l, const char *code, const char *why) {
        if (!l->done && !streq(l->wanted, "blink"))
                return false;
        bool blink = streq(l->wanted, "blink");

        tell_done(l, why ? code : NULL, why);
        if (!blink)
                return false;
        if (why && want(l, BEFORE) >= 0)
                try(l);
        else
                forget(l);
        return true;
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        Light *l = userdata;
        ManagedSlot *s = manager_slot_at_port(l->manager, l->port);
        const char *why = l->newer ? NULL : trouble(answer, why_not, l->wanted);
        _cleanup_free_ char *failed = why ? strdup(why) : NULL, *code = why ? strdup(json_str(answer, "code") ?: "internal") : NULL;
        bool writing = json_flag(answer, "writing");
        unsigned max_sec = answer ? PAUSE_SEC_MAX : UNANSWERED_SEC_MAX;

        if (s && answer && !streq_ptr(json_str(answer, "type"), "error")) {
                scanner_distrust(l->manager->scanner); /* it may have read the indicator before it was set */
                manager_show_leds(s, json_str(answer, "power"), json_str(answer, "attention"));
        }
        question_free(TAKE_PTR(l->question));
        if (l->newer)
                try(l);
        else if (is_blink_over(l, code ?: "internal", why ? failed ?: "?" : NULL))
                return;
        else if (why)
                try_later(l, failed ?: "?", max_sec);
        else if (writing)
                try_later(l, NULL, max_sec); /* whoever hangs in the kernel would have the last word */
        else if (is_settled(l))
                turn_off(l);
        else {
                if (l->told)
                        log_plain(LOG_NOTICE, "The %s LED of slot %s is %s now.", indicator_of(l), s ? slot_get(s, SLOT_TEXT_NAME) : "?", word_of(l));
                forget(l);
        }
}

static void try(Light *l) {
        _cleanup_json_ json_object *request = json_object_new_object();

        l->newer = false;
        json_set_str(request, "port", l->port);
        json_set_str(request, "attention", l->wanted);
        if (streq(l->wanted, "blink"))
                json_set_u64(request, "usec", l->blink_usec);
        int r = question_ask(l->manager->event, "light", request, LIGHT_SEC * USEC_PER_SEC, on_answer, l, &l->question);
        if (r < 0 && !is_blink_over(l, "internal", strerror(-r)))
                try_later(l, strerror(-r), PAUSE_SEC_MAX);
}

static int light_new(Manager *m, const char *port, Light **ret) {
        _cleanup_(light_freep) Light *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->manager = m;
        l->port = strdup(port);
        if (!l->port)
                return -ENOMEM;
        l->next = m->lights;
        *ret = m->lights = TAKE_PTR(l);
        return 0;
}

/* Two workers at once could write in either order: the second one begins when the first has ended. */
static void begin(Light *l) {
        l->retry = sd_event_source_disable_unref(l->retry);
        if (l->question)
                l->newer = true;
        else
                try(l);
}

int light_attention(Manager *m, ManagedSlot *s, const char *attention) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        Light *l = light_of(m, port);

        int r = l ? 0 : light_new(m, port, &l);
        if (r >= 0)
                r = want(l, attention);
        if (r < 0)
                return r;
        slot_not_located(s);
        tell_done(l, "no-light", "its attention LED has to say something else since");
        begin(l);
        return 0;
}

int light_locate(Manager *m, ManagedSlot *s, uint64_t usec, light_done_t done, void *userdata) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        Light *l = light_of(m, port);

        /* What else is wanted of it is not forgotten for that. */
        if (l && (l->done || !shows_the_way(l)))
                return -EBUSY;
        int r = l ? 0 : light_new(m, port, &l);
        if (r >= 0)
                r = want(l, usec > 0 ? "blink" : BEFORE);
        if (r < 0)
                return r;
        l->blink_usec = usec;
        l->done = done;
        l->done_data = userdata;
        begin(l);
        return 0;
}

/* One that blinks shows somebody the way to it, by an administrator's word. (What blinks by ours ends where a fault begins.) Of a slot that is stuck it is enough that it does not say "safe to pull": the kernel has the lights of a card that comes up. One without an
 * attention LED says it by its power LED. */
static bool is_untrue(const ManagedSlot *s) {
        const char *power = slot_get(s, SLOT_TEXT_POWER_LED), *attention = slot_get(s, SLOT_TEXT_ATTENTION_LED);
        bool ours = s->located_until > 0, shown = streq(attention, "on") || (streq(attention, "blink") && !ours);
        bool dark = !streq(power, "on") && !streq(power, "blink"), stuck = streq(slot_get(s, SLOT_TEXT_STATE), slot_state_to_string(SLOT_STUCK));

        if (streq(attention, "none"))
                return streq(power, "off");
        return !shown && (dark || !stuck);
}

/* It reads as one that is safe to pull, and its card has power: a reset of the machine turned the light off, or somebody has. The kernel sets it only when it
 * switches the power. */
static bool is_dark(const ManagedSlot *s) {
        SlotState state = slot_state_from_string(slot_get(s, SLOT_TEXT_STATE));

        return (state == SLOT_READY || state == SLOT_REFUSED || state == SLOT_UNKNOWN) && *slot_get(s, SLOT_TEXT_CARD_ADDRESS) && s->view.occupied && !s->view.held &&
               streq(slot_get(s, SLOT_TEXT_POWER), "on") && streq(slot_get(s, SLOT_TEXT_POWER_LED), "off") && !streq(slot_get(s, SLOT_TEXT_ATTENTION_LED), "on");
}

/* It blinks as if somebody were at work there, and nobody is: a removal that the machine's end has interrupted has left it so, or somebody has set it. (A reset
 * of the machine need not reset its ports.) The kernel's own blinking is over in time. */
static bool is_left_blinking(ManagedSlot *s) {
        SlotState state = slot_state_from_string(slot_get(s, SLOT_TEXT_STATE));
        bool blinks = (state == SLOT_READY || state == SLOT_REFUSED || state == SLOT_UNKNOWN) && *slot_get(s, SLOT_TEXT_CARD_ADDRESS) && s->view.occupied &&
                      !s->view.held && streq(slot_get(s, SLOT_TEXT_POWER), "on") && streq(slot_get(s, SLOT_TEXT_POWER_LED), "blink");
        uint64_t now = now_monotonic();

        s->blinks_since = !blinks ? 0 : s->blinks_since ?: now;
        if (!blinks)
                return false;
        if (now - s->blinks_since >= BLINKS_USEC) {
                s->blinks_since = now; /* not with each look, where somebody sets it again */
                return true;
        }
        if (scanner_want_within(s->manager->scanner, s->blinks_since + BLINKS_USEC - now) < 0)
                log_plain(LOG_ERR, "Slot %s cannot be looked at again, whose power LED blinks.", slot_get(s, SLOT_TEXT_NAME));
        return false;
}

static int light_up(Manager *m, ManagedSlot *s, const char *why) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        Light *l = NULL;

        int r = light_new(m, port, &l);
        if (r >= 0)
                r = want(l, LIT);
        if (r < 0)
                return r;
        log_plain(LOG_NOTICE, "The card in slot %s has power under %s: the LED is turned on.", slot_get(s, SLOT_TEXT_NAME), why);
        begin(l);
        return 0;
}

int light_assert(Manager *m, ManagedSlot *s) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);

        if (!*port || light_of(m, port))
                return 0;
        if (is_fault(s) && is_untrue(s))
                return light_attention(m, s, "on");
        if (manager_running_holding(m, port) || manager_enquiry_at_port(m, port)) {
                s->blinks_since = 0;
                return 0;
        }
        if (is_left_blinking(s))
                return light_up(m, s, "a power LED that blinks, and nobody is at work there");
        return is_dark(s) ? light_up(m, s, "a dark power LED, which reads as safe to pull") : 0;
}

int light_steady(Manager *m, const char *port) {
        ManagedSlot *s = manager_slot_at_port(m, port);

        return !s || light_of(m, port) || manager_running_holding(m, port) ? 0 : light_up(m, s, "a power LED that a write has set which nobody waits for any more");
}

int light_as_before(Manager *m, const char *port, const char *attention) {
        ManagedSlot *s = manager_slot_at_port(m, port);

        /* Whoever wants something else of it has the last word. */
        return !s || light_of(m, port) || manager_running_holding(m, port) || is_fault(s) || s->located_until > 0 ? 0 : light_attention(m, s, attention);
}

/* A removal begins at the slot, and the lights are its own: whoever is at one is ended. */
static void on_started(Removal *r, void *userdata) {
        for (size_t i = 0; i < removal_n_slots(r); i++) {
                ManagedSlot *slot = manager_slot_of_removal(userdata, r, i);
                Light *l = slot ? light_of(userdata, slot_get(slot, SLOT_TEXT_PORT)) : NULL;

                if (!slot)
                        continue;
                slot->light_back = slot->light_back || slot->located_until > 0 || (l && shows_the_way(l));
                slot_not_located(slot);
                if (!l)
                        continue;
                slot->light_off = slot->light_off || streq(l->wanted, "off");
                forget(l);
        }
}

static void on_ended(Removal *r, void *userdata) {
        bool as_before = r->outcome == OUTCOME_REFUSED || r->outcome == OUTCOME_RESTORED || r->outcome == OUTCOME_TESTED;

        for (size_t i = 0; i < removal_n_slots(r); i++) {
                ManagedSlot *slot = manager_slot_of_removal(userdata, r, i);

                if (!slot)
                        continue;
                /* With the lights that it had found, what was to be turned off then is turned off now. */
                bool off = slot->light_off && as_before, back = slot->light_back;
                slot->light_off = slot->light_back = false;
                /* It did not take the slot, or could not write to its lights: else nothing is left to be done. */
                if (back && light_attention(userdata, slot, BEFORE) < 0)
                        log_plain(LOG_ERR, "The attention LED of slot %s cannot be set.", slot_get(slot, SLOT_TEXT_NAME));
                if (off && light_attention(userdata, slot, "off") < 0)
                        log_plain(LOG_ERR, "The attention LED of slot %s cannot be turned off.", slot_get(slot, SLOT_TEXT_NAME));
                /* Its light would go on blinking, as if somebody were at work; or whoever was left behind in the kernel may turn it off yet. */
                if ((r->given_up || slot->outcome == OUTCOME_STUCK) && removal_port(r, i) && light_attention(userdata, slot, "on") < 0)
                        log_plain(LOG_ERR, "The attention LED of slot %s cannot be turned on.", removal_slot(r, i) ?: "?");
        }
}

const RemovalListener lights_listener = {
        .started = on_started,
        .ended = on_ended,
};
