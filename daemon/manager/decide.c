/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "decide.h"
#include "incident/incidents.h"
#include "inhibitors.h"
#include "light.h"
#include "policy.h"
#include "ports.h"
#include "records.h"
#include "removals.h"
#include "slots.h"
#include "stays.h"

/* Decides what is done about each event of a source. */

#define BESIDE_REMOVAL_USEC (5 * USEC_PER_SEC)

static int ask(Manager *m, Trigger trigger, const char *target) {
        _cleanup_json_ json_object *by = json_object_new_object();

        /* Whoever can press the button or write to a device's uevent attribute needs no further permission. It is no user who asks. */
        json_set(by, "uid", NULL);
        json_set(by, "pid", NULL);
        json_set_str(by, "comm", trigger_to_string(trigger));

        int r = manager_remove(m, (RemovalRequest) { .trigger = trigger, .target = target, .by = by });
        if (r < 0)
                log_plain(LOG_ERR, "The removal of %s cannot be started: %s. Is the worker program installed?", target, strerror(-r));
        return r;
}

static void cancel_at(Manager *m, const char *port, const char *said) {
        Removal *enquiry = manager_enquiry_at_port(m, port), *running = manager_running_holding(m, port);

        if (enquiry)
                manager_drop_enquiry(enquiry); /* nothing has been touched for it, and the kernel stopped its own clock */
        if (running)
                manager_log_about(m, LOG_NOTICE, LOG_MESSAGE_BUTTON, port,
                                removal_cancel(running, "button") < 0 ? "button pressed, too late to cancel" : said);
}

static void on_pressed(Manager *m, const SourceEvent *e) {
        _cleanup_free_ char *target = strf("port:%s", e->port);

        Removal *running = manager_running_holding(m, e->port);

        if (e->held)
                manager_show_held(m, e->port, true);
        if (e->again) {
                if (!running && !manager_enquiry_at_port(m, e->port))
                        manager_give_back_press(m, e->port, "the press has been answered already");
                return;
        }
        manager_tell_about(m, "button", e->port, "pressed");
        if (running) {
                /* Heard of by the kernel log, so pciehp has the slot already and counts its 5 s: looked at when this one ends. */
                running->pressed = running->pressed || e->text;
                cancel_at(m, e->port, "button pressed again, the removal is cancelled");
                return;
        }
        if (!target || manager_enquiry_at_port(m, e->port))
                return;

        manager_log_about(m, LOG_NOTICE, LOG_MESSAGE_BUTTON, e->port, e->held ? "button pressed; the slot is held" : "button pressed");
        if (ask(m, TRIGGER_BUTTON, target) < 0)
                manager_give_back_press(m, e->port, "no removal could be started");
}

static void on_missed(Manager *m, const SourceEvent *e) {
        /* Somebody else has noticed in the meantime. */
        if (manager_running_holding(m, e->port) || manager_enquiry_at_port(m, e->port))
                return;
        on_pressed(m, e);
}

static void on_cancelled(Manager *m, const SourceEvent *e) {
        manager_tell_about(m, "button", e->port, "cancelled");
        cancel_at(m, e->port, "button pressed again, the removal is cancelled");
}

static void on_requested(Manager *m, const SourceEvent *e) {
        log_write(LOG_NOTICE, LOG_MESSAGE_REQUEST, NULL, "A device event asks for the removal of %s.", e->bdf);
        manager_tell_about(m, "request", NULL, e->bdf);
        (void) ask(m, TRIGGER_UEVENT, e->bdf);
}

static void on_unserved(Manager *m, const SourceEvent *e) {
        log_write(LOG_WARNING, LOG_MESSAGE_REQUEST_UNSERVED, NULL,
                        "%s to be removed. It is in no slot that safe-remove manages, so this request is not served.", e->text);
        manager_tell_about(m, "request-unserved", NULL, e->text);
}

/* What a removal or a restoration brings is none that has come: it knows itself how that was. */
static void on_memory_came(Manager *m, const SourceEvent *e) {
        m->stays_arrived = m->stays_arrived || !manager_any_running(m);
}

/* A removal makes hundreds of events, and a scan beside it would read what the kernel has locked for it. Its end is
 * followed by a scan anyway; what happens elsewhere meanwhile has a moment's time. */
static void on_topology_changed(Manager *m, const SourceEvent *e) {
        manager_stays_changed(m);
        if (!manager_any_running(m) || scanner_want_within(m->scanner, BESIDE_REMOVAL_USEC) < 0)
                manager_rescan(m);
}

static void on_lost(Manager *m, const SourceEvent *e) {
        log_write(LOG_WARNING, LOG_MESSAGE_EVENTS_LOST, NULL, "Lost %s: looking at every slot instead.", e->text);
        manager_tell_about(m, "kmsg-lost", NULL, e->text);
        m->look_for_presses = true;
        manager_held_by_looks(m, NULL); /* that a slot was let go may be among it */
        manager_rescan(m);
}

/* A card that is seen to be gone, until it is known what that means. */
typedef struct Gone {
        Manager *manager;
        char *port;
        unsigned turns;
} Gone;

enum {
        GONE_TURNS = 8, /* of the event loop; a worker's socket is empty after fewer */
};

static void gone_free(void *userdata) {
        Gone *g = userdata;

        free(g->port);
        free(g);
}

static int on_gone_turn(sd_event_source *source, void *userdata) {
        Gone *g = userdata;

        if (++g->turns < GONE_TURNS)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        manager_doubt_card(g->manager, g->port, "card-gone", NULL);
        return sd_event_source_set_floating(source, false);
}

/* The card may have gone after its worker has said that it may, in lines that are waiting still: a daemon that got no turn for a while finds
 * all of it at once, in any order. Sources with news are served by turns, so that a few turns later the lines have been heard. */
static int gone_later(Manager *m, const char *port) {
        sd_event_source *source;
        Gone *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        *g = (Gone) { .manager = m, .port = strdup(port) };
        int r = g->port ? sd_event_add_defer(m->event, &source, on_gone_turn, g) : -ENOMEM;
        if (r < 0) {
                gone_free(g);
                return r;
        }
        (void) sd_event_source_set_destroy_callback(source, gone_free);
        (void) sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
        return 0;
}

static void on_card_gone(Manager *m, const SourceEvent *e) {
        if (gone_later(m, e->port) < 0)
                manager_doubt_card(m, e->port, "card-gone", NULL);
}

static void on_card_doubted(Manager *m, const SourceEvent *e) {
        manager_doubt_card(m, e->port, "card-doubted", e->text);
        manager_rescan(m);
}

/* The attention LED is the part of the light that is ours to write. It goes off again when the power LED says by itself that the
 * card must not be pulled (slots.c). */
static void on_untrue(Manager *m, const SourceEvent *e) {
        _cleanup_free_ char *what = strf("no longer safe to pull: %s", e->text);
        ManagedSlot *s = manager_slot_at_port(m, e->port);

        manager_want(m, e->port, PORT_WANT_NOTHING);
        if (!s || manager_running_at_port(m, e->port))
                return;
        s->withdrawn = true;
        s->outcome = _OUTCOME_INVALID;
        if (light_attention(m, s, "on") < 0)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be turned on.", slot_get(s, SLOT_TEXT_NAME));
        manager_refresh_slot(s);
        manager_log_about(m, LOG_WARNING, LOG_MESSAGE_WITHDRAWN, e->port, what ?: "no longer safe to pull");
        manager_tell_about(m, "withdrawn", e->port, e->text);
        manager_rescan(m);
}

/* The card is out, as it may be: nobody looks after the light of an empty slot, nor of the next card. */
static void on_light_over(Manager *m, const SourceEvent *e) {
        const ManagedSlot *s = manager_slot_at_port(m, e->port);

        if (!manager_running_holding(m, e->port))
                manager_want(m, e->port, PORT_WANT_NOTHING);
        if (s && s->view.occupied)
                manager_rescan(m);
}

/* From now on it is the looks again that see who has the slot; the one under way may have begun before. */
static void on_let_go(Manager *m, const SourceEvent *e) {
        manager_show_held(m, e->port, false);
        manager_held_by_looks(m, e->port);
        scanner_distrust(m->scanner);
        manager_rescan(m);
}

/* The guard has written it to the journal, whether anybody was there or not. */
static void on_given_back(Manager *m, const SourceEvent *e) {
        manager_tell_about(m, "given-back", e->port, e->text);
        on_let_go(m, e);
}

static void (*const handlers[_SOURCE_EVENT_KIND_MAX])(Manager *m, const SourceEvent *e) = {
        [SOURCE_BUTTON_PRESSED] = on_pressed,
        [SOURCE_BUTTON_MISSED] = on_missed,
        [SOURCE_BUTTON_CANCELLED] = on_cancelled,
        [SOURCE_GIVEN_BACK] = on_given_back,
        [SOURCE_LET_GO] = on_let_go,
        [SOURCE_REMOVAL_REQUESTED] = on_requested,
        [SOURCE_REQUEST_UNSERVED] = on_unserved,
        [SOURCE_MEMORY_CAME] = on_memory_came,
        [SOURCE_TOPOLOGY_CHANGED] = on_topology_changed,
        [SOURCE_EVENTS_LOST] = on_lost,
        [SOURCE_CARD_GONE] = on_card_gone,
        [SOURCE_CARD_DOUBTED] = on_card_doubted,
        [SOURCE_LIGHT_OVER] = on_light_over,
        [SOURCE_LIGHT_UNTRUE] = on_untrue,
};

static void on_source_event(const SourceEvent *event, void *userdata) {
        handlers[event->kind](userdata, event);
}

static const Source *const sources[MANAGER_SOURCES] = { [SOURCE_GUARD] = &source_guard, [SOURCE_UDEV] = &source_udev };

static void free_removals(Manager *m) {
        for (size_t i = 0; i < m->n_removals; i++)
                removal_free(m->removals[i]);
        free(m->removals);
        m->removals = NULL;
        m->n_removals = m->a_removals = 0;
}

static void free_slots(Manager *m) {
        for (size_t i = 0; i < m->n_slots; i++)
                slot_free(m->slots[i]);
        free(m->slots);
        m->slots = NULL;
        m->n_slots = m->a_slots = 0;
}

void manager_free(Manager *m) {
        if (!m)
                return;
        for (size_t i = 0; i < MANAGER_SOURCES; i++)
                sources[i]->stop(m->source_states[i]);
        lights_free(m);
        manager_free_incidents(m);
        manager_inhibitors_free(m);
        manager_free_reading(m);
        question_free(m->came_back);
        manager_free_reload(m);
        manager_free_stays(m);
        manager_free_late(m);
        scanner_free(m->scanner);
        free_removals(m);
        free_slots(m);
        json_object_put(m->topology);
        json_object_put(m->recalled);
        json_object_put(m->recalled_last);
        sd_event_unref(m->event);
        free(m);
}

static json_object *inhibitors_of(void *userdata) {
        return manager_inhibitors(userdata);
}

int manager_new(sd_event *event, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;

        m->event = sd_event_ref(event);
        m->owner = (RemovalOwner) {
                .event = event, .found = manager_removal_found, .unstartable = manager_removal_unstartable, .died = manager_removal_died,
                .inhibitors = inhibitors_of, .userdata = m,
        };
        m->source_context = (SourceContext) { .event = event, .emit = on_source_event, .userdata = m };

        int r = scanner_new(event, manager_take_scan, m, &m->scanner);
        if (r < 0)
                return r;
        r = manager_inhibitors_start(m);
        if (r < 0)
                return r;
        /* What others show of a slot, or tell, comes last: they listen when this is done. */
        removal_listen(&m->owner, &slots_listener, m);
        removal_listen(&m->owner, &lights_listener, m);
        removal_listen(&m->owner, &ports_listener, m);
        removal_listen(&m->owner, &inhibitors_listener, m);
        removal_listen(&m->owner, &records_listener, m);
        removal_listen(&m->owner, &incidents_listener, m);
        removal_listen(&m->owner, &late_listener, m);

        *ret = TAKE_PTR(m);
        return 0;
}

int manager_start(Manager *m) {
        /* A source that cannot be started is no reason to leave the others, and the command, unserved. */
        for (size_t i = 0; i < MANAGER_SOURCES; i++) {
                int r = sources[i]->start(&m->source_context, &m->source_states[i]);
                if (r < 0)
                        log_write(LOG_ERR, LOG_MESSAGE_SOURCE_FAILED, NULL, "The source \"%s\" cannot be used: %s. Without it %s.",
                                        sources[i]->name, strerror(-r), sources[i]->without);
        }

        int r = manager_read_records(m);
        if (r < 0)
                log_plain(LOG_ERR, "The daemon cannot be set up: %s", strerror(-r));
        return r;
}
