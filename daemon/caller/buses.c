/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/run-dir.h"
#include "daemon/log.h"
#include "buses.h"
#include "peer-bus.h"
#include "public.h"

enum {
        PRIVATE_MAX = 64,
        UNSENT_MAX = 16384,    /* messages that the bus has not taken ... */
        UNSENT_BYTES_MAX = 12 * 1024 * 1024, /* ... and bytes, since it had taken all of them */
        UNANSWERED_MAX = 2,
        TOLD_BYTES = 512,      /* of a signal: names, numbers and states */
        UNREAD_MAX = 1024,     /* messages that wait for one of root's connections, beside what is in its socket ... */
        SOCKET_BYTES = 256 * 1024, /* ... for which sd-bus takes 8 MiB */
};

/* A bus that is not there is tried again this often. */
#define RETRY_USEC USEC_PER_SEC
#define CHECK_USEC USEC_PER_SEC
#define READ_USEC (10 * USEC_PER_SEC)    /* in which the bus has read what was sent before */

typedef struct Private {
        sd_bus *bus;
        uint32_t uid, pid;
} Private;

struct Buses {
        sd_event *event;
        const BusesHandler *handler;
        void *userdata;
        sd_bus *system;
        sd_event_source *retry, *post, *check;
        size_t said;           /* bytes, since the bus had taken everything */
        sd_bus_slot *asked;    /* a question to the bus itself, which is answered once it has read what was sent before; or NULL */
        unsigned n_unanswered; /* such questions; after two the bus is left, which is not done in the middle of what it calls. One may be ours: we stood still. */
        int listener;
        sd_event_source *io;
        Private privates[PRIVATE_MAX];
        size_t n_privates;
        Public *public;
};

int buses_new(sd_event *event, const BusesHandler *handler, void *userdata, Buses **ret) {
        Buses *b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        *b = (Buses) { .event = sd_event_ref(event), .handler = handler, .userdata = userdata, .listener = -EBADF };
        *ret = b;
        return 0;
}

static void close_private(Buses *b, size_t i) {
        sd_bus_close_unref(b->privates[i].bus); /* what is not read by now is not waited for */
        b->privates[i] = b->privates[--b->n_privates];
}

void buses_free(Buses *b) {
        if (!b)
                return;
        while (b->n_privates > 0)
                close_private(b, b->n_privates - 1);
        public_free(b->public);
        sd_event_source_disable_unref(b->io);
        sd_event_source_disable_unref(b->retry);
        sd_event_source_disable_unref(b->post);
        sd_event_source_disable_unref(b->check);
        sd_bus_slot_unref(b->asked);
        if (b->listener >= 0)
                close(b->listener);
        sd_bus_flush_close_unref(b->system);
        sd_event_unref(b->event);
        free(b);
}

/* Calls `lost` when the connection ends, whoever ends it. */
static int watch_end(sd_bus *bus, sd_bus_message_handler_t lost, Buses *b) {
        return sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                        "Disconnected", lost, NULL, b);
}

static int serve(Buses *b, sd_bus *bus, sd_bus_message_handler_t lost) {
        int r = watch_end(bus, lost, b);
        if (r >= 0)
                r = b->handler->serve(bus, b->userdata);
        return r < 0 ? r : sd_bus_attach_event(bus, b->event, SD_EVENT_PRIORITY_NORMAL);
}

static void try_later(Buses *b);

static void leave_system(Buses *b) {
        b->asked = sd_bus_slot_unref(b->asked);
        b->system = sd_bus_close_unref(b->system);
        b->handler->lost(b->userdata);
        try_later(b);
}

static int on_system_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        log_plain(LOG_WARNING, "The connection to the bus is lost. Removals go on; root reaches them all the same.");
        leave_system(userdata);
        return 1;
}

static void leave_stuck(Buses *b) {
        log_plain(LOG_WARNING, "The bus accepts no more messages. The connection is closed and made again.");
        b->said = 0;
        b->n_unanswered = 0;
        leave_system(b);
}

/* Bytes in the socket that the bus has not read. */
static int unread_by_bus(const Buses *b) {
        int bytes = 0;

        return b->system && ioctl(sd_bus_get_fd(b->system), SIOCOUTQ, &bytes) >= 0 ? bytes : 0;
}

static int on_asked(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Buses *b = userdata;

        b->asked = sd_bus_slot_unref(b->asked);
        b->n_unanswered = sd_bus_message_is_method_error(m, NULL) && sd_bus_is_open(b->system) > 0 ? b->n_unanswered + 1 : 0;
        return 0;
}

/* That something is unread now and was unread before says nothing: somebody may ask us again and again. */
static int on_check(sd_event_source *timer, uint64_t usec, void *userdata) {
        Buses *b = userdata;
        sd_bus_message *m = NULL;

        b->check = sd_event_source_disable_unref(b->check);
        if (unread_by_bus(b) > 0 &&
            sd_bus_message_new_method_call(b->system, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId") >= 0)
                (void) sd_bus_call_async(b->system, &b->asked, m, on_asked, b, READ_USEC);
        sd_bus_message_unref(m);
        return 0;
}

/* After whatever else was done. A bus has its limits for what of a service's is not read yet, and takes nothing more from it then, for
 * nobody; what waits here goes with the connection. */
static int on_post(sd_event_source *post, void *userdata) {
        Buses *b = userdata;
        uint64_t unsent = 0;

        if (b->system && sd_bus_get_n_queued_write(b->system, &unsent) >= 0 && unsent == 0)
                b->said = 0;
        if (b->n_unanswered >= UNANSWERED_MAX || unsent > UNSENT_MAX || b->said > UNSENT_BYTES_MAX)
                leave_stuck(b);
        else if (!b->check && !b->asked && unread_by_bus(b) > 0)
                (void) sd_event_add_time_relative(b->event, &b->check, CLOCK_MONOTONIC, CHECK_USEC, 0, on_check, b);
        return 0;
}

static int open_system(Buses *b, sd_bus **ret) {
        sd_bus *bus = NULL;

        int r = run_wants_session_bus() ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, false);
        if (r >= 0)
                r = serve(b, bus, on_system_lost);
        if (r < 0)
                sd_bus_close_unref(bus);
        else
                *ret = bus;
        return r;
}

/* That no other daemon runs is known from root's own socket: the bus has not noticed yet that we had left. */
static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Buses *b = userdata;
        uint32_t owner = 0;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &owner) < 0 ||
            owner != 1) { /* DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER */
                log_plain(LOG_WARNING, "The name %s is not free on the bus yet.", BUS_NAME);
                leave_system(b);
        } else
                log_plain(LOG_NOTICE, "The bus is back.");
        return 1;
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata) {
        Buses *b = userdata;

        if (open_system(b, &b->system) < 0)
                try_later(b);
        else if (sd_bus_request_name_async(b->system, NULL, BUS_NAME, 0, on_name, b) < 0) {
                b->system = sd_bus_close_unref(b->system);
                try_later(b);
        }
        return 0;
}

static void try_later(Buses *b) {
        b->retry = sd_event_source_disable_unref(b->retry);
        if (sd_event_add_time_relative(b->event, &b->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, b) < 0)
                (void) sd_event_exit(b->event, EXIT_FAILURE); /* systemd starts the next one */
}

static int on_private_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Buses *b = userdata;

        for (size_t i = b->n_privates; i-- > 0;)
                if (b->privates[i].bus == sd_bus_message_get_bus(m))
                        close_private(b, i);
        return 1;
}

static int take_private(Buses *b, int *fd, const struct ucred *who) {
        sd_bus *bus;

        int r = peer_bus_new(fd, fd, SOCKET_BYTES, &bus);
        if (r < 0)
                return r;
        r = serve(b, bus, on_private_lost);
        if (r < 0)
                sd_bus_close_unref(bus);
        else
                b->privates[b->n_privates++] = (Private) { .bus = bus, .uid = who->uid, .pid = (uint32_t) who->pid };
        return r;
}

static int on_connection(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Buses *b = userdata;
        struct ucred who;

        _cleanup_close_ int connection = run_accept(fd, false, &who);
        if (connection < 0 || b->n_privates == PRIVATE_MAX)
                return 0;
        int r = take_private(b, &connection, &who);
        if (r < 0)
                log_plain(LOG_WARNING, "A connection to root's own socket cannot be served: %s", strerror(-r));
        return 0;
}

/* -EADDRINUSE: another daemon serves it. */
static int listen_for_root(void) {
        struct sockaddr_un address;

        int r = run_private_socket(&address);
        if (r < 0)
                return r;
        _cleanup_close_ int other = run_connect(&address, SOCK_STREAM);
        if (other >= 0 || other == -EAGAIN)
                return -EADDRINUSE;
        return run_listen(&address, SOCK_STREAM, RUN_OWNER, PRIVATE_MAX);
}

/* Who is not on the bus cannot be taken for another daemon's, and what a first one is about to finish must not be resumed. */
static int open_private(Buses *b) {
        b->listener = listen_for_root();
        return b->listener < 0 ? b->listener : sd_event_add_io(b->event, &b->io, b->listener, EPOLLIN, on_connection, b);
}

int buses_open(Buses *b) {
        int private = open_private(b);
        if (private == -EADDRINUSE) {
                log_plain(LOG_ERR, "Another safe-removed is running.");
                return private;
        }
        if (private < 0 && private != -ENOENT)
                log_plain(LOG_WARNING, "Root's own socket in %s cannot be made: %s. Root is served on the bus only.", run_dir(), strerror(-private));
        int r = private < 0 ? private : public_new(b->event, b->handler->serve, b->userdata, &b->public);
        if (r < 0 && private >= 0)
                log_plain(LOG_WARNING, "The users' socket in %s cannot be made: %s. They are served on the bus only.", run_dir(), strerror(-r));

        r = sd_event_add_post(b->event, &b->post, on_post, b);
        if (r < 0)
                return r;
        r = open_system(b, &b->system);
        if (r < 0) {
                log_plain(LOG_ERR, "The bus cannot be reached: %s. Is dbus running?", strerror(-r));
                if (private < 0)
                        return r;
                try_later(b);
                return 0;
        }
        /* Calls are answered by the loop, when everything is there. */
        r = sd_bus_request_name(b->system, BUS_NAME, 0);
        if (r < 0)
                log_plain(LOG_ERR, "The name %s cannot be taken on the bus: %s. Is another safe-removed running, or is its bus policy file missing?",
                                BUS_NAME, strerror(-r));
        return r < 0 ? r : 0;
}

sd_bus *buses_system(const Buses *b) {
        return b->system;
}

bool buses_is_peer(const Buses *b, const sd_bus *bus, uint32_t *ret_uid, uint32_t *ret_pid) {
        for (size_t i = 0; i < b->n_privates; i++)
                if (b->privates[i].bus == bus) {
                        *ret_uid = b->privates[i].uid;
                        *ret_pid = b->privates[i].pid;
                        return true;
                }
        return public_who(b->public, bus, ret_uid, ret_pid);
}

void buses_tell_public(Buses *b, bus_tell_t tell, void *userdata) {
        public_tell(b->public, tell, userdata);
}

int buses_tell_private(Buses *b, bus_tell_t tell, void *userdata) {
        int first = 0;

        for (size_t i = b->n_privates; i-- > 0;) {
                uint64_t unread = 0;
                int r = tell(b->privates[i].bus, userdata);

                if (r < 0 || (sd_bus_get_n_queued_write(b->privates[i].bus, &unread) >= 0 && unread > UNREAD_MAX))
                        close_private(b, i);
                first = first < 0 || r == -ENOTCONN || r == -ECONNRESET ? first : r;
        }
        return first;
}

int buses_tell(Buses *b, bus_tell_t tell, void *userdata) {
        int r = b->system ? tell(b->system, userdata) : 0;
        b->said += b->system ? TOLD_BYTES : 0;
        int k = buses_tell_private(b, tell, userdata);

        buses_tell_public(b, tell, userdata);
        return r < 0 ? r : k;
}

void buses_said(Buses *b, const sd_bus *bus, size_t bytes) {
        if (bus && bus == b->system)
                b->said += bytes;
}

static int tell_added(sd_bus *bus, void *userdata) {
        return sd_bus_emit_object_added(bus, userdata);
}

int buses_object_added(Buses *b, const char *path) {
        return buses_tell(b, tell_added, (void *) path);
}

static int tell_removed(sd_bus *bus, void *userdata) {
        return sd_bus_emit_object_removed(bus, userdata);
}

int buses_object_removed(Buses *b, const char *path) {
        return buses_tell(b, tell_removed, (void *) path);
}

typedef struct Change {
        const char *path, *interface;
        const char *const *names;
} Change;

static int tell_change(sd_bus *bus, void *userdata) {
        const Change *c = userdata;

        return sd_bus_emit_properties_changed_strv(bus, c->path, c->interface, (char **) c->names);
}

int buses_properties_changed(Buses *b, const char *path, const char *interface, const char *const *names) {
        Change c = { .path = path, .interface = interface, .names = names };

        return buses_tell(b, tell_change, &c);
}

typedef struct Signal {
        const char *path, *interface, *member, *types;
        va_list values;
} Signal;

static int tell_signal(sd_bus *bus, void *userdata) {
        Signal *s = userdata;
        va_list values;

        va_copy(values, s->values);
        int r = sd_bus_emit_signalv(bus, s->path, s->interface, s->member, s->types, values);
        va_end(values);
        return r;
}

int buses_signal(Buses *b, const char *path, const char *interface, const char *member, const char *types, ...) {
        Signal s = { .path = path, .interface = interface, .member = member, .types = types };

        va_start(s.values, types);
        int r = buses_tell(b, tell_signal, &s);
        va_end(s.values);
        return r;
}
