/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/listen.h"
#include "cli/removal.h"
#include "cli/text/event-text.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "cli/view/screen.h"
#include "cli/view/slots-view.h"
#include "cli/view/watch-view.h"
#include "verbs.h"

enum {
        ROWS_DEFAULT = 24,
        EVENTS_MAX = 200,       /* more than any screen shows */
        DRAIN_MAX = 500,        /* messages that are taken before the screen is drawn once more */
};

#define TICK_USEC USEC_PER_SEC

typedef struct Watch {
        Listen listen;
        sd_event *event;
        Screen screen;
        json_object *slots, *removals, *topology, *events;
        json_object *doing;     /* what the step of a removal is at, by the removal's id */
        bool ask;               /* for all objects, at the next turn */
        bool look;              /* for what the cards have, too */
        bool looks;             /* that is under way */
        bool leave;
        char *problem;
        uint64_t known_usec;    /* when all of it was so */
} Watch;

static void watch_done(Watch *w) {
        screen_leave(&w->screen);
        listen_done(&w->listen);
        sd_event_unref(w->event);
        json_object_put(w->slots);
        json_object_put(w->removals);
        json_object_put(w->topology);
        json_object_put(w->events);
        json_object_put(w->doing);
        free(w->problem);
}

#define _cleanup_watch_ _cleanup_(watch_done)

/* What is heard. */

static void add_event(Watch *w, json_object *event) {
        const char *when = FORMAT_TIME(json_has(event, "time_usec") ? json_u64(event, "time_usec") : now_wall()), *blank = strchr(when, ' ');
        _cleanup_free_ char *line = event_line(event);

        if (json_len(w->events) >= EVENTS_MAX)
                json_object_array_del_idx(w->events, 0, 1);
        json_append_strf(w->events, "%s  %s", blank ? blank + 1 : when, line ?: "");
}

/* How far a step is, and that it has begun, is said above the events. */
static bool is_progress(json_object *event) {
        const char *type = json_str(event, "type"), *phase = json_str(event, "phase");

        return streq_ptr(type, "progress") || (streq_ptr(type, "step") && (streq_ptr(phase, "do") || streq_ptr(phase, "undo")));
}

static void on_event(json_object *event, void *userdata) {
        Watch *w = userdata;
        const char *type = json_str(event, "type"), *id = event_removal(event), *text = json_str(event, "text");
        json_object *removal = json_find(w->removals, "id", id);

        if (!is_progress(event))
                add_event(w, event);
        if (!id)
                return;
        if (streq_ptr(type, "progress"))
                json_set_strf(w->doing, id, "%" PRIu64 " of %" PRIu64 "%s%s", json_u64(event, "done"), json_u64(event, "of"), text ? ": " : "", text ?: "");
        else if (streq_ptr(type, "waiting"))
                json_set_str(w->doing, id, "waits for another removal to end");
        else if (streq_ptr(type, "step") || streq_ptr(type, "end"))
                json_object_object_del(w->doing, id);
        if (removal && (streq_ptr(type, "plan") || streq_ptr(type, "end")))
                json_set_bool(removal, "ask", true);
}

/* What the cards have is asked for once more when there are others. */
static bool is_about_card(const char *key) {
        return streq(key, "memdev") || streq(key, "serial") || streq(key, "card_address");
}

/* It was another one's. */
static void forget_memory(Watch *w, json_object *slot) {
        json_set(slot, "ram_bytes", NULL);
        json_set(slot, "pmem_bytes", NULL);
        w->look = true;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        _cleanup_free_ char *name = bus_name_of_path(sd_bus_message_get_path(m));
        _cleanup_json_ json_object *changed = NULL;
        const char *interface;
        Watch *w = userdata;

        if (!name || sd_bus_message_read(m, "s", &interface) < 0 || bus_read_properties(m, &changed) < 0)
                return 0;
        json_object *object = streq(interface, BUS_SLOT) ? json_find(w->slots, "name", name) :
                              streq(interface, BUS_REMOVAL) ? json_find(w->removals, "id", name) : NULL;
        if (!object) {
                w->ask = true;
                return 0;
        }
        json_make_printable(changed);
        bool removal = streq(interface, BUS_REMOVAL);
        json_object_object_foreach(changed, key, value) {
                if (is_about_card(key))
                        forget_memory(w, object);
                json_set(object, key, json_ref(value));
        }
        if (removal)
                watch_view_keep_times(object, changed);
        return 0;
}

/* One has come or gone. */
static int on_objects(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        ((Watch *) userdata)->ask = true;
        return 0;
}

static int match(sd_bus *bus, void *userdata) {
        static const char manager[] = "org.freedesktop.DBus.ObjectManager";

        int r = sd_bus_match_signal(bus, NULL, BUS_NAME, NULL, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, userdata);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, BUS_NAME, BUS_PATH, manager, "InterfacesAdded", on_objects, userdata);
        return r < 0 ? r : sd_bus_match_signal(bus, NULL, BUS_NAME, BUS_PATH, manager, "InterfacesRemoved", on_objects, userdata);
}

static void set_problem(Watch *w, const char *what) {
        const char *since = FORMAT_TIME(w->known_usec);

        free(w->problem);
        w->problem = what ? strf("%s: this is how all was at %s; waiting for it to come back", what, since) : NULL;
}

static void on_daemon(bool runs, void *userdata) {
        Watch *w = userdata;

        if (runs) {
                w->ask = w->look = true;
                return;
        }
        w->looks = false; /* its answer went with it */
        w->known_usec = now_wall();
        set_problem(w, !w->listen.cut_off ? "the daemon is gone" : client_host() ? "the connection is lost" : "the bus is gone");
}

static const ListenHandler listen_handler = {
        .event = on_event,
        .daemon = on_daemon,
        .match = match,
};

/* What is asked. */

static int on_topology(sd_bus_message *m, void *userdata, sd_bus_error *e) {
        json_object *topology = NULL;
        Watch *w = userdata;

        w->looks = false;
        if (client_read_topology(m, &topology) < 0)
                return 0; /* the slots say that the last look failed */
        json_object_put(w->topology);
        w->topology = topology;
        slots_add_memory(w->slots, w->topology);
        return 0;
}

/* A removal's plan and what was said of it are not among its properties. */
static void keep_reports(json_object *removals, json_object *before) {
        static const char *const keys[] = { "ask", "plan", "message", "remedy", "lost", "disturbed" };

        for (size_t i = 0; i < json_len(removals); i++) {
                json_object *removal = json_at(removals, i), *old = json_find(before, "id", json_str(removal, "id"));
                if (!old)
                        json_set_bool(removal, "ask", true);
                for (size_t k = 0; old && k < ELEMENTSOF(keys); k++)
                        json_set(removal, keys[k], json_ref(json_get(old, keys[k])));
        }
}

static void ask_reports(Watch *w) {
        for (size_t i = 0; i < json_len(w->removals); i++) {
                json_object *removal = json_at(w->removals, i);
                if (!json_flag(removal, "ask"))
                        continue;
                json_set(removal, "ask", NULL);
                client_add_report(w->listen.bus, json_str(removal, "id") ?: "", removal);
        }
}

/* False: to be tried again. */
static bool ask_all(Watch *w) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        int r = client_try_objects(w->listen.bus, &slots, &removals, &e);
        if (r < 0) {
                set_problem(w, e.message ?: strerror(-r));
                return false;
        }
        keep_reports(removals, w->removals);
        for (size_t i = 0; i < json_len(removals); i++)
                watch_view_keep_times(json_at(removals, i), json_at(removals, i));
        json_object_put(w->slots);
        json_object_put(w->removals);
        w->slots = TAKE_PTR(slots);
        w->removals = TAKE_PTR(removals);
        slots_add_memory(w->slots, w->topology);
        w->known_usec = now_wall();
        set_problem(w, NULL);
        return true;
}

static void ask(Watch *w) {
        if (!w->listen.bus || w->listen.gone)
                return;
        if (w->ask)
                w->ask = !ask_all(w);
        if (w->look && !w->looks && client_ask_topology(w->listen.bus, on_topology, w) >= 0) {
                w->look = false;
                w->looks = true;
        }
        ask_reports(w);
}

/* The terminal. */

static WatchView view_of(const Watch *w, const char *machine) {
        return (WatchView) { .slots = w->slots, .removals = w->removals, .events = w->events, .doing = w->doing, .problem = w->problem, .machine = machine };
}

static void paint(Watch *w) {
        char name[HOST_NAME_MAX + 1] = { 0 };
        size_t rows = terminal_rows() ?: ROWS_DEFAULT;

        if (gethostname(name, HOST_NAME_MAX) < 0)
                *name = '\0';
        output.columns = terminal_columns();
        WatchView view = view_of(w, client_host() ?: name);
        _cleanup_free_ char *text = watch_view(&view, rows);
        if (text)
                screen_paint(&w->screen, text, rows, output.columns);
}

static void paint_anew(Watch *w) {
        free(TAKE_PTR(w->screen.shown));
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Watch *w = userdata;

        w->leave = true;
        return 0;
}

static int on_resize(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        paint_anew(userdata);
        return 0;
}

/* Ctrl-Z: the shell has the terminal as it was, until we go on. */
static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Watch *w = userdata;

        screen_leave(&w->screen);
        (void) raise(SIGSTOP);
        return screen_enter(&w->screen);
}

static int on_key(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        char keys[64];
        Watch *w = userdata;

        ssize_t n = read(fd, keys, sizeof(keys));
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                w->leave = true; /* the terminal is gone */
        for (ssize_t i = 0; i < n; i++) {
                w->leave = w->leave || keys[i] == 'q' || keys[i] == 'Q';
                if (keys[i] == '\f') /* Ctrl-L */
                        paint_anew(w);
        }
        return 0;
}

static int add_terminal(Watch *w) {
        static const struct {
                int number;
                sd_event_signal_handler_t handler;
        } signals[] = {
                { SIGINT, on_signal }, { SIGTERM, on_signal }, { SIGHUP, on_signal }, { SIGQUIT, on_signal }, { SIGWINCH, on_resize }, { SIGTSTP, on_stop },
        };
        sigset_t set;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&set, signals[i].number);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                int r = sd_event_add_signal(w->event, NULL, signals[i].number, signals[i].handler, w);
                if (r < 0)
                        return r;
        }
        return isatty(STDIN_FILENO) ? sd_event_add_io(w->event, NULL, STDIN_FILENO, EPOLLIN, on_key, w) : 0;
}

/* A screen for all that has come: whoever says much is not heard the slower for it. Where nothing runs, nothing is done until something is heard. */
static int run(Watch *w) {
        while (!w->leave) {
                ask(w);
                paint(w);
                WatchView view = view_of(w, NULL);
                int r = sd_event_run(w->event, w->ask || watch_view_runs(&view) ? TICK_USEC : UINT64_MAX);
                for (size_t i = 0; r > 0 && i < DRAIN_MAX && !w->leave; i++)
                        r = sd_event_run(w->event, 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

static ExitCode check_terminal(void) {
        const char *term = getenv("TERM");

        if (!isatty(STDOUT_FILENO))
                return fail(CODE_USAGE, NULL, "'watch' draws on a terminal, and standard output is none; line by line: %s monitor", client_command());
        if (!term || streq(term, "dumb"))
                return fail(CODE_USAGE, NULL, "'watch' cannot draw on this terminal (TERM=%s); line by line: %s monitor", term ?: "", client_command());
        return CODE_DONE;
}

ExitCode verb_watch(const Args *a) {
        _cleanup_watch_ Watch w = { .events = json_object_new_array(), .doing = json_object_new_object(), .ask = true };
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = check_terminal();
        if (code == CODE_DONE)
                code = client_connect_for_details(&bus);
        /* Events have more in them there, too. */
        sd_bus *details = code == CODE_DONE ? client_details(bus) : NULL;
        if (details) {
                sd_bus_unref(bus);
                bus = sd_bus_ref(details);
        }
        /* A daemon that is started by this very call knows its slots only after it. */
        if (code == CODE_DONE)
                code = client_topology(bus, &w.topology);
        if (code != CODE_DONE)
                return code;

        int r = sd_event_new(&w.event);
        if (r >= 0)
                r = listen_start(&w.listen, bus, w.event, &listen_handler, &w);
        if (r >= 0)
                r = add_terminal(&w);
        if (r >= 0)
                r = screen_enter(&w.screen);
        if (r >= 0)
                r = run(&w);
        screen_leave(&w.screen); /* what is said about it is to be read */
        return r < 0 ? client_fail(r, NULL) : CODE_DONE;
}
