/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "arrival.h"
#include "client.h"
#include "follow.h"

/* From the card to its memory device, which a driver makes. Other cards have none. */
#define SETTLE_USEC (5 * USEC_PER_SEC)

typedef struct Arrival {
        Listen listen;
        sd_event *event;
        char *path;
        json_object *slot;      /* as it was seen last; NULL: not yet */
        uint64_t up_usec;       /* since when a card is in, monotonic; 0: it is not */
        bool left;              /* the former card was seen to be gone, or whoever looks has begun anew: what is in is not what was in */
        bool look;
        int signal;
} Arrival;

static void arrival_done(Arrival *a) {
        listen_done(&a->listen);
        sd_event_unref(a->event);
        free(a->path);
        json_object_put(a->slot);
}

static void on_event(json_object *event, void *userdata) {
        (void) event;
        (void) userdata;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        Arrival *a = userdata;

        a->look = a->look || streq_ptr(sd_bus_message_get_path(m), a->path);
        return 0;
}

static void on_daemon(bool runs, void *userdata) {
        Arrival *a = userdata;

        a->look = a->look || runs; /* what changed meanwhile was not heard */
        a->left = a->left || runs;
}

static int match(sd_bus *bus, void *userdata) {
        int r = sd_bus_match_signal(bus, NULL, BUS_NAME, NULL, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, userdata);

        /* One that has gone and come back, as that of a machine whose daemon has just started. */
        return r < 0 ? r : sd_bus_match_signal(bus, NULL, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", on_changed, userdata);
}

static const ListenHandler listen_handler = {
        .event = on_event,
        .daemon = on_daemon,
        .match = match,
};

/* A restoration that the daemon has begun by itself counts too. */
static bool is_up(json_object *slot) {
        const char *card = json_str(slot, "card_address"), *state = json_str(slot, "state");

        return card && *card && !json_flag(slot, "stale") && (streq_ptr(state, "ready") || streq_ptr(state, "restoring"));
}

/* A slot is shown as the last look has it, which may have been one before the removal. */
static void look(Arrival *a) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        json_object *slot = NULL;

        a->look = false;
        if (client_properties(a->listen.bus, a->path, BUS_SLOT, &slot, &e) < 0)
                return; /* a daemon that has just started finds its slots, and says so */
        json_object_put(a->slot);
        a->slot = slot;
        a->left = a->left || streq_ptr(json_str(slot, "card_address"), "");
        a->up_usec = !a->left || !is_up(slot) ? 0 : a->up_usec ?: now_monotonic();
}

static bool is_there(const Arrival *a) {
        const char *memdev = json_str(a->slot, "memdev");

        return a->up_usec > 0 && ((memdev && *memdev) || streq_ptr(json_str(a->slot, "state"), "restoring") || now_monotonic() - a->up_usec >= SETTLE_USEC);
}

static ExitCode wait_for_card(Arrival *a, uint64_t deadline, json_object **ret) {
        for (;;) {
                if (a->look && !a->listen.gone && a->listen.bus)
                        look(a);
                if (is_there(a)) {
                        *ret = TAKE_PTR(a->slot);
                        return CODE_DONE;
                }
                uint64_t now = now_monotonic();
                if (a->signal || now >= deadline)
                        return a->signal ? CODE_DETACHED : CODE_NO_CARD;
                /* Nothing is asked while nothing happens; but a card that is up has its time. */
                uint64_t until = a->up_usec > 0 && a->up_usec + SETTLE_USEC < deadline ? a->up_usec + SETTLE_USEC : deadline;
                int r = sd_event_run(a->event, until > now ? until - now : 0);
                if (r < 0)
                        return client_fail(r, NULL);
        }
}

/* A card is in at the first look: it may be the former one, as the daemon saw it last before the removal. That is over once the daemon has looked again, whether
 * what it found is too long for this answer or not. */
static void look_afresh(Arrival *a) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        look(a);
        if (a->left)
                return;
        int r = sd_bus_call_method(a->listen.bus, BUS_NAME, BUS_PATH, BUS_MANAGER, "GetTopology", &e, NULL, "");
        a->left = r >= 0 || sd_bus_error_has_name(&e, BUS_NAME ".Error.TooLarge");
        a->look = true;
}

ExitCode arrival_wait(const char *slot, uint32_t sec, json_object **ret) {
        _cleanup_(arrival_done) Arrival a = { 0 };
        uint64_t deadline = now_monotonic() + sec * USEC_PER_SEC;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;
        int r = sd_bus_path_encode(BUS_SLOT_PREFIX, slot, &a.path);
        if (r >= 0)
                r = sd_event_new(&a.event);
        if (r >= 0)
                r = listen_start(&a.listen, bus, a.event, &listen_handler, &a);
        if (r >= 0)
                r = follow_signals(a.event, &a.signal);
        if (r < 0)
                return client_fail(r, NULL);
        look_afresh(&a);
        return wait_for_card(&a, deadline, ret);
}
