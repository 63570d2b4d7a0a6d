/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard's ear and hands, as a source of the daemon's: it hears the buttons, holds slots and looks at their registers. What the daemon
 * wants of it is kept here and said again to a guard that was started anew. */
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "daemon/log.h"
#include "guard-socket.h"
#include "source.h"

#define AGAIN_USEC (200 * USEC_PER_MSEC)

enum {
        MESSAGE_MAX = 16384,
        MESSAGES_PER_TURN = 64,
};

typedef struct Wish {
        char *port;
        PortWant want;
        uint64_t press;        /* the last one that was told of with the slot held for it: when the guard heard it */
} Wish;

typedef struct GuardSource {
        const SourceContext *context;
        int fd;
        sd_event_source *io, *again;
        bool told_away;        /* that it is not there is logged once */
        bool was_there;
        Wish *wishes;          size_t n_wishes, a_wishes;
} GuardSource;

static int connect_guard(GuardSource *s);

static int on_again(sd_event_source *timer, uint64_t usec, void *userdata) {
        (void) connect_guard(userdata);
        return 0;
}

static void away(GuardSource *s, int why) {
        s->io = sd_event_source_disable_unref(s->io);
        if (s->fd >= 0)
                close(TAKE_FD(s->fd));
        if (!s->told_away)
                log_write(LOG_ERR, LOG_MESSAGE_SOURCE_FAILED, NULL, "The guard (safe-remove-guard.service) cannot be reached: %s. Until it "
                          "can, attention buttons are not noticed.", strerror(-why));
        s->told_away = true;
        s->again = sd_event_source_disable_unref(s->again);
        (void) sd_event_add_time_relative(s->context->event, &s->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, s);
}

static int say(GuardSource *s, const char *type, const char *port, const char *key, const char *value) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "type", type);
        if (port)
                json_set_str(o, "port", port);
        if (key)
                json_set_str(o, key, value);
        const char *text = json_text(o);
        if (!text || s->fd < 0)
                return text ? -ENOTCONN : -ENOMEM;
        return send(s->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static Wish *wish_at(GuardSource *s, const char *port) {
        for (size_t i = 0; i < s->n_wishes; i++)
                if (streq(s->wishes[i].port, port))
                        return &s->wishes[i];

        char *copy = strdup(port);
        if (!copy || vec_grow((void **) &s->wishes, s->n_wishes, &s->a_wishes, sizeof(Wish)) < 0) {
                free(copy);
                return NULL;
        }
        s->wishes[s->n_wishes] = (Wish) { .port = copy };
        return &s->wishes[s->n_wishes++];
}

/* A guard does not know whom the one before it has told. */
static bool was_told(GuardSource *s, const char *port, uint64_t press) {
        Wish *w = press > 0 ? wish_at(s, port) : NULL;
        bool again = w && w->press == press;

        if (w)
                w->press = press;
        return again;
}

static void take_message(GuardSource *s, json_object *message) {
        SourceEventKind kind = (SourceEventKind) source_event_kind_from_string(json_str(message, "type"));
        const char *port = json_str(message, "port");

        if (kind < 0 || (!port && kind != SOURCE_EVENTS_LOST))
                return;
        const SourceEvent event = {
                .kind = kind,
                .port = port,
                .text = json_str(message, "text"),
                .held = json_flag(message, "held"),
                .again = port && was_told(s, port, json_u64(message, "press")),
        };
        s->context->emit(&event, s->context->userdata);
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        GuardSource *s = userdata;
        char buffer[MESSAGE_MAX];

        for (unsigned i = 0; i < MESSAGES_PER_TURN; i++) {
                _cleanup_json_ json_object *message = NULL;
                ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0) {
                        away(s, n < 0 ? -errno : -ECONNRESET);
                        return 0;
                }
                if (json_parse(buffer, (size_t) n, &message) >= 0)
                        take_message(s, message);
        }
        return 0;
}

static int say_want(GuardSource *s, const Wish *w) {
        return say(s, "want", w->port, "want", port_want_to_string(w->want));
}

/* What a guard that was started anew cannot know. After the hello it tells of what it holds, and gives back what nobody wants. */
static void say_all(GuardSource *s) {
        for (size_t i = 0; i < s->n_wishes; i++)
                (void) say_want(s, &s->wishes[i]);
        (void) say(s, "hello", NULL, NULL, NULL);
}

static int connect_guard(GuardSource *s) {
        s->again = sd_event_source_disable_unref(s->again);
        s->fd = guard_connect(GUARD_SOCKET_PEERS);
        int r = s->fd < 0 ? s->fd : sd_event_add_io(s->context->event, &s->io, s->fd, EPOLLIN, on_readable, s);
        if (r >= 0)
                r = sd_event_source_set_priority(s->io, SD_EVENT_PRIORITY_IMPORTANT); /* before anything else that is ready */
        if (r < 0) {
                away(s, r);
                return r;
        }
        s->told_away = false;
        say_all(s);
        if (s->was_there) /* and nobody knows what was said meanwhile */
                s->context->emit(&(SourceEvent) { .kind = SOURCE_EVENTS_LOST, .text = "what the guard had to tell" }, s->context->userdata);
        s->was_there = true;
        return 0;
}

int guard_want(void *state, const char *port, PortWant want) {
        GuardSource *s = state;
        size_t n = s->n_wishes;
        Wish *w = wish_at(s, port);

        if (!w)
                return -ENOMEM;
        if (w->want == want && n == s->n_wishes)
                return s->fd < 0 ? -ENOTCONN : 0;
        w->want = want;
        return say_want(s, w);
}

void guard_give_back(void *state, const char *port, const char *why) {
        (void) say(state, "give-back", port, "why", why);
}

int guard_look(void *state, const char *port, bool lost) {
        return say(state, "look", port, "why", lost ? "lost" : NULL);
}

static void guard_stop(void *state) {
        GuardSource *s = state;
        if (!s)
                return;

        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->again);
        if (s->fd >= 0)
                close(s->fd);
        for (size_t i = 0; i < s->n_wishes; i++)
                free(s->wishes[i].port);
        free(s->wishes);
        free(s);
}

static int guard_start(const SourceContext *context, void **ret_state) {
        GuardSource *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (GuardSource) { .context = context, .fd = -EBADF };
        *ret_state = s; /* also while it cannot be reached: it is tried again */
        return 0;
}

void guard_begin(void *state) {
        (void) connect_guard(state);
}

const Source source_guard = {
        .name = "guard",
        .without = "attention buttons are not noticed",
        .start = guard_start,
        .stop = guard_stop,
};
