/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "cli/text/event-text.h"
#include "cli/text/output.h"
#include "follow.h"
#include "removal.h"

enum {
        /* systemd's default restart limits allow five starts in ten seconds; a machine with a lot to look at needs the
         * rest for finding its unfinished removals again. */
        RETURN_SEC = 90,
        /* Messages; more than any removal says, so that a chatty daemon cannot keep us. */
        DRAIN_MAX = 10000,
};

void follow_done(Follow *f) {
        progress_done(&f->progress);
        listen_done(&f->listen);
        sd_event_unref(f->event);
        free(f->path);
        free(f->id);
        free(f->name);
        free(f->leds);
        json_object_put(f->end);
        json_object_put(f->properties);
        json_object_put(f->result);
}

static void on_event(json_object *event, void *userdata) {
        const char *type = json_str(event, "type");
        Follow *f = userdata;

        if (!streq_ptr(event_removal(event), f->id))
                return;

        /* The event says that there is a plan; it may be long. */
        if (streq_ptr(type, "plan") && !f->progress.silent) {
                _cleanup_json_ json_object *report = json_object_new_object();
                client_add_report(f->listen.bus, f->id, report);
                json_set(event, "plan", json_ref(json_get(report, "plan")));
        }
        progress_event(&f->progress, event);
        if (streq_ptr(type, "led")) {
                free(f->leds);
                f->leds = led_text(json_str(event, "power"), json_str(event, "attention"));
        } else if (streq_ptr(type, "end")) {
                json_object_put(f->end);
                f->end = json_ref(event);
                f->look = true;
        }
}

static int on_completed(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        Follow *f = userdata;

        if (streq_ptr(sd_bus_message_get_path(m), f->path))
                f->completed = f->look = true;
        return 0;
}

static bool is_over(const Follow *f) {
        return streq_ptr(json_str(f->properties, "state"), "ended");
}

/* Progress comes with the events; of the properties only the end matters. Whoever has had all of them and hears each change need not ask again. */
static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        _cleanup_json_ json_object *changed = NULL;
        Follow *f = userdata;

        if (!streq_ptr(sd_bus_message_get_path(m), f->path))
                return 0;
        if (!f->properties || sd_bus_message_skip(m, "s") < 0 || bus_read_properties(m, &changed) < 0)
                return 0; /* they are asked for anyway */
        if (output.json == JSON_OFF)
                json_make_printable(changed);
        json_object_object_foreach(changed, key, value)
                json_set(f->properties, key, json_ref(value));
        f->look = f->look || is_over(f);
        return 0;
}

static const char *text_of_state(const Listen *l, bool runs) {
        if (!l->cut_off)
                return runs ? "the daemon is back" : "the daemon is gone; the removal is in its journal, waiting for it to come back";
        if (client_host())
                return runs ? "the connection is back" : "the connection to that machine is lost; what runs there goes on, waiting for it to come back";
        return runs ? "the bus is back" : "the bus is gone; what runs goes on, waiting for the bus to come back";
}

static void on_daemon(bool runs, void *userdata) {
        Follow *f = userdata;

        json_object_put(TAKE_PTR(f->properties)); /* what changes meanwhile is not heard */
        if (runs)
                f->look = true;
        else
                f->deadline = now_monotonic() + RETURN_SEC * USEC_PER_SEC;
        progress_note(&f->progress, text_of_state(&f->listen, runs));
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        *(int *) userdata = (int) si->ssi_signo;
        return 0;
}

static int match(sd_bus *bus, void *userdata) {
        int r = sd_bus_match_signal(bus, NULL, BUS_NAME, NULL, BUS_REMOVAL, "Completed", on_completed, userdata);

        return r < 0 ? r : sd_bus_match_signal(bus, NULL, BUS_NAME, NULL, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed,
                                               userdata);
}

static const ListenHandler listen_handler = {
        .event = on_event,
        .daemon = on_daemon,
        .match = match,
};

int follow_signals(sd_event *event, int *ret) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                int r = sd_event_add_signal(event, NULL, signals[i], on_signal, ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

ExitCode follow_prepare(Follow *f, sd_bus *bus) {
        *f = (Follow) { 0 };
        progress_start(&f->progress);

        int r = sd_event_new(&f->event);
        if (r >= 0)
                r = listen_start(&f->listen, bus, f->event, &listen_handler, f);
        if (r >= 0)
                r = follow_signals(f->event, &f->signal);
        return r < 0 ? client_fail(r, NULL) : CODE_DONE;
}

static void set_name(Follow *f, const char *slot) {
        char *copy = slot && *slot ? strdup(slot) : NULL;

        if (copy) {
                free(f->name);
                f->name = copy;
        }
}

/* The object is gone already (ended, and forgotten) or not there yet (the daemon came back a moment ago): the history
 * knows the first, time the second. What left no record was at least heard. */
static void look_elsewhere(Follow *f) {
        if (removal_from_history(f->listen.bus, f->id, &f->result) >= 0)
                return;
        if (f->end)
                f->result = removal_of_end(f->end);
        else if (!f->deadline)
                f->deadline = now_monotonic() + RETURN_SEC * USEC_PER_SEC;
}

/* Asks the daemon, unless its end was heard. */
static int ask(Follow *f) {
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        if (is_over(f))
                return 0;
        int r = client_properties(f->listen.bus, f->path, BUS_REMOVAL, &properties, &e);
        if (r < 0)
                return r;
        json_object_put(f->properties);
        f->properties = TAKE_PTR(properties);
        return 0;
}

static void look(Follow *f) {
        if (ask(f) < 0) {
                look_elsewhere(f);
                return;
        }

        set_name(f, json_str(f->properties, "slot"));
        f->deadline = 0;
        f->look = f->completed;
        if (!is_over(f)) {
                if (json_u64(f->properties, "step_count") > 0)
                        progress_has_started(&f->progress);
                return;
        }
        client_add_report(f->listen.bus, f->id, f->properties);
        f->result = removal_of_properties(f->properties);
}

static ExitCode lost(Follow *f) {
        progress_done(&f->progress);
        return fail(CODE_UNREACHABLE, NULL,
                    "removal %s could not be followed to its end: the daemon has not answered for %d s; "
                    "ask again with: %s status %s",
                    f->id, RETURN_SEC, client_command(), f->name);
}

/* What was said before the end is in the queue by now: the bus keeps the order. */
static ExitCode finish(Follow *f) {
        for (unsigned i = 0; i < DRAIN_MAX && f->listen.bus && sd_bus_process(f->listen.bus, NULL) > 0; i++)
                continue;
        progress_done(&f->progress);
        /* The object does not say how long it took. */
        if (f->end)
                json_set(f->result, "usec", json_ref(json_get(f->end, "usec")));
        return CODE_DONE;
}

ExitCode follow_run(Follow *f, const char *path) {
        f->path = strdup(path);
        f->id = bus_name_of_path(path);
        f->name = f->id ? strdup(f->id) : NULL;
        if (!f->path || !f->name)
                return fail_memory();

        /* It may have ended before the reply was read. */
        f->look = true;
        for (;;) {
                if (f->look && !f->listen.gone)
                        look(f);
                if (!f->result && f->deadline && now_monotonic() >= f->deadline) {
                        /* Where systemd has given up restarting it, a call starts the daemon once more. */
                        if (f->listen.bus)
                                look(f);
                        if (!f->result && f->deadline)
                                return lost(f);
                }
                if (f->result)
                        return finish(f);
                if (f->signal)
                        return CODE_DETACHED;

                /* A second: the elapsed time is repainted, and a removal that is looked for is asked about again (an
                 * object that appears late has no event of its own for us). */
                int r = sd_event_run(f->event, USEC_PER_SEC);
                if (r < 0)
                        return lost(f);
                progress_tick(&f->progress);
        }
}
