/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "daemon/log.h"
#include "daemon/strv.h"
#include "kernel/pci/held-slot.h"
#include "port.h"

#define CLAIM_USEC (60 * USEC_PER_SEC)  /* from the hold to somebody who has written down that it is his */
#define AGAIN_USEC USEC_PER_SEC         /* where a slot could not be given back, or taken; longer each time */
#define AGAIN_MAX_USEC (60 * USEC_PER_SEC)
#define HANGING_USEC (200 * USEC_PER_MSEC) /* from one look at who hangs to the next */

/* Drills do not wait for a minute. */
static uint64_t claim_usec(void) {
        const char *text = getenv("SAFE_REMOVE_CLAIM_SEC");
        uint64_t sec = 0;

        return text && parse_u64(text, &sec) >= 0 && sec > 0 && sec <= 600 ? sec * USEC_PER_SEC : CLAIM_USEC;
}

static json_object *message_of(SourceEventKind kind, const char *port, const char *text) {
        json_object *o = json_object_new_object();

        json_set_str(o, "type", source_event_kind_to_string(kind));
        json_set_str(o, "port", port);
        json_set_str(o, "text", text);
        return o;
}

/* False: nobody was there to hear it. */
bool port_tell(PortWorld *w, SourceEventKind kind, const char *port, const char *text) {
        return w->handler->tell(message_of(kind, port, text), w->userdata);
}

/* Who is told of a held one twice, by two guards, knows it by its time. */
void port_tell_press(Port *p, bool held) {
        json_object *o = message_of(p->kind, p->port, p->text);

        if (held) {
                json_set_bool(o, "held", true);
                json_set_u64(o, "press", p->pressed_usec);
        }
        p->unheard = !p->world->handler->tell(o, p->world->userdata);
}

void port_free(Port *p) {
        sd_event_source_disable_unref(p->timer);
        free(p->port);
        free(p->text);
        free(p->back);
        free(p->news);
        free(p);
}

void port_poll(Port *p) {
        if (p->state == PORT_HELD || port_is_watched(p))
                (void) source_slot_watch(p->world->slots, p->port);
        else
                source_slot_unwatch(p->world->slots, p->port);
}

void port_settle(Port *p, PortState state) {
        p->state = state;
        p->timer = sd_event_source_disable_unref(p->timer);
        port_poll(p);
        if (state == PORT_FREE) {
                (void) set_text(&p->back, NULL);
                p->found = p->unwanted = false;
                p->unclaimed_usec = p->again_usec = 0;
        }
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata);

static void set_timer(Port *p, uint64_t usec) {
        p->timer = sd_event_source_disable_unref(p->timer);
        int r = sd_event_add_time_relative(p->world->event, &p->timer, CLOCK_MONOTONIC, usec, 0, on_timer, p);
        if (r < 0)
                log_plain(LOG_ERR, "Port %s: no timer can be set: %s", p->port, strerror(-r));
}

static void try_again(Port *p, const char *why) {
        p->again_usec = p->again_usec == 0 ? AGAIN_USEC : p->again_usec < AGAIN_MAX_USEC ? 2 * p->again_usec : AGAIN_MAX_USEC;
        log_plain(LOG_ERR, "The slot at port %s cannot be given back: %s. It is tried again.", p->port, why);
        port_settle(p, PORT_HELD);
        set_timer(p, p->again_usec);
}

void port_disclaim(Port *p) {
        p->unclaimed_usec = 0;
        (void) held_note(p->port, HELD_UNCLAIMED, 0);
}

void port_give_back(Port *p, const char *why, bool unwanted) {
        if (why != p->back)
                (void) set_text(&p->back, why);
        p->unwanted = p->unwanted || unwanted;
        port_disclaim(p);
        if (p->state != PORT_HELD)
                return; /* on its way: then when it is there */
        bool hangs = held_is_being_written(p->port);
        if (hangs) {
                set_timer(p, HANGING_USEC); /* on_timer() comes back to it */
                return;
        }
        port_settle(p, PORT_GIVING);
        int r = hands_work(p->world->hands, HAND_GIVE, p->port, (HandPress) { 0 });
        if (r < 0)
                try_again(p, strerror(-r));
}

static void press_noted(Port *p) {
        p->again = p->unheard = false;
        p->state = PORT_PRESSED;
        (void) sd_event_source_set_enabled(p->world->pending, SD_EVENT_ON);
}

static void on_taken(Port *p, const char *why);

static void keep_found(Port *p, uint64_t usec) {
        p->found = true;
        port_settle(p, PORT_HELD);
        set_timer(p, usec);
}

/* Meanwhile; or its port is gone. */
static void on_given_by_others(Port *p) {
        port_settle(p, PORT_FREE);
        (void) port_tell(p->world, SOURCE_LET_GO, p->port, "somebody else has given it back");
}

/* Whoever was at it has come to an end. */
static void on_hung(Port *p, bool held) {
        bool again = p->again && !p->world->leaving;

        p->again = false; /* held it is answered by that */
        if (held && p->found && !port_is_watched(p))
                keep_found(p, claim_usec());
        else if (held && p->found)
                port_settle(p, PORT_HELD);
        else if (held)
                on_taken(p, NULL);
        else {
                held_forget(p->port);
                port_settle(p, PORT_FREE);
                if (again)
                        press_noted(p);
        }
        port_serve(p);
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        Port *p = userdata;
        bool held = held_is_undriven(p->port);

        /* The driver's link goes before, and comes before, the kernel is done with it: nothing is told by that as long as somebody is at it. */
        if (held_is_being_written(p->port))
                set_timer(p, HANGING_USEC);
        else if (p->state == PORT_HANGING)
                on_hung(p, held);
        else if (p->state == PORT_HELD && !held)
                on_given_by_others(p);
        else if (p->state == PORT_HELD && p->back)
                port_give_back(p, p->back, false);
        else if (p->state == PORT_HELD && !port_is_claimed(p)) {
                (void) port_tell(p->world, SOURCE_BUTTON_CANCELLED, p->port, "nobody has taken the removal over in time");
                port_give_back(p, "nobody has taken the removal over in time", true);
        }
        return 0;
}

void port_await_claim(Port *p) {
        if (!p->timer)
                set_timer(p, claim_usec());
}

void port_take(Port *p) {
        port_settle(p, PORT_TAKING);
        int r = hands_work(p->world->hands, HAND_HOLD, p->port, (HandPress) { .sequence = p->sequence, .usec = p->pressed_usec });
        if (r < 0)
                on_taken(p, strerror(-r));
}

static void on_not_taken(Port *p, const char *why) {
        log_plain(LOG_WARNING, "The slot at port %s, whose button was pressed, cannot be held at once: %s.", p->port, why);
        if (!p->back)
                port_tell_press(p, false);
        port_settle(p, held_is_marked(p->port) ? PORT_HANGING : PORT_FREE);
        if (p->state == PORT_HANGING)
                set_timer(p, HANGING_USEC);
}

static void on_taken(Port *p, const char *why) {
        if (why && (!held_is_undriven(p->port) || held_is_being_written(p->port))) {
                on_not_taken(p, why);
                return;
        }
        uint64_t now = now_monotonic(), since = p->said_usec > 0 && p->said_usec < now ? p->said_usec : p->pressed_usec;
        log_plain(LOG_NOTICE, "The slot at port %s is held, %" PRIu64 " ms after its button was pressed.", p->port,
                  (now - since) / USEC_PER_MSEC);
        port_settle(p, PORT_HELD);
        if (p->back) {
                port_give_back(p, p->back, false);
                return;
        }
        if (!port_is_claimed(p))
                set_timer(p, claim_usec());
        port_tell_press(p, true);
}

void port_note_press(Port *p, SourceEventKind kind, const char *text, uint64_t said_usec) {
        p->kind = kind;
        (void) set_text(&p->text, text);
        p->pressed_usec = now_monotonic();
        p->said_usec = said_usec;
        p->unheard = true;
        if (p->unclaimed_usec > 0)
                port_disclaim(p); /* called off by this one */
}

void port_press(Port *p, SourceEventKind kind, const char *text, uint64_t said_usec) {
        port_note_press(p, kind, text, said_usec);
        p->unheard = false;
        p->again = p->state == PORT_GIVING || p->state == PORT_HANGING;
        if (!p->again) /* else as soon as it is back */
                press_noted(p);
}

void port_serve(const Port *p) {
        bool at_it = p->state == PORT_PRESSED || p->state == PORT_TAKING || p->state == PORT_HANGING || p->again;

        if (p->sequence > 0 && !at_it && !(p->unheard && p->state == PORT_FREE))
                held_serve(p->port, p->sequence);
}

static void tell_given_back(Port *p) {
        LogSubject subject = { .port = p->port };

        if (!p->unwanted) {
                log_plain(LOG_NOTICE, "The slot at port %s is given back to the kernel: %s.", p->port, p->back ?: "?");
                (void) port_tell(p->world, SOURCE_LET_GO, p->port, p->back);
                return;
        }
        log_write(LOG_WARNING, LOG_MESSAGE_GIVEN_BACK, &subject, "The slot at port %s is given back to the kernel: %s.", p->port, p->back ?: "?");
        (void) set_text(&p->news, p->back);
        port_tell_news(p);
}

void port_tell_news(Port *p) {
        if (p->news && port_tell(p->world, SOURCE_GIVEN_BACK, p->port, p->news))
                (void) set_text(&p->news, NULL);
}

static void on_given(Port *p, const char *why) {
        _cleanup_free_ char *service = NULL;
        int there = hotplug_service_of_port(p->port, &service);

        if (why && (there == -ENOENT || there == -ENODEV)) {
                log_plain(LOG_NOTICE, "Port %s is gone, and with it the slot that was held.", p->port);
                port_settle(p, PORT_FREE);
        } else if (why)
                try_again(p, why);
        else {
                tell_given_back(p);
                port_settle(p, PORT_FREE);
                if (p->again && !p->world->leaving)
                        press_noted(p);
        }
}

void port_hand_done(Port *p, HandWork work, const char *why) {
        if (work == HAND_HOLD && p->state == PORT_TAKING)
                on_taken(p, why);
        else if (work == HAND_GIVE && p->state == PORT_GIVING)
                on_given(p, why);
        port_serve(p);
}

/* What nobody has claimed in its time is nobody's, even where no guard was there to say so. */
static void find_press(Port *p) {
        uint64_t since = held_noted(p->port, HELD_UNCLAIMED);

        p->kind = SOURCE_BUTTON_PRESSED;
        p->pressed_usec = since ?: now_monotonic();
        p->unclaimed_usec = since > 0 && now_monotonic() - since < claim_usec() ? since : 0;
}

void port_hang_found(Port *p) {
        find_press(p);
        p->found = true;
        port_settle(p, PORT_HANGING);
        set_timer(p, HANGING_USEC);
}

void port_hold_found(Port *p, uint64_t usec) {
        find_press(p);
        keep_found(p, usec ?: claim_usec());
}

void port_adopt(Port *p) {
        if (p->unclaimed_usec == 0)
                return;
        p->unclaimed_usec = 0;
        p->found = false;
        p->unheard = p->state == PORT_HELD; /* else as soon as it is known what becomes of it */
}

Port *port_new(PortWorld *world, const char *address) {
        Port *p = calloc(1, sizeof(*p));
        char *copy = strdup(address);

        if (!p || !copy) {
                free(p);
                free(copy);
                return NULL;
        }
        *p = (Port) { .world = world, .port = copy };
        return p;
}
