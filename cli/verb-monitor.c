/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "client.h"
#include "event-text.h"
#include "format.h"
#include "output.h"
#include "removal.h"
#include "verbs.h"

static void print_event(json_object *event) {
        if (output.json != JSON_OFF) {
                json_set_str(event, "schema", "safe-remove/event/1");
                print_json(event);
        } else {
                _cleanup_free_ char *text = event_text(event);
                const char *slot = json_str(event, "slot"), *removal = event_removal(event);
                bool one = streq_ptr(json_str(event, "type"), "led");
                _cleanup_free_ char *slots = one || !json_array(event, "slots") ? NULL : slots_text(event);

                printf("%s  ", FORMAT_TIME(json_has(event, "time_usec") ? json_u64(event, "time_usec") : now_wall()));
                if (slot && *slot)
                        printf("slot %s  ", slots ?: slot);
                if (removal && *removal)
                        printf("removal %s  ", removal);
                puts(text ?: "");
        }
        /* Readers of a pipe want a line when it happens, not when the buffer is full. */
        fflush(stdout);
}

static int on_event(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        _cleanup_json_ json_object *event = NULL;
        const bool *subscribed = userdata;
        const char *text;

        /* Whoever gets more hears everything twice. */
        if (*subscribed && !sd_bus_message_get_destination(m))
                return 0;
        if (sd_bus_message_read(m, "s", &text) >= 0 && client_parse(text, &event) >= 0)
                print_event(event);
        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        _cleanup_json_ json_object *event = json_object_new_object();
        const char *name, *from, *to;
        bool *subscribed = userdata;

        if (sd_bus_message_read(m, "sss", &name, &from, &to) < 0)
                return 0;
        json_set_str(event, "type", "daemon");
        json_set_str(event, "state", *to ? "running" : "gone");
        json_set_u64(event, "time_usec", now_wall());
        print_event(event);
        *subscribed = *to && client_subscribe(sd_bus_message_get_bus(m));
        return 0;
}

/* Silence of a daemon that is not there would look like peace. This call also starts it. */
static ExitCode check_daemon(sd_bus *bus) {
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        int r = client_properties(bus, BUS_PATH, BUS_MANAGER, &properties, &e);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

static int add_matches(sd_bus *bus, bool *subscribed) {
        int r = sd_bus_match_signal(bus, NULL, BUS_NAME, BUS_PATH, BUS_MANAGER, "Event", on_event, subscribed);
        if (r < 0)
                return r;
        return sd_bus_add_match(bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg0='" BUS_NAME "'",
                                on_owner, subscribed);
}

static int loop(sd_bus *bus) {
        _cleanup_event_ sd_event *event = NULL;
        sigset_t set;

        int r = sd_event_new(&event);
        if (r < 0)
                return r;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        /* No handler: the default of sd-event leaves the loop. */
        r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_loop(event);
        sd_bus_detach_event(bus);
        return r;
}

ExitCode verb_monitor(const Args *a) {
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;

        bool subscribed = false;
        int r = add_matches(bus, &subscribed);
        if (r < 0)
                return client_fail(r, NULL);
        code = check_daemon(bus);
        if (code != CODE_DONE)
                return code;
        subscribed = client_subscribe(bus);

        r = loop(bus);
        return r == 0 ? CODE_DONE : fail(CODE_UNREACHABLE, NULL, "the bus connection was lost");
}
