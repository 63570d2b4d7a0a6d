/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "base/fileio.h"
#include "bus-error.h"
#include "who.h"

enum {
        KNOWN_MAX = 256,       /* who is forgotten is asked about again */
        ASKED_MAX = 1024,      /* connections that the bus is being asked about */
        KEPT_MAX = 8,          /* calls of one of them */
        KEPT_OF_ALL_MAX = 512,
        CALL_BYTES_MAX = 16 * 1024, /* of its arguments: names and options are far shorter */
};

typedef struct Kept {
        sd_bus_message *call;
        who_then_t then;
} Kept;

typedef struct Sender {
        Manager *manager;
        char *name;
        bool known;
        uint32_t uid, pid;
        sd_bus_slot *slot;     /* the bus is being asked */
        Kept kept[KEPT_MAX];
        size_t n_kept;
        struct Sender *next;
} Sender;

struct Who {
        Sender *senders;       /* who called last comes first */
        size_t n_known, n_asked, n_kept;
};

static void sender_free(Sender *s) {
        for (size_t i = 0; i < s->n_kept; i++)
                sd_bus_message_unref(s->kept[i].call);
        sd_bus_slot_unref(s->slot);
        free(s->name);
        free(s);
}

DEFINE_CLEANUP_FUNC(Sender, sender_free)

int who_new(Who **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

void who_free(Who *w) {
        for (Sender *s = w ? w->senders : NULL, *next; s; s = next) {
                next = s->next;
                sender_free(s);
        }
        free(w);
}

bool who_is_privileged(json_object *by) {
        uint64_t uid = json_u64(by, "uid");

        return json_has(by, "uid") && (uid == 0 || uid == geteuid());
}

static void unlink_sender(Who *w, Sender *s) {
        Sender **p = &w->senders;

        while (*p != s)
                p = &(*p)->next;
        *p = s->next;
}

static void drop(Who *w, Sender *s) {
        unlink_sender(w, s);
        w->n_known -= s->known;
        w->n_asked -= !s->known;
        w->n_kept -= s->n_kept;
        sender_free(s);
}

/* To the front of the list. */
static Sender *find(Who *w, const char *name) {
        for (Sender **p = &w->senders; *p; p = &(*p)->next)
                if (streq((*p)->name, name)) {
                        Sender *s = *p;

                        *p = s->next;
                        s->next = w->senders;
                        w->senders = s;
                        return s;
                }
        return NULL;
}

static void forget_oldest(Who *w) {
        Sender *oldest = NULL;

        for (Sender *s = w->senders; s; s = s->next)
                if (s->known)
                        oldest = s;
        if (oldest)
                drop(w, oldest);
}

static json_object *by_of(const Sender *s) {
        _cleanup_free_ char *path = strf("/proc/%" PRIu32 "/comm", s->pid), *comm = NULL;
        json_object *by = json_object_new_object();
        size_t length;

        json_set_u64(by, "uid", s->uid);
        json_set_u64(by, "pid", s->pid);
        if (s->pid > 0 && path && read_file(path, &comm, &length) >= 0)
                comm[strcspn(comm, "\n")] = '\0';
        json_set_str(by, "comm", comm);
        return by;
}

static int serve(const Sender *s, sd_bus_message *call, who_then_t then, sd_bus_error *reterr) {
        _cleanup_json_ json_object *by = by_of(s);

        return then(s->manager, call, by, reterr);
}

static void serve_later(const Sender *s, sd_bus_message *call, who_then_t then) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        int r = serve(s, call, then, &error);
        if (r < 0)
                (void) (sd_bus_error_is_set(&error) ? sd_bus_reply_method_error(call, &error) : sd_bus_reply_method_errno(call, r, NULL));
}

/* The rest of a{sv} at the read position is what the bus knows of the connection. */
static int read_credentials(sd_bus_message *reply, Sender *s) {
        bool has_uid = false;

        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read_basic(reply, 's', &name);
                if (r >= 0 && streq(name, "UnixUserID")) {
                        r = sd_bus_message_read(reply, "v", "u", &s->uid);
                        has_uid = r >= 0;
                } else if (r >= 0)
                        r = streq(name, "ProcessID") ? sd_bus_message_read(reply, "v", "u", &s->pid) : sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : has_uid ? 0 : -EPERM;
}

/* The connection is gone, or the bus does not say whose it is. */
static void refuse_all(Sender *s, int why) {
        for (size_t i = 0; i < s->n_kept; i++)
                (void) sd_bus_reply_method_errorf(s->kept[i].call, BUS_ERROR_NOT_AUTHORIZED, "It is not known who asks for this: %s.",
                                strerror(-why));
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Sender *s = userdata;
        Who *w = s->manager->who;

        int r = sd_bus_message_is_method_error(reply, NULL) ? -EPERM : read_credentials(reply, s);
        if (r < 0) {
                refuse_all(s, r);
                drop(w, s);
                return 0;
        }
        s->slot = sd_bus_slot_unref(s->slot);
        s->known = true;
        w->n_asked--;
        w->n_known++;
        for (size_t i = 0; i < s->n_kept; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = s->kept[i].call;
                serve_later(s, call, s->kept[i].then);
        }
        w->n_kept -= s->n_kept;
        s->n_kept = 0;
        if (w->n_known > KNOWN_MAX)
                forget_oldest(w);
        return 0;
}

static int ask_bus(Manager *m, const char *name, Sender **ret) {
        _cleanup_(sender_freep) Sender *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->name = strdup(name);
        if (!s->name)
                return -ENOMEM;
        int r = sd_bus_call_method_async(m->bus, &s->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                        "GetConnectionCredentials", on_credentials, s, "s", name);
        if (r < 0)
                return r;
        s->next = m->who->senders;
        m->who->senders = s;
        m->who->n_asked++;
        *ret = TAKE_PTR(s);
        return 0;
}

/* Adds what the rest of the container takes, until it is more than anybody needs. Negative errno for rubbish. */
static int measure(sd_bus_message *m, size_t *bytes) {
        const char *contents;
        char type;
        int r = 0;

        while (*bytes <= CALL_BYTES_MAX && (r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
                union {
                        const char *text;
                        uint64_t number;
                } value = { 0 };

                *bytes += sizeof(value);
                if (strchr("avre", type)) {
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = measure(m, bytes);
                        if (r >= 0 && *bytes <= CALL_BYTES_MAX)
                                r = sd_bus_message_exit_container(m);
                } else {
                        r = sd_bus_message_read_basic(m, type, &value);
                        if (r >= 0 && strchr("sog", type))
                                *bytes += strlen(value.text);
                }
                if (r < 0)
                        return r;
        }
        return *bytes <= CALL_BYTES_MAX ? r : 0;
}

static int check_length(sd_bus_message *call, sd_bus_error *reterr) {
        size_t bytes = 0;

        int r = measure(call, &bytes);
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0 && bytes > CALL_BYTES_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BAD_OPTION, "The names and options of a call may be %d bytes long together, and these are longer.",
                                CALL_BYTES_MAX);
        return r < 0 ? r : 0;
}

static int keep(Sender *s, sd_bus_message *call, who_then_t then, sd_bus_error *reterr) {
        Who *w = s->manager->who;

        if (w->n_kept >= KEPT_OF_ALL_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many new connections call at once. Try again in a moment.");
        if (s->n_kept == KEPT_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "%zu calls of this connection wait already. Wait for their answers, then try again.",
                                s->n_kept);
        w->n_kept++;
        s->kept[s->n_kept++] = (Kept) { .call = sd_bus_message_ref(call), .then = then };
        return 1;
}

int who_asks(Manager *m, sd_bus_message *call, who_then_t then, sd_bus_error *reterr) {
        const char *name = sd_bus_message_get_sender(call);
        if (!name)
                return -EPERM;
        int r = check_length(call, reterr);
        if (r < 0)
                return r;

        Sender *s = find(m->who, name);
        if (s && s->known)
                return serve(s, call, then, reterr);
        if (!s) {
                if (m->who->n_asked >= ASKED_MAX)
                        return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many new connections call at once. Try again in a moment.");
                r = ask_bus(m, name, &s);
                if (r < 0)
                        return r;
        }
        return keep(s, call, then, reterr);
}
