/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "daemon/source/source.h"
#include "kernel/pci/pcie-slot.h"

/* The slots' own registers. While a removal holds a slot (pciehp is unbound from its port) nobody in the kernel serves
 * the button or the presence bit and there is no event for either, so they are polled: the one place in this daemon
 * that polls, and the one that reads /sys in the loop (a few bytes of configuration space of a port that is awake).
 * There is none either for a slot whose power somebody switches on again while a card sits in it that was safe to pull. */

#define POLL_USEC (200 * USEC_PER_MSEC)
#define GUARD_USEC (500 * USEC_PER_MSEC) /* the light is to be withdrawn within a second */
#define FIRST_GUARD_USEC (20 * USEC_PER_MSEC) /* a card that is out already is not to be taken for the next one */
#define SECOND_LOOK_USEC (500 * USEC_PER_MSEC)
#define ACCURACY_USEC (20 * USEC_PER_MSEC)

typedef struct Watched {
        char *port;
        bool pressed;          /* told already; the bit stays set as nobody clears it while pciehp is away */
        bool seen;             /* a card was in the slot at the last look */
} Watched;

typedef struct SlotSource {
        const SourceContext *context;
        sd_event_source *poll;
        sd_event_source *second_look;
        sd_event_source *guard;
        char **guarded;        size_t n_guarded, a_guarded; /* ports whose slots say "safe to pull" over a card */
        Watched *watched;      size_t n_watched, a_watched;
        char **looks;          size_t n_looks, a_looks; /* ports that looked pressed once */
} SlotSource;

static void emit_text(SlotSource *s, SourceEventKind kind, const char *port, const char *text) {
        s->context->emit(&(SourceEvent) { .kind = kind, .port = port, .text = text }, s->context->userdata);
}

static void emit(SlotSource *s, SourceEventKind kind, const char *port) {
        emit_text(s, kind, port, NULL);
}

static int arm(sd_event_source *timer, uint64_t usec) {
        int r = sd_event_source_set_time(timer, now_monotonic() + usec);
        return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static Watched *find_watched(SlotSource *s, const char *port) {
        for (size_t i = 0; i < s->n_watched; i++)
                if (streq(s->watched[i].port, port))
                        return s->watched + i;
        return NULL;
}

/* The manager may watch or unwatch ports while it hears of one: decide first, then tell, touching `w` no more. */
static void poll_port(SlotSource *s, const char *port) {
        SlotRegisters registers;
        Watched *w = find_watched(s, port);

        /* A port that cannot be read now (its bus is being reset, say) may be readable next time. */
        if (!w || slot_registers_read(port, &registers) < 0)
                return;

        bool press = registers.button_pressed && !w->pressed;
        bool gone = !registers.card_present && w->seen;
        w->pressed = registers.button_pressed;
        w->seen = registers.card_present;

        if (press)
                emit(s, SOURCE_BUTTON_PRESSED, port);
        if (gone)
                emit(s, SOURCE_CARD_GONE, port);
}

static int on_poll(sd_event_source *timer, uint64_t usec, void *userdata) {
        SlotSource *s = userdata;

        for (size_t i = s->n_watched; i-- > 0;) {
                _cleanup_free_ char *port = i < s->n_watched ? strdup(s->watched[i].port) : NULL;
                if (port)
                        poll_port(s, port);
        }
        return s->n_watched > 0 ? arm(s->poll, POLL_USEC) : 0;
}

int source_slot_watch(void *state, const char *port) {
        SlotSource *s = state;

        if (find_watched(s, port))
                return 0;

        int r = vec_grow((void **) &s->watched, s->n_watched, &s->a_watched, sizeof(Watched));
        if (r < 0)
                return r;

        char *copy = strdup(port);
        if (!copy)
                return -ENOMEM;
        s->watched[s->n_watched++] = (Watched) { .port = copy };
        return arm(s->poll, POLL_USEC);
}

void source_slot_unwatch(void *state, const char *port) {
        SlotSource *s = state;
        Watched *w = find_watched(s, port);

        if (!w)
                return;
        free(w->port);
        *w = s->watched[--s->n_watched];
}

/* pciehp blinks the power indicator for 5 seconds after a press. It blinks too while a slot is being powered up; that is
 * over within a second once a card can be seen, hence the two looks. */
static bool looks_pressed(const char *port) {
        SlotRegisters r;

        return slot_registers_read(port, &r) == 0 && r.has_attention_button && r.has_power_indicator &&
                r.power == INDICATOR_BLINK && r.power_on && r.card_present;
}

static int on_second_look(sd_event_source *timer, uint64_t usec, void *userdata) {
        SlotSource *s = userdata;

        while (s->n_looks > 0) {
                _cleanup_free_ char *port = s->looks[--s->n_looks];

                if (looks_pressed(port))
                        emit(s, SOURCE_BUTTON_MISSED, port);
        }
        return 0;
}

int source_slot_look(void *state, const char *port) {
        SlotSource *s = state;

        if (!looks_pressed(port))
                return 0;

        int r = vec_grow((void **) &s->looks, s->n_looks, &s->a_looks, sizeof(char *));
        if (r < 0)
                return r;

        char *copy = strdup(port);
        if (!copy)
                return -ENOMEM;
        s->looks[s->n_looks++] = copy;
        return arm(s->second_look, SECOND_LOOK_USEC);
}

/* What makes the light untrue, or NULL. Without a power controller power and link are up for ever, and the indicator alone tells. */
static const char *untrue(const SlotRegisters *r) {
        if (r->has_power_indicator && r->power != INDICATOR_OFF)
                return r->power == INDICATOR_BLINK ? "the power LED blinks" : "the power LED is on";
        if (!r->has_power_controller)
                return NULL;
        if (r->power_on)
                return "the power is on";
        return r->has_link_active && r->link_active ? "the link is up" : NULL;
}

static void guard_port(SlotSource *s, const char *port) {
        SlotRegisters r;

        if (slot_registers_read(port, &r) < 0)
                return;
        /* Where no card is to be seen the one that was safe is out, power or not: a slot gets its power before the next card answers. */
        const char *why = r.card_present ? untrue(&r) : NULL;
        if (r.card_present && !why)
                return;
        source_slot_unguard(s, port);
        emit_text(s, why ? SOURCE_LIGHT_UNTRUE : SOURCE_LIGHT_OVER, port, why);
}

static int on_guard(sd_event_source *timer, uint64_t usec, void *userdata) {
        SlotSource *s = userdata;

        for (size_t i = s->n_guarded; i-- > 0;) {
                _cleanup_free_ char *port = i < s->n_guarded ? strdup(s->guarded[i]) : NULL;
                if (port)
                        guard_port(s, port);
        }
        return s->n_guarded > 0 ? arm(s->guard, GUARD_USEC) : 0;
}

int source_slot_guard(void *state, const char *port) {
        SlotSource *s = state;

        source_slot_unguard(s, port);
        int r = vec_grow((void **) &s->guarded, s->n_guarded, &s->a_guarded, sizeof(char *));
        if (r < 0)
                return r;
        char *copy = strdup(port);
        if (!copy)
                return -ENOMEM;
        s->guarded[s->n_guarded++] = copy;
        return arm(s->guard, FIRST_GUARD_USEC);
}

void source_slot_unguard(void *state, const char *port) {
        SlotSource *s = state;

        for (size_t i = 0; i < s->n_guarded; i++)
                if (streq(s->guarded[i], port)) {
                        free(s->guarded[i]);
                        s->guarded[i] = s->guarded[--s->n_guarded];
                        return;
                }
}

static void slot_stop(void *state) {
        SlotSource *s = state;
        if (!s)
                return;

        sd_event_source_disable_unref(s->poll);
        sd_event_source_disable_unref(s->second_look);
        sd_event_source_disable_unref(s->guard);
        for (size_t i = 0; i < s->n_guarded; i++)
                free(s->guarded[i]);
        for (size_t i = 0; i < s->n_watched; i++)
                free(s->watched[i].port);
        for (size_t i = 0; i < s->n_looks; i++)
                free(s->looks[i]);
        free(s->guarded);
        free(s->watched);
        free(s->looks);
        free(s);
}

DEFINE_CLEANUP_FUNC(SlotSource, slot_stop)

static int add_timer(SlotSource *s, sd_event_time_handler_t callback, sd_event_source **ret) {
        int r = sd_event_add_time(s->context->event, ret, CLOCK_MONOTONIC, 0, ACCURACY_USEC, callback, s);
        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int slot_start(const SourceContext *context, void **ret_state) {
        _cleanup_(slot_stopp) SlotSource *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->context = context;

        int r = add_timer(s, on_poll, &s->poll);
        if (r < 0)
                return r;
        r = add_timer(s, on_second_look, &s->second_look);
        if (r < 0)
                return r;
        r = add_timer(s, on_guard, &s->guard);
        if (r < 0)
                return r;

        *ret_state = TAKE_PTR(s);
        return 0;
}

const Source source_slot = {
        .name = "slot registers",
        .without = "a second press of the button cannot be noticed",
        .start = slot_start,
        .stop = slot_stop,
};
