/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "daemon/guard-hands.h"
#include "daemon/guard-ports.h"
#include "kernel/held-slot.h"
#include "kernel/listing.h"
#include "log.h"

#define CLAIM_USEC (60 * USEC_PER_SEC)  /* from the hold to somebody who has written down that it is his */
#define AGAIN_USEC USEC_PER_SEC         /* where a slot could not be given back, or taken */
#define ORPHAN_USEC (600 * USEC_PER_SEC) /* from the end of the daemon that had claimed it to the next one */

typedef enum PortState {
        PORT_FREE,             /* pciehp has it, or nobody knows better */
        PORT_PRESSED,          /* and will be taken once all records that are there have been read */
        PORT_TAKING,
        PORT_HANGING,          /* the hand that was to take it gave up, and the kernel may do it yet */
        PORT_HELD,             /* by us, and nobody has claimed it */
        PORT_CLAIMED,          /* a removal has it on record and gives it back */
        PORT_GIVING,
} PortState;

typedef struct Port {
        Ports *ports;
        char *port;
        PortState state;
        bool watched;          /* a removal runs there */
        bool yielded;          /* it has given the slot to the kernel for the power-off: taking it now would leave it without */
        bool claimed;          /* it has the hold on record */
        bool found;            /* held since before this guard was there */
        bool orphan;           /* claimed for a daemon that is gone, and not by the next one */
        SourceEventKind kind;  /* how the press was noticed */
        char *text;            /* of the kernel's record, or NULL */
        char *back;            /* why it is to be given back; NULL: it is not */
        uint64_t pressed_usec; /* when it was heard */
        uint64_t said_usec;    /* when the kernel said so, or 0 */
        sd_event_source *timer;
} Port;

struct Ports {
        sd_event *event;
        void *slots;           /* of source_slot */
        const PortsHandler *handler;
        void *userdata;
        Hands *hands;
        Port **items;          size_t n_items, a_items;
        sd_event_source *pending;
        bool leaving;
};

/* Drills do not wait for a minute. */
static uint64_t claim_usec(void) {
        const char *text = getenv("SAFE_REMOVE_CLAIM_SEC");
        uint64_t sec = 0;

        return text && parse_u64(text, &sec) >= 0 && sec > 0 && sec <= 600 ? sec * USEC_PER_SEC : CLAIM_USEC;
}

static void tell(Ports *g, SourceEventKind kind, const char *port, const char *text, bool held) {
        json_object *o = json_object_new_object();

        json_set_str(o, "type", source_event_kind_to_string(kind));
        json_set_str(o, "port", port);
        json_set_str(o, "text", text);
        if (held)
                json_set_bool(o, "held", true);
        g->handler->tell(o, g->userdata);
}

static Port *port_at(Ports *g, const char *port) {
        for (size_t i = 0; i < g->n_items; i++)
                if (streq(g->items[i]->port, port))
                        return g->items[i];

        Port *p = calloc(1, sizeof(*p));
        char *copy = strdup(port);
        if (!p || !copy || vec_grow((void **) &g->items, g->n_items, &g->a_items, sizeof(Port *)) < 0) {
                free(p);
                free(copy);
                return NULL;
        }
        *p = (Port) { .ports = g, .port = copy };
        return g->items[g->n_items++] = p;
}

static void port_free(Port *p) {
        sd_event_source_disable_unref(p->timer);
        free(p->port);
        free(p->text);
        free(p->back);
        free(p);
}

static void settle(Port *p, PortState state) {
        p->state = state;
        p->timer = sd_event_source_disable_unref(p->timer);
        if (state == PORT_HELD || state == PORT_CLAIMED || p->watched)
                (void) source_slot_watch(p->ports->slots, p->port);
        else
                source_slot_unwatch(p->ports->slots, p->port);
        if (state == PORT_FREE) {
                free(TAKE_PTR(p->back));
                p->found = p->orphan = false;
        }
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata);

static void set_timer(Port *p, uint64_t usec) {
        p->timer = sd_event_source_disable_unref(p->timer);
        int r = sd_event_add_time_relative(p->ports->event, &p->timer, CLOCK_MONOTONIC, usec, 0, on_timer, p);
        if (r < 0)
                log_plain(LOG_ERR, "Port %s: no timer can be set: %s", p->port, strerror(-r));
}

/* Only from a slot that is ours: `why` is for the log, and the last one counts. */
static void give_back(Port *p, const char *why) {
        char *copy = strdup(why);

        if (copy) {
                free(p->back);
                p->back = copy;
        }
        if (p->state != PORT_HELD)
                return; /* on its way: then when it is there */
        settle(p, PORT_GIVING);
        int r = hands_work(p->ports->hands, HAND_GIVE, p->port);
        if (r < 0) {
                log_plain(LOG_ERR, "The slot at port %s cannot be given back: %s. It is tried again.", p->port, strerror(-r));
                p->state = PORT_HELD;
                set_timer(p, AGAIN_USEC);
        }
}

static void on_taken(Port *p, const char *why);

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        Port *p = userdata;

        if (p->state == PORT_CLAIMED) {
                p->claimed = false;
                settle(p, held_is_undriven(p->port) ? PORT_HELD : PORT_FREE);
        }
        if (p->state == PORT_HANGING && held_is_undriven(p->port))
                on_taken(p, NULL);
        else if (p->state == PORT_HANGING && now_monotonic() - p->pressed_usec < 2 * CLAIM_USEC)
                set_timer(p, AGAIN_USEC);
        else if (p->state == PORT_HANGING)
                settle(p, PORT_FREE);
        if (p->state != PORT_HELD)
                return 0;
        tell(p->ports, SOURCE_BUTTON_CANCELLED, p->port, "nobody has taken the removal over in time", false);
        give_back(p, p->back ?: "nobody has taken the removal over in time");
        return 0;
}

static void take(Port *p) {
        settle(p, PORT_TAKING);
        int r = hands_work(p->ports->hands, HAND_HOLD, p->port);
        if (r < 0) {
                log_plain(LOG_ERR, "The slot at port %s cannot be held: %s.", p->port, strerror(-r));
                settle(p, PORT_FREE);
                tell(p->ports, p->kind, p->port, p->text, false);
        }
}

static void on_taken(Port *p, const char *why) {
        Ports *g = p->ports;

        if (why && !held_is_undriven(p->port)) {
                log_plain(LOG_WARNING, "The slot at port %s, whose button was pressed, cannot be held at once: %s.", p->port, why);
                if (!p->back)
                        tell(g, p->kind, p->port, p->text, false);
                settle(p, held_is_marked(p->port) ? PORT_HANGING : PORT_FREE);
                if (p->state == PORT_HANGING)
                        set_timer(p, AGAIN_USEC);
                return;
        }
        uint64_t now = now_monotonic(), since = p->said_usec > 0 && p->said_usec < now ? p->said_usec : p->pressed_usec;
        log_plain(LOG_NOTICE, "The slot at port %s is held, %" PRIu64 " ms after its button was pressed.", p->port,
                  (now - since) / USEC_PER_MSEC);
        settle(p, p->claimed && !p->back ? PORT_CLAIMED : PORT_HELD);
        if (p->state == PORT_HELD)
                set_timer(p, claim_usec());
        if (p->back)
                give_back(p, p->back);
        else
                tell(g, p->kind, p->port, p->text, true);
}

static void on_given(Port *p, const char *why) {
        if (!why) {
                log_plain(LOG_NOTICE, "The slot at port %s is given back to the kernel: %s.", p->port, p->back ?: "?");
                settle(p, PORT_FREE);
                return;
        }
        log_plain(LOG_ERR, "The slot at port %s cannot be given back: %s. It is tried again.", p->port, why);
        settle(p, PORT_HELD);
        set_timer(p, AGAIN_USEC);
}

static void on_hand_done(HandWork work, const char *port, const char *why, void *userdata) {
        Ports *g = userdata;
        Port *p = port_at(g, port);

        if (p && work == HAND_HOLD && p->state == PORT_TAKING)
                on_taken(p, why);
        else if (p && work == HAND_GIVE && p->state == PORT_GIVING)
                on_given(p, why);
        if (g->leaving && hands_busy(g->hands) == 0)
                g->handler->left(g->userdata);
}

/* Behind all records that were there: a second press among them has called the first one off, in the kernel's own way. */
static int on_pending(sd_event_source *source, void *userdata) {
        Ports *g = userdata;

        for (size_t i = 0; i < g->n_items; i++)
                if (g->items[i]->state == PORT_PRESSED)
                        take(g->items[i]);
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void on_pressed(Port *p, const SourceEvent *e) {
        Ports *g = p->ports;

        if (p->state == PORT_HELD || p->state == PORT_TAKING) {
                tell(g, SOURCE_BUTTON_CANCELLED, p->port, e->text, false);
                give_back(p, "the button was pressed again");
                return;
        }
        /* The kernel says so of a slot that it drives: what was claimed was given back since, and this is another press. */
        if (e->text && !held_is_undriven(p->port)) {
                p->claimed = p->orphan = false;
                if (p->state == PORT_CLAIMED)
                        settle(p, PORT_FREE);
        }
        /* Without a record of the kernel it was read in the registers, of a slot that a removal holds. */
        if (p->state != PORT_FREE || p->yielded || (p->watched && !e->text) || g->leaving) {
                tell(g, e->kind, p->port, e->text, false);
                return;
        }
        p->kind = e->kind;
        free(p->text);
        p->text = e->text ? strdup(e->text) : NULL;
        p->pressed_usec = now_monotonic();
        p->said_usec = e->usec;
        p->state = PORT_PRESSED;
        (void) sd_event_source_set_enabled(g->pending, SD_EVENT_ON);
}

static void on_cancelled(Port *p, const SourceEvent *e) {
        if (p->state == PORT_PRESSED)
                p->state = PORT_FREE;
        else if (p->state == PORT_TAKING || p->state == PORT_HELD)
                give_back(p, "the button was pressed again");
        tell(p->ports, e->kind, p->port, e->text, false);
}

/* A press whose record nobody read shows in the slot itself. */
void ports_look_everywhere(Ports *g) {
        _cleanup_listing_ Listing services = { 0 };

        if (listing_readf(&services, "/sys/bus/pci_express/drivers/pciehp") < 0)
                return;
        for (size_t i = 0; i < services.n; i++) {
                _cleanup_free_ char *port = hotplug_port_of_service(services.names[i]);
                Port *p = port ? port_at(g, port) : NULL;
                if (p && !p->watched && p->state == PORT_FREE)
                        (void) source_slot_look(g->slots, port);
        }
}

void ports_take_event(Ports *g, const SourceEvent *e) {
        Port *p = e->port ? port_at(g, e->port) : NULL;

        if (p && (e->kind == SOURCE_BUTTON_PRESSED || (e->kind == SOURCE_BUTTON_MISSED && p->state == PORT_FREE)))
                on_pressed(p, e);
        else if (p && e->kind == SOURCE_BUTTON_CANCELLED)
                on_cancelled(p, e);
        else if (e->kind != SOURCE_BUTTON_MISSED)
                tell(g, e->kind, e->port, e->text, false);
        if (p && e->kind == SOURCE_CARD_GONE && (p->state == PORT_HELD || p->state == PORT_TAKING))
                give_back(p, "the card is gone");
        if (e->kind == SOURCE_EVENTS_LOST)
                ports_look_everywhere(g);
}

/* What the daemon asks for. */

static void ask_watch(Port *p, json_object *message) {
        p->watched = true;
        p->yielded = p->orphan = false;
        (void) source_slot_watch(p->ports->slots, p->port);
}

static void ask_unwatch(Port *p, json_object *message) {
        p->watched = p->yielded = p->claimed = false;
        if (p->state == PORT_CLAIMED)
                settle(p, PORT_FREE);
        else if (p->state == PORT_HELD || p->state == PORT_TAKING)
                give_back(p, "the removal that ran when the button was pressed has ended");
        else if (p->state == PORT_FREE || p->state == PORT_PRESSED)
                source_slot_unwatch(p->ports->slots, p->port);
}

/* Too late where the slot is on its way back: then the removal must not go on. */
static void ask_claim(Port *p, json_object *message) {
        p->claimed = true;
        if (p->state == PORT_GIVING || p->back)
                tell(p->ports, SOURCE_BUTTON_CANCELLED, p->port, p->back, false);
        else if (p->state == PORT_HELD)
                settle(p, PORT_CLAIMED);
}

static void ask_yield(Port *p, json_object *message) {
        p->yielded = true;
}

static void ask_give_back(Port *p, json_object *message) {
        if (p->state == PORT_HELD || p->state == PORT_TAKING)
                give_back(p, json_str(message, "why") ?: "nothing comes of the removal");
}

static void ask_guard(Port *p, json_object *message) {
        (void) source_slot_guard(p->ports->slots, p->port);
}

static void ask_unguard(Port *p, json_object *message) {
        source_slot_unguard(p->ports->slots, p->port);
}

static void ask_look(Port *p, json_object *message) {
        if (p->state == PORT_FREE)
                (void) source_slot_look(p->ports->slots, p->port);
}

/* The daemon has said all that it has: what was held by an earlier guard and is none of its removals' is nobody's. And it hears of those
 * whose removals it does not know of yet. */
static void take_hello(Ports *g) {
        for (size_t i = 0; i < g->n_items; i++) {
                Port *p = g->items[i];
                if (p->state == PORT_CLAIMED && p->orphan) {
                        bool held = held_is_undriven(p->port);
                        settle(p, held ? PORT_HELD : PORT_FREE);
                        p->found = held;
                }
                if (p->state == PORT_HELD && p->found && !p->watched)
                        give_back(p, "the slot was held, and no removal that has not ended is of it");
                else if (p->state == PORT_HELD && !p->back)
                        tell(g, p->kind, p->port, p->text, true);
        }
}

void ports_take_message(Ports *g, json_object *message) {
        static const struct {
                const char *type;
                void (*ask)(Port *p, json_object *message);
        } asks[] = {
                { "watch", ask_watch }, { "unwatch", ask_unwatch }, { "claim", ask_claim }, { "yield", ask_yield }, { "give-back", ask_give_back },
                { "guard", ask_guard }, { "unguard", ask_unguard }, { "look", ask_look },
        };
        const char *type = json_str(message, "type"), *port = json_str(message, "port");

        if (streq_ptr(type, "hello"))
                take_hello(g);
        Port *p = port ? port_at(g, port) : NULL;
        for (size_t i = 0; i < ELEMENTSOF(asks) && p; i++)
                if (streq_ptr(type, asks[i].type))
                        asks[i].ask(p, message);
}

/* A removal that ran goes on with the next daemon, which says so; the kernel's presses are answered here until then. */
void ports_take_gone(Ports *g) {
        for (size_t i = 0; i < g->n_items && !g->leaving; i++) {
                Port *p = g->items[i];
                p->watched = p->claimed = p->yielded = false;
                p->orphan = p->state == PORT_CLAIMED;
                if (p->orphan)
                        set_timer(p, ORPHAN_USEC);
        }
}

/* Marks of this boot. Where pciehp drives the port the slot was given back and only its mark stayed. */
int ports_take_marks(Ports *g) {
        _cleanup_json_ json_object *marks = NULL;

        int r = held_list(&marks);
        for (size_t i = 0; i < json_len(marks) && r >= 0; i++) {
                const char *port = json_str(json_at(marks, i), "port");
                if (!held_is_undriven(port)) {
                        held_forget(port);
                        continue;
                }
                Port *p = port_at(g, port);
                if (!p)
                        return -ENOMEM;
                p->kind = SOURCE_BUTTON_PRESSED;
                p->found = true;
                settle(p, PORT_HELD);
                set_timer(p, claim_usec());
        }
        return r;
}

bool ports_leave(Ports *g) {
        g->leaving = true;
        for (size_t i = 0; i < g->n_items; i++)
                if (g->items[i]->state == PORT_HELD || g->items[i]->state == PORT_TAKING)
                        give_back(g->items[i], "the guard is being stopped");
        return hands_busy(g->hands) > 0;
}

DEFINE_CLEANUP_FUNC(Ports, ports_free)

int ports_new(sd_event *event, void *slots, const PortsHandler *handler, void *userdata, Ports **ret) {
        _cleanup_(ports_freep) Ports *g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        *g = (Ports) { .event = sd_event_ref(event), .slots = slots, .handler = handler, .userdata = userdata };

        int r = sd_event_add_defer(event, &g->pending, on_pending, g);
        if (r >= 0)
                r = sd_event_source_set_priority(g->pending, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_source_set_enabled(g->pending, SD_EVENT_OFF);
        if (r >= 0)
                r = hands_new(event, on_hand_done, g, &g->hands);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(g);
        return 0;
}

void ports_free(Ports *g) {
        if (!g)
                return;
        hands_free(g->hands);
        for (size_t i = 0; i < g->n_items; i++)
                port_free(g->items[i]);
        free(g->items);
        sd_event_source_disable_unref(g->pending);
        sd_event_unref(g->event);
        free(g);
}
