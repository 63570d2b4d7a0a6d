/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/listen.h"
#include "cli/removal.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

static void print_event(json_object *event) {
        if (output.json != JSON_OFF) {
                json_set_str(event, "schema", "safe-remove/event/1");
                print_json(event);
        } else {
                _cleanup_free_ char *line = event_line(event);

                printf("%s  %s\n", FORMAT_TIME(json_has(event, "time_usec") ? json_u64(event, "time_usec") : now_wall()), line ?: "");
        }
        /* Readers of a pipe want a line when it happens, not when the buffer is full. */
        fflush(stdout);
}

static void on_event(json_object *event, void *userdata) {
        print_event(event);
}

static void on_daemon(bool runs, void *userdata) {
        _cleanup_json_ json_object *event = json_object_new_object();

        json_set_str(event, "type", "daemon");
        json_set_str(event, "state", runs ? "running" : "gone");
        json_set_u64(event, "time_usec", now_wall());
        print_event(event);
}

static const ListenHandler listen_handler = {
        .event = on_event,
        .daemon = on_daemon,
};

static int leave_at_signals(sd_event *event) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        /* No handler: the default of sd-event leaves the loop. */
        int r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
}

ExitCode verb_monitor(const Args *a) {
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(listen_done) Listen l = { 0 };
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        /* Who may read details hears them on the bus alone. */
        ExitCode code = client_connect_to_change(&bus);
        if (code != CODE_DONE)
                return code;
        /* Silence of a daemon that is not there would look like peace. This call also starts it. */
        int r = client_properties(bus, BUS_PATH, BUS_MANAGER, &properties, &e);
        if (r < 0)
                return client_fail(r, &e);

        r = sd_event_new(&event);
        if (r >= 0)
                r = listen_start(&l, bus, event, &listen_handler, NULL);
        if (r >= 0)
                on_daemon(true, NULL); /* from here on nothing is missed: scripts wait for this line */
        if (r >= 0)
                r = leave_at_signals(event);
        if (r >= 0)
                r = sd_event_loop(event);
        return r < 0 ? client_fail(r, NULL) : CODE_DONE;
}
