/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-bus.h>

#include "slot.h"

static const char *const slot_text_table[_SLOT_TEXT_MAX] = {
        [SLOT_TEXT_NAME] = "Name",
        [SLOT_TEXT_PORT] = "Port",
        [SLOT_TEXT_CARD_ADDRESS] = "CardAddress",
        [SLOT_TEXT_MEMDEV] = "Memdev",
        [SLOT_TEXT_SERIAL] = "Serial",
        [SLOT_TEXT_POWER] = "Power",
        [SLOT_TEXT_POWER_LED] = "PowerLed",
        [SLOT_TEXT_ATTENTION_LED] = "AttentionLed",
        [SLOT_TEXT_STATE] = "State",
        [SLOT_TEXT_REMOVAL] = "Removal",
        [SLOT_TEXT_STAYS] = "MemoryStays",
        [SLOT_TEXT_LAST_REMOVAL] = "LastRemoval",
        [SLOT_TEXT_LAST_OUTCOME] = "LastOutcome",
        [SLOT_TEXT_LAST_CODE] = "LastCode",
        [SLOT_TEXT_INCIDENT] = "Incident",
};

DEFINE_STRING_TABLE(slot_text, SlotText)

static const char *const slot_state_table[_SLOT_STATE_MAX] = {
        [SLOT_EMPTY] = "empty",
        [SLOT_READY] = "ready",
        [SLOT_REMOVING] = "removing",
        [SLOT_RESTORING] = "restoring",
        [SLOT_SAFE] = "safe",
        [SLOT_WITHDRAWN] = "withdrawn",
        [SLOT_RELEASED] = "released",
        [SLOT_REFUSED] = "refused",
        [SLOT_STUCK] = "stuck",
        [SLOT_LOST] = "lost",
        [SLOT_UNKNOWN] = "unknown",
};

DEFINE_STRING_TABLE(slot_state, SlotState)

void slot_free(ManagedSlot *s) {
        if (!s)
                return;
        slot_view_done(&s->view);
        slot_not_located(s);
        json_object_put(s->last);
        free(s->considered);
        free(s->left);
        free(s->gone_told);
        free(s->path);
        free(s);
}

void slot_not_located(ManagedSlot *s) {
        s->located_until = 0;
        s->located_timer = sd_event_source_disable_unref(s->located_timer);
}

int slot_new(Manager *m, const char *name, ManagedSlot **ret) {
        _cleanup_(slot_freep) ManagedSlot *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;

        *s = (ManagedSlot) { .manager = m, .outcome = _OUTCOME_INVALID };
        s->view.text[SLOT_TEXT_NAME] = strdup(name);
        if (!s->view.text[SLOT_TEXT_NAME])
                return -ENOMEM;

        int r = sd_bus_path_encode(SLOT_PATH, name, &s->path);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

/* From facts to what is shown. The facts come from the last scan ("safe-remove/topology/1"), the state from them and
 * from the removals: nothing here remembers more than the outcome of the last one. */

int slot_view_set(SlotView *view, SlotText what, const char *value) {
        char *copy = strdup(value ?: "");
        if (!copy)
                return -ENOMEM;

        free(view->text[what]);
        view->text[what] = copy;
        return 0;
}

void slot_view_done(SlotView *view) {
        for (size_t i = 0; i < _SLOT_TEXT_MAX; i++)
                free(view->text[i]);
        *view = (SlotView) { 0 };
}

/* An indicator's word, "none" where the slot has none or nobody could read it. */
static const char *indicator(json_object *entry, const char *key) {
        return json_str(entry, key) ?: "none";
}

static int take_entry(SlotView *view, json_object *entry, bool held_told) {
        json_object *card = json_get(entry, "card");
        const struct {
                SlotText what;
                const char *value;
        } values[] = {
                { SLOT_TEXT_PORT, json_str(entry, "port") },
                { SLOT_TEXT_CARD_ADDRESS, json_str(card, "bdf") },
                { SLOT_TEXT_MEMDEV, json_str(card, "memdev") },
                { SLOT_TEXT_SERIAL, json_str(card, "serial") },
                { SLOT_TEXT_POWER, json_str(entry, "power") ?: "unknown" },
                { SLOT_TEXT_POWER_LED, indicator(entry, "power_led") },
                { SLOT_TEXT_ATTENTION_LED, indicator(entry, "attention_led") },
                { SLOT_TEXT_INCIDENT, json_str(entry, "incident") },
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                int r = slot_view_set(view, values[i].what, values[i].value);
                if (r < 0)
                        return r;
        }

        /* What was said of it was said of a card that is gone. */
        if (!*view->text[SLOT_TEXT_MEMDEV]) {
                int r = slot_view_set(view, SLOT_TEXT_STAYS, NULL);
                if (r < 0)
                        return r;
        }
        if (!held_told)
                view->held = json_flag(entry, "held");
        view->occupied = json_flag(entry, "occupied");
        view->stale = false;
        return 0;
}

static int copy_facts(SlotView *view, const SlotView *from) {
        for (size_t i = 0; i < _SLOT_TEXT_MAX; i++) {
                int r = slot_view_set(view, i, from->text[i]);
                if (r < 0)
                        return r;
        }
        view->held = from->held;
        view->occupied = from->occupied;
        view->stale = from->stale;
        return 0;
}

/* "Safe" is what the slot itself shows (specification 6.7.1.1: power indicator off, attention indicator not on) with no
 * power and nothing up in it, whoever made it so. Where the power cannot be switched, it reads "on" for ever: there the
 * proof of the last removal stands for it, as long as nothing has come up in the slot since. */
static bool is_safe(const SlotView *view, Outcome outcome) {
        const char *power_led = view->text[SLOT_TEXT_POWER_LED];

        return !*view->text[SLOT_TEXT_CARD_ADDRESS] &&
                (streq(power_led, "off") || streq(power_led, "none")) &&
                !streq(view->text[SLOT_TEXT_ATTENTION_LED], "on") &&
                (streq(view->text[SLOT_TEXT_POWER], "off") || outcome == OUTCOME_SAFE);
}

static SlotState state_of(const SlotView *view, const ManagedSlot *s, const Removal *removal) {
        Outcome outcome = s->outcome;

        if (removal && removal_runs(removal))
                return removal->kind == KIND_RESTORE ? SLOT_RESTORING : SLOT_REMOVING;
        if (outcome == OUTCOME_STUCK)
                return SLOT_STUCK;
        if (outcome == OUTCOME_RELEASED)
                return SLOT_RELEASED;
        if (s->left)
                return SLOT_LOST;
        if (s->unknown)
                return SLOT_UNKNOWN;
        if (!view->occupied)
                return SLOT_EMPTY;
        if (s->withdrawn)
                return SLOT_WITHDRAWN;
        if (is_safe(view, outcome))
                return SLOT_SAFE;
        return outcome == OUTCOME_REFUSED ? SLOT_REFUSED : SLOT_READY;
}

int slot_view_make(const ManagedSlot *s, json_object *entry, const Removal *removal, SlotView *ret) {
        _cleanup_(slot_view_done) SlotView view = { 0 };

        int r = copy_facts(&view, &s->view);
        if (r < 0)
                return r;
        if (entry) {
                r = take_entry(&view, entry, s->held_told);
                if (r < 0)
                        return r;
        }

        r = slot_view_set(&view, SLOT_TEXT_STATE, slot_state_to_string(state_of(&view, s, removal)));
        if (r < 0)
                return r;
        r = slot_view_set(&view, SLOT_TEXT_REMOVAL, removal ? removal->path : "/");
        if (r >= 0)
                r = slot_view_set(&view, SLOT_TEXT_LAST_REMOVAL, json_str(s->last, "id"));
        if (r >= 0)
                r = slot_view_set(&view, SLOT_TEXT_LAST_OUTCOME, json_str(s->last, "outcome"));
        if (r >= 0)
                r = slot_view_set(&view, SLOT_TEXT_LAST_CODE, json_str(s->last, "code"));
        if (r < 0)
                return r;

        /* The light itself has the word: somebody may have set it since. */
        view.located_until = streq(view.text[SLOT_TEXT_ATTENTION_LED] ?: "", "blink") ? s->located_until : 0;
        *ret = view;
        view = (SlotView) { 0 };
        return 0;
}

size_t slot_take_view(ManagedSlot *s, SlotView *view, const char *ret[static SLOT_PROPERTIES_MAX + 1]) {
        SlotView former = s->view;
        size_t n = 0;

        for (size_t i = 0; i < _SLOT_TEXT_MAX; i++)
                if (!streq_ptr(former.text[i], view->text[i]))
                        ret[n++] = slot_text_to_string(i);
        if (former.occupied != view->occupied)
                ret[n++] = "Occupied";
        if (former.held != view->held)
                ret[n++] = "Held";
        if (former.stale != view->stale)
                ret[n++] = "Stale";
        if (former.located_until != view->located_until)
                ret[n++] = "LocatedUntil";
        ret[n] = NULL;

        s->view = *view;
        *view = former;
        slot_view_done(view);
        return n;
}
