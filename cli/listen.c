/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "client.h"
#include "listen.h"

/* A daemon that died is there again in a tenth of a second. Another machine is asked by a program that we start each time. */
#define RETRY_USEC (200 * USEC_PER_MSEC)
#define RETRY_REMOTE_USEC (2 * USEC_PER_SEC)

void listen_done(Listen *l) {
        sd_event_source_disable_unref(l->retry);
        if (l->bus)
                sd_bus_detach_event(l->bus);
        sd_bus_unref(l->bus);
        sd_event_unref(l->event);
}

static int on_event(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        _cleanup_json_ json_object *event = NULL;
        Listen *l = userdata;
        const char *text;

        /* Whoever gets more hears everything twice. */
        if (l->subscribed && !sd_bus_message_get_destination(m))
                return 0;
        if (sd_bus_message_read(m, "s", &text) >= 0 && client_parse(text, &event) >= 0)
                l->handler->event(event, l->userdata);
        return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        Listen *l = userdata;

        l->subscribed = !sd_bus_message_is_method_error(m, NULL);
        return 0;
}

/* To events with everything in them, which root gets and who may read details; others hear those that all hear. Nobody waits for the answer: it comes before all that
 * only a subscriber is told, and what is asked next is answered after it. */
static int subscribe(Listen *l) {
        return sd_bus_call_method_async(l->bus, NULL, BUS_NAME, BUS_PATH, BUS_MANAGER, "Subscribe", on_subscribed, l, "");
}

static void take_state(Listen *l, bool runs) {
        if (l->gone != runs)
                return;
        l->gone = !runs;
        l->subscribed = false;
        if (runs)
                (void) subscribe(l);
        l->handler->daemon(runs, l->userdata);
        l->cut_off = l->cut_off && !runs;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        const char *name, *from, *to;
        Listen *l = userdata;

        if (sd_bus_message_read(m, "sss", &name, &from, &to) < 0)
                return 0;
        if (*to && *from)
                take_state(l, false); /* another one, without a break that was heard */
        take_state(l, *to);
        return 0;
}

static int retry_later(Listen *l);

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        Listen *l = userdata;

        l->cut_off = sd_bus_is_bus_client(l->bus) > 0;
        l->bus = sd_bus_close_unref(l->bus);
        take_state(l, false);
        return retry_later(l);
}

static int hear(Listen *l) {
        int r = sd_bus_attach_event(l->bus, l->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal(l->bus, NULL, BUS_NAME, BUS_PATH, BUS_MANAGER, "Event", on_event, l);
        if (r >= 0)
                r = sd_bus_match_signal_async(l->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, l);
        /* On root's own way to the daemon nobody says this; its end is the connection's. */
        if (r >= 0 && sd_bus_is_bus_client(l->bus) > 0)
                r = sd_bus_add_match(l->bus, NULL, "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" BUS_NAME "'", on_owner, l);
        if (r >= 0 && l->handler->match)
                r = l->handler->match(l->bus, l->userdata);
        return r;
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata) {
        Listen *l = userdata;

        if ((l->by_bus ? client_open_to_change(&l->bus) : client_open(&l->bus)) < 0)
                return retry_later(l);
        if (hear(l) < 0) {
                l->bus = sd_bus_close_unref(l->bus);
                return retry_later(l);
        }
        if (client_is_there(l->bus))
                take_state(l, true);
        return 0;
}

static int retry_later(Listen *l) {
        l->retry = sd_event_source_disable_unref(l->retry);
        return sd_event_add_time_relative(l->event, &l->retry, CLOCK_MONOTONIC, client_host() ? RETRY_REMOTE_USEC : RETRY_USEC, 0, on_retry, l);
}

int listen_start(Listen *l, sd_bus *bus, sd_event *event, const ListenHandler *handler, void *userdata) {
        *l = (Listen) { .bus = sd_bus_ref(bus), .event = sd_event_ref(event), .handler = handler, .userdata = userdata };
        l->by_bus = sd_bus_is_bus_client(bus) > 0;

        int r = hear(l);
        return r < 0 ? r : subscribe(l);
}
