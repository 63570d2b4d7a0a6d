/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "daemon/caller/ask.h"
#include "daemon/caller/question.h"
#include "daemon/caller/sub-uid.h"
#include "daemon/caller/who.h"
#include "light.h"
#include "manager.h"

/* What happened, and what is to be done about it. */

static const Source *const sources[MANAGER_SOURCES] = { [SOURCE_GUARD] = &source_guard, [SOURCE_UDEV] = &source_udev };

#define BESIDE_REMOVAL_USEC (5 * USEC_PER_SEC)

void manager_free(Manager *m) {
        if (!m)
                return;
        for (size_t i = 0; i < MANAGER_SOURCES; i++)
                sources[i]->stop(m->source_states[i]);
        lights_free(m);
        manager_free_reading(m);
        question_free(m->came_back);
        sub_uid_end();
        scanner_free(m->scanner);
        asks_free(m->asks);
        who_free(m->who);
        sd_bus_track_unref(m->subscribers);
        manager_free_removals(m);
        manager_free_slots(m);
        json_object_put(m->topology);
        json_object_put(m->recalled);
        buses_free(m->buses);
        sd_event_unref(m->event);
        free(m);
}

int manager_new(sd_event *event, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;

        m->event = sd_event_ref(event);
        m->source_context = (SourceContext) { .event = event, .emit = manager_on_source_event, .userdata = m };

        int r = scanner_new(event, manager_take_scan, m, &m->scanner);
        if (r < 0)
                return r;
        r = asks_new(event, &m->asks);
        if (r < 0)
                return r;
        r = who_new(&m->who);
        if (r < 0)
                return r;
        r = buses_new(event, &manager_buses_handler, m, &m->buses);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(m);
        return 0;
}

/* A source that cannot be started is no reason to leave the others, and the command, unserved. */
static void start_sources(Manager *m) {
        for (size_t i = 0; i < MANAGER_SOURCES; i++) {
                int r = sources[i]->start(&m->source_context, &m->source_states[i]);
                if (r < 0)
                        log_write(LOG_ERR, LOG_MESSAGE_SOURCE_FAILED, NULL, "The source \"%s\" cannot be used: %s. Without it %s.",
                                        sources[i]->name, strerror(-r), sources[i]->without);
        }
}

int manager_start(Manager *m) {
        /* Before anything is started: a second daemon must not resume what a first one is about to finish. */
        int r = buses_open(m->buses);
        if (r < 0)
                return r;
        start_sources(m);
        sub_uid_begin(m->event);

        r = manager_read_records(m);
        if (r < 0)
                log_plain(LOG_ERR, "The daemon cannot be set up: %s", strerror(-r));
        return r;
}

void manager_rescan(Manager *m) {
        int r = scanner_want(m->scanner, NULL, NULL);
        if (r < 0)
                log_plain(LOG_ERR, "The machine cannot be scanned: %s. Is the worker program installed?", strerror(-r));
}

/* An event of the daemon's own for whoever watches the bus. */
static json_object *event_about(Manager *m, const char *type, const char *port, const char *text) {
        json_object *event = json_object_new_object();
        const ManagedSlot *s = port ? manager_slot_at_port(m, port) : NULL;

        json_set_str(event, "type", type);
        if (port)
                json_set_str(event, "port", port);
        if (s)
                json_set_str(event, "slot", slot_get(s, SLOT_TEXT_NAME));
        if (text)
                json_set_str(event, "message", text);
        return event;
}

static void tell(Manager *m, const char *type, const char *port, const char *text) {
        _cleanup_json_ json_object *event = event_about(m, type, port, text);

        manager_bus_event(m, NULL, event);
}

static void log_about(Manager *m, int priority, LogMessage message, const char *port, const char *what) {
        const ManagedSlot *s = manager_slot_at_port(m, port);
        const char *name = s ? slot_get(s, SLOT_TEXT_NAME) : NULL;
        LogSubject subject = { .slot = name };

        log_write(priority, message, &subject, "Slot %s (port %s): %s.", name ?: "?", port, what);
}

static int ask(Manager *m, Trigger trigger, const char *target) {
        _cleanup_json_ json_object *by = json_object_new_object();

        /* Whoever can press the button or write to a device's uevent attribute needs no further permission. */
        json_set_u64(by, "uid", 0);
        json_set_u64(by, "pid", 0);
        json_set_str(by, "comm", trigger_to_string(trigger));

        int r = manager_remove(m, (RemovalRequest) { .trigger = trigger, .target = target, .by = by }, NULL);
        if (r < 0)
                log_plain(LOG_ERR, "The removal of %s cannot be started: %s. Is the worker program installed?", target, strerror(-r));
        return r;
}

static void cancel_at(Manager *m, const char *port, const char *said) {
        Removal *enquiry = manager_enquiry_at_port(m, port), *running = manager_running_holding(m, port);

        if (enquiry)
                manager_drop_enquiry(enquiry); /* nothing has been touched for it, and the kernel stopped its own clock */
        if (running)
                log_about(m, LOG_NOTICE, LOG_MESSAGE_BUTTON, port,
                                removal_cancel(running, "button") < 0 ? "button pressed, too late to cancel" : said);
}

static void on_pressed(Manager *m, const SourceEvent *e) {
        _cleanup_free_ char *target = strf("port:%s", e->port);

        Removal *running = manager_running_holding(m, e->port);

        if (e->again) {
                if (!running && !manager_enquiry_at_port(m, e->port))
                        manager_give_back_press(m, e->port, "what was to be done for the press has been done");
                return;
        }
        tell(m, "button", e->port, "pressed");
        if (running) {
                /* Heard of by the kernel log, so pciehp has the slot already and counts its 5 s: looked at when this one ends. */
                running->pressed = running->pressed || e->text;
                cancel_at(m, e->port, "button pressed again, the removal is cancelled");
                return;
        }
        if (!target || manager_enquiry_at_port(m, e->port))
                return;

        log_about(m, LOG_NOTICE, LOG_MESSAGE_BUTTON, e->port, e->held ? "button pressed; the slot is held" : "button pressed");
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
        tell(m, "button", e->port, "cancelled");
        cancel_at(m, e->port, "button pressed again, the removal is cancelled");
}

static void on_requested(Manager *m, const SourceEvent *e) {
        log_write(LOG_NOTICE, LOG_MESSAGE_REQUEST, NULL, "A device event asks for the removal of %s.", e->bdf);
        tell(m, "request", NULL, e->bdf);
        (void) ask(m, TRIGGER_UEVENT, e->bdf);
}

static void on_unserved(Manager *m, const SourceEvent *e) {
        log_write(LOG_WARNING, LOG_MESSAGE_REQUEST_UNSERVED, NULL,
                        "%s to be removed. It is in no slot that safe-remove manages, so this request is not served.", e->text);
        tell(m, "request-unserved", NULL, e->text);
}

/* A removal makes hundreds of events, and a scan beside it would read what the kernel has locked for it. Its end is
 * followed by a scan anyway; what happens elsewhere meanwhile has a moment's time. */
static void on_topology_changed(Manager *m, const SourceEvent *e) {
        if (!manager_any_running(m) || scanner_want_within(m->scanner, BESIDE_REMOVAL_USEC) < 0)
                manager_rescan(m);
}

static void on_lost(Manager *m, const SourceEvent *e) {
        log_write(LOG_WARNING, LOG_MESSAGE_EVENTS_LOST, NULL, "Lost %s: looking at every slot instead.", e->text);
        tell(m, "kmsg-lost", NULL, e->text);
        m->look_for_presses = true;
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

/* Also before the worker that goes on has said so. */
static bool may_go(const Removal *r) {
        return r->state == REMOVAL_FINISHING || (r->finishing && r->state != REMOVAL_RESTORING);
}

static void judge_gone(Manager *m, const char *port) {
        const ManagedSlot *s = manager_slot_at_port(m, port);
        Removal *running = manager_running_holding(m, port);

        /* Behind the power-off a card may be pulled; and other cards than memory (an NVMe drive, say) may be at any time. Whether a slot that
         * is safe has a card is what the next scan will tell. */
        if (running ? may_go(running) : s && (s->outcome == OUTCOME_SAFE || !*slot_get(s, SLOT_TEXT_MEMDEV)))
                return;

        log_about(m, LOG_CRIT, LOG_MESSAGE_CARD_GONE, port, "the card was pulled without being safe to pull");
        tell(m, "card-gone", port, NULL);
        if (running)
                (void) removal_cancel(running, "card-gone");
        manager_rescan(m);
}

static int on_gone_turn(sd_event_source *source, void *userdata) {
        Gone *g = userdata;

        if (++g->turns < GONE_TURNS)
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        judge_gone(g->manager, g->port);
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
                judge_gone(m, e->port);
}

/* A line of the journal may be long, but not without end. */
static char *in_one_line(json_object *lines) {
        char *text = strdup("");

        for (size_t i = 0; text && i < json_len(lines); i++) {
                char *longer = strf("%s%s%s", text, i > 0 ? "; " : "", json_object_get_string(json_at(lines, i)));
                free(text);
                text = longer;
        }
        return text;
}

void manager_card_lost(Manager *m, const ManagedSlot *s, json_object *lost) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);
        _cleanup_json_ json_object *event = event_about(m, "card-lost", port, s->left);
        _cleanup_free_ char *all = in_one_line(lost);
        _cleanup_free_ char *what = strf("the card was pulled or lost its power while it was in use, and not all of it is gone (%s): what was on it "
                                         "is lost, and whoever uses it may take the machine down; restart the machine. Lost: %s",
                                         s->left, all && *all ? all : "see safe-remove verify");

        log_about(m, LOG_CRIT, LOG_MESSAGE_CARD_LOST, port, what ?: "the card was pulled or lost its power, and not all of it is gone");
        if (lost)
                json_set(event, "lost", json_ref(lost));
        manager_bus_event(m, NULL, event);
}

static bool has_device(json_object *disks, const char *device) {
        for (size_t i = 0; i < json_len(disks); i++)
                if (streq_ptr(json_str(json_at(disks, i), "device"), device))
                        return true;
        return false;
}

static void tell_disk_lost(Manager *m, json_object *disk) {
        const char *device = json_str(disk, "device") ?: "?", *slot = json_str(disk, "slot");
        _cleanup_json_ json_object *event = event_about(m, "disk-lost", NULL, device);
        _cleanup_free_ char *all = in_one_line(json_array(disk, "lost"));
        LogSubject subject = { .slot = slot };

        log_write(LOG_CRIT, LOG_MESSAGE_DISK_LOST, &subject, "The disk %s is gone and still in use; %s. Lost: %s", device,
                  slot ? "its slot has another card now" : "nothing tells which slot it was in", all ?: "?");
        if (slot)
                json_set_str(event, "slot", slot);
        json_set(event, "lost", json_ref(json_array(disk, "lost")));
        manager_bus_event(m, NULL, event);
}

void manager_disks_lost(Manager *m, json_object *before, json_object *now) {
        for (size_t i = 0; i < json_len(now); i++)
                if (!has_device(before, json_str(json_at(now, i), "device")))
                        tell_disk_lost(m, json_at(now, i));
}

/* The attention LED is the part of the light that is ours to write. It goes off again when the power LED says by itself that the
 * card must not be pulled (manager-slots.c). */
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
        log_about(m, LOG_WARNING, LOG_MESSAGE_WITHDRAWN, e->port, what ?: "no longer safe to pull");
        tell(m, "withdrawn", e->port, e->text);
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

/* The guard has written it to the journal, whether anybody was there or not. */
static void on_given_back(Manager *m, const SourceEvent *e) {
        tell(m, "given-back", e->port, e->text);
        manager_rescan(m);
}

static void (*const handlers[_SOURCE_EVENT_KIND_MAX])(Manager *m, const SourceEvent *e) = {
        [SOURCE_BUTTON_PRESSED] = on_pressed,
        [SOURCE_BUTTON_MISSED] = on_missed,
        [SOURCE_BUTTON_CANCELLED] = on_cancelled,
        [SOURCE_GIVEN_BACK] = on_given_back,
        [SOURCE_REMOVAL_REQUESTED] = on_requested,
        [SOURCE_REQUEST_UNSERVED] = on_unserved,
        [SOURCE_TOPOLOGY_CHANGED] = on_topology_changed,
        [SOURCE_EVENTS_LOST] = on_lost,
        [SOURCE_CARD_GONE] = on_card_gone,
        [SOURCE_LIGHT_OVER] = on_light_over,
        [SOURCE_LIGHT_UNTRUE] = on_untrue,
};

void manager_on_source_event(const SourceEvent *event, void *userdata) {
        handlers[event->kind](userdata, event);
}
