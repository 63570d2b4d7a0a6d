/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "engine/journal.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/listing.h"
#include "ports.h"

#define ORPHAN_USEC (600 * USEC_PER_SEC) /* from the end of the daemon that had claimed it to the next one */
#define KERNEL_USEC (5 * USEC_PER_SEC)  /* from the press to the kernel's power-off */
#define LOST_USEC (30 * USEC_PER_SEC)   /* from records that were lost to whoever asks for a look because of them: a daemon looks at the whole machine before */
#define YIELD_USEC (15 * USEC_PER_SEC)  /* from leaving a slot to the kernel to its being off, where nobody is there to ask */

struct Ports {
        PortWorld world;
        Port **items;          size_t n_items, a_items;
};

static Port *port_at(Ports *g, const char *port) {
        for (size_t i = 0; i < g->n_items; i++)
                if (streq(g->items[i]->port, port))
                        return g->items[i];

        if (vec_grow((void **) &g->items, g->n_items, &g->a_items, sizeof(Port *)) < 0)
                return NULL;
        Port *p = port_new(&g->world, port);
        if (p)
                g->items[g->n_items++] = p;
        return p;
}

static void on_hand_done(HandWork work, const char *port, const char *why, void *userdata) {
        Ports *g = userdata;
        Port *p = port_at(g, port);

        if (p)
                port_hand_done(p, work, why);
        if (g->world.leaving && hands_busy(g->world.hands) == 0)
                g->world.handler->left(g->world.userdata);
}

/* After all records that were there: a second press among them has called the first one off, in the kernel's own way. */
static int on_pending(sd_event_source *source, void *userdata) {
        Ports *g = userdata;

        for (size_t i = 0; i < g->n_items; i++)
                if (g->items[i]->state == PORT_PRESSED)
                        port_take(g->items[i]);
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Held, or about to be, for a press that nobody has claimed yet. */
static bool is_ours(const Port *p) {
        return p->state == PORT_TAKING || (p->state == PORT_HELD && !p->found && !port_is_claimed(p));
}

/* Its removal has left it to the kernel: to take it now would leave that in the middle of the power-off. So its worker has noted, for the time
 * until the daemon says so, or without a daemon; but not for ever, since it may never come back. */
static bool is_yielded(const Port *p) {
        uint64_t since = held_noted(p->port, HELD_YIELDED);

        return p->want == PORT_WANT_YIELD || (p->want != PORT_WANT_WATCH && since > 0 && now_monotonic() - since < YIELD_USEC);
}

static void on_pressed(Port *p, const SourceEvent *e) {
        PortWorld *w = p->world;
        bool by_kernel = e->text, driven = held_is_driven(p->port);

        /* Where it drives the slot the kernel clears the bit and says so itself; where it certainly does not, no light of its own blinks. */
        if (!by_kernel && (e->kind == SOURCE_BUTTON_PRESSED ? driven : held_is_undriven(p->port)))
                return;
        /* It says so of a slot that it drives: what was held was given back since, and this is another press. */
        if (by_kernel && driven && p->state == PORT_HELD)
                port_settle(p, PORT_FREE);
        if (is_ours(p)) {
                (void) port_tell(w, SOURCE_BUTTON_CANCELLED, p->port, e->text);
                port_give_back(p, "the button was pressed again", false);
        } else if (by_kernel && (p->state == PORT_GIVING || p->state == PORT_FREE || p->state == PORT_HANGING) && !is_yielded(p) && !w->leaving)
                port_press(p, e->kind, e->text, e->usec);
        else if (!by_kernel && p->state == PORT_FREE && !port_is_watched(p) && !is_yielded(p) && !w->leaving)
                port_press(p, e->kind, NULL, 0); /* by its light */
        else if (e->kind != SOURCE_BUTTON_MISSED) { /* a removal has its light blink, and nobody has pressed */
                port_note_press(p, e->kind, e->text, e->usec);
                port_tell_press(p, false);
        }
}

static void on_cancelled(Port *p, const SourceEvent *e) {
        p->again = p->unheard = false;
        if (p->state == PORT_PRESSED)
                p->state = PORT_FREE;
        else if (is_ours(p) || p->state == PORT_HANGING)
                port_give_back(p, "the button was pressed again", false);
        (void) port_tell(p->world, e->kind, p->port, e->text);
}

static bool waits_for_power_off(const char *port) {
        SlotRegisters r;

        return slot_registers_read(port, &r) < 0 || (r.power_on && r.card_present && (!r.has_power_indicator || r.power == INDICATOR_BLINK));
}

/* Held, or about to be, since before this guard. Its mark knows for which record; a later one is a second press, as soon as somebody hears it. */
static void on_past_held(Port *p, const SourceEvent *e) {
        if (e->sequence > held_noted(p->port, HELD_PRESS))
                port_note_press(p, e->kind, e->text, e->usec);
        p->again = p->state == PORT_HANGING && e->kind == SOURCE_BUTTON_PRESSED;
}

/* What was said while no guard listened, and perhaps before: what an earlier one has dealt with is noted. A slot that is held without a mark is
 * an earlier guard's too, which had no room for one: nobody else takes a slot in the 5 s after a press. */
static void on_past(Port *p, const SourceEvent *e) {
        if (e->sequence > 0 && e->sequence <= held_noted(p->port, HELD_SERVED))
                return;
        if (e->kind != SOURCE_BUTTON_PRESSED && e->kind != SOURCE_BUTTON_CANCELLED)
                return;
        p->sequence = e->sequence;
        if (p->state == PORT_HELD || p->state == PORT_HANGING)
                on_past_held(p, e);
        else if (e->kind == SOURCE_BUTTON_CANCELLED)
                port_settle(p, PORT_FREE);
        else if (p->state == PORT_FREE && held_is_undriven(p->port))
                port_hold_found(p, 0);
        else if (p->state == PORT_FREE && is_yielded(p))
                port_note_press(p, e->kind, e->text, e->usec);
        else if (p->state == PORT_FREE && waits_for_power_off(p->port))
                port_press(p, e->kind, e->text, e->usec);
        port_serve(p);
}

void ports_look_everywhere(Ports *g) {
        _cleanup_listing_ Listing services = { 0 };

        g->world.lost_usec = now_monotonic();
        if (listing_readf(&services, "/sys/bus/pci_express/drivers/pciehp") < 0)
                return;
        for (size_t i = 0; i < services.n; i++) {
                _cleanup_free_ char *port = hotplug_port_of_service(services.names[i]);
                Port *p = port ? port_at(g, port) : NULL;
                if (p && !port_is_watched(p) && p->state == PORT_FREE)
                        (void) source_slot_look(g->world.slots, port);
        }
}

void ports_take_event(Ports *g, const SourceEvent *e) {
        Port *p = e->port ? port_at(g, e->port) : NULL;

        if (p && !e->past && e->sequence > 0)
                p->sequence = e->sequence;
        if (p && e->past)
                on_past(p, e);
        else if (p && (e->kind == SOURCE_BUTTON_PRESSED || (e->kind == SOURCE_BUTTON_MISSED && p->state == PORT_FREE)))
                on_pressed(p, e);
        else if (p && e->kind == SOURCE_BUTTON_CANCELLED)
                on_cancelled(p, e);
        else if (e->kind != SOURCE_BUTTON_MISSED)
                (void) port_tell(&g->world, e->kind, e->port, e->text);
        if (p && e->kind == SOURCE_CARD_GONE && is_ours(p))
                port_give_back(p, "the card is gone", false);
        if (e->kind == SOURCE_EVENTS_LOST)
                ports_look_everywhere(g);
        if (p && !e->past && e->sequence > 0)
                port_serve(p);
}

/* What the daemon asks for. */

/* Held by a worker, as its mark says, and nobody has told us so: its daemon had ended before it came to that. An administrator's has no mark. */
static bool is_left_held(const Port *p) {
        return p->state == PORT_FREE && held_is_undriven(p->port) && held_is_marked(p->port);
}

/* Nobody's removal has the slot any more. Where it is held by a removal that ended without giving it back nobody else would. */
static void release(Port *p, bool was_claimed) {
        bool held = held_is_undriven(p->port);

        if (p->state == PORT_HELD && !held)
                port_settle(p, PORT_FREE);
        else if (was_claimed && is_left_held(p))
                port_settle(p, PORT_HELD);
        if (p->state == PORT_HELD || p->state == PORT_TAKING)
                port_give_back(p, "the removal that ran when the button was pressed has ended", false);
}

static void ask_want(Port *p, json_object *message) {
        int want = port_want_from_string(json_str(message, "want"));
        bool was_claimed = port_is_claimed(p), was_watched = port_is_watched(p);

        if (want < 0)
                return;
        p->want = (PortWant) want;
        if (want == PORT_WANT_LIGHT)
                (void) source_slot_guard(p->world->slots, p->port);
        else
                source_slot_unguard(p->world->slots, p->port);
        if (port_is_watched(p) && p->state != PORT_HANGING)
                p->found = false;
        else if (was_watched)
                release(p, was_claimed);
        /* Too late where the slot is on its way back: then the removal must not go on. */
        if (want == PORT_WANT_CLAIM && (p->state == PORT_GIVING || p->back))
                (void) port_tell(p->world, SOURCE_BUTTON_CANCELLED, p->port, p->back);
        else if (port_is_claimed(p) && p->state == PORT_HELD)
                p->timer = sd_event_source_disable_unref(p->timer);
        else if (want == PORT_WANT_WATCH && was_claimed && p->state == PORT_HELD && !held_is_undriven(p->port))
                port_settle(p, PORT_FREE);
        port_poll(p);
        (void) held_prepare(p->port);
        /* Who claims it may not have heard yet that his worker has left it to the kernel. */
        if (want != PORT_WANT_CLAIM)
                (void) held_note(p->port, HELD_YIELDED, want == PORT_WANT_YIELD ? now_monotonic() : 0);
        if (port_is_claimed(p))
                port_disclaim(p);
}

/* Also what is kept for the next daemon, which nobody waits for. */
static void ask_give_back(Port *p, json_object *message) {
        if (!port_is_watched(p) && is_left_held(p))
                port_hold_found(p, ORPHAN_USEC);
        bool kept = p->state == PORT_HELD && p->found && !port_is_watched(p);

        if (is_ours(p) || kept)
                port_give_back(p, json_str(message, "why") ?: "the removal does not take place", kept);
}

/* Who knows of a press may ask at any time. For anybody else a light that blinks is one only where its record may be missing here: it may be older than the boot. */
static void ask_look(Port *p, json_object *message) {
        uint64_t lost = p->world->lost_usec;
        bool missing = lost > 0 && now_monotonic() - lost < LOST_USEC;

        if (p->state == PORT_FREE && (missing || !streq_ptr(json_str(message, "why"), "lost")))
                (void) source_slot_look(p->world->slots, p->port);
}

/* The daemon has said all that it has: what was held for one before it and is none of its removals' is nobody's. And it hears of all that
 * it cannot know of. */
static void hello_at(Port *p) {
        bool held = p->state == PORT_HELD;

        port_adopt(p);
        if (!port_is_claimed(p))
                (void) held_note(p->port, HELD_YIELDED, 0);
        port_tell_news(p);
        if (held && !held_is_undriven(p->port))
                port_settle(p, PORT_FREE);
        else if (held && p->found)
                port_give_back(p, "the slot was held, and no removal of it is unfinished", true);
        else if (held && !p->back && (p->unheard || !port_is_watched(p)))
                port_tell_press(p, !port_is_claimed(p));
        else if (p->unheard && (port_is_watched(p) || now_monotonic() - p->pressed_usec < KERNEL_USEC))
                port_tell_press(p, false);
        port_serve(p);
}

void ports_take_message(Ports *g, json_object *message) {
        static const struct {
                const char *type;
                void (*ask)(Port *p, json_object *message);
        } asks[] = {
                { "want", ask_want }, { "give-back", ask_give_back }, { "look", ask_look },
        };
        const char *type = json_str(message, "type"), *port = json_str(message, "port");

        for (size_t i = 0; i < g->n_items && streq_ptr(type, "hello"); i++)
                hello_at(g->items[i]);
        Port *p = port ? port_at(g, port) : NULL;
        for (size_t i = 0; i < ELEMENTSOF(asks) && p; i++)
                if (streq_ptr(type, asks[i].type))
                        asks[i].ask(p, message);
}

/* A removal that ran goes on with the next daemon, which says so; the kernel's presses are answered here until then. */
void ports_take_gone(Ports *g) {
        for (size_t i = 0; i < g->n_items && !g->world.leaving; i++) {
                Port *p = g->items[i];
                bool held = port_is_claimed(p) && (p->state == PORT_HELD || (p->state == PORT_FREE && held_is_undriven(p->port)));
                if (held || (port_is_watched(p) && is_left_held(p)))
                        port_hold_found(p, ORPHAN_USEC);
                p->want = PORT_WANT_NOTHING;
                if (p->state == PORT_HELD)
                        port_await_claim(p); /* taken while a removal that was about to end claimed it, or watched */
                source_slot_unguard(g->world.slots, p->port);
                port_poll(p);
        }
}

/* Where pciehp drives the port the slot was given back and only its mark stayed; unless a removal has left a write behind that may hold it yet. */
int ports_take_marks(Ports *g) {
        _cleanup_json_ json_object *marks = NULL;

        int r = held_list(&marks);
        for (size_t i = 0; i < json_len(marks) && r >= 0; i++) {
                const char *port = json_str(json_at(marks, i), "port");
                bool hangs = held_is_being_written(port), held = held_is_undriven(port);
                Port *p = hangs || held ? port_at(g, port) : NULL;
                if (p && hangs)
                        port_hang_found(p);
                else if (p)
                        port_hold_found(p, 0);
                else if (!hangs && !held && port_is_written(port))
                        continue;
                else if (!hangs && !held)
                        held_forget(port);
                else
                        r = -ENOMEM;
        }
        return r;
}

bool ports_leave(Ports *g) {
        g->world.leaving = true;
        for (size_t i = 0; i < g->n_items; i++) {
                Port *p = g->items[i];
                if (is_ours(p))
                        port_give_back(p, "the guard is being stopped", true);
        }
        return hands_busy(g->world.hands) > 0;
}

DEFINE_CLEANUP_FUNC(Ports, ports_free)

int ports_new(sd_event *event, void *slots, const PortsHandler *handler, void *userdata, Ports **ret) {
        _cleanup_(ports_freep) Ports *g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        g->world = (PortWorld) { .event = sd_event_ref(event), .slots = slots, .handler = handler, .userdata = userdata };

        int r = sd_event_add_defer(event, &g->world.pending, on_pending, g);
        if (r >= 0)
                r = sd_event_source_set_priority(g->world.pending, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_source_set_enabled(g->world.pending, SD_EVENT_OFF);
        if (r >= 0)
                r = hands_new(event, on_hand_done, g, &g->world.hands);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(g);
        return 0;
}

void ports_free(Ports *g) {
        if (!g)
                return;
        hands_free(g->world.hands);
        for (size_t i = 0; i < g->n_items; i++)
                port_free(g->items[i]);
        free(g->items);
        sd_event_source_disable_unref(g->world.pending);
        sd_event_unref(g->world.event);
        free(g);
}
