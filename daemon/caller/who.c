/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "bus-error.h"
#include "quota.h"
#include "sub-uid.h"
#include "who.h"

enum {
        KNOWN_MAX = 4096,      /* more connections than a bus has by default; who is forgotten is asked about again */
        KEPT_MAX = 8,          /* calls of a connection that the bus is being asked about */
        KEPT_BYTES_MAX = 4 * 1024 * 1024, /* of all of these */
        DEBT_MAX = 16 * 1024,  /* what somebody is told before it is known who he is */
        CALL_BYTES_MAX = 16 * 1024, /* of a call's arguments: names and options are far shorter */
        COST = 512,            /* of a connection, and of a call beside its arguments */
        BUCKETS = 1024,
};

typedef struct Kept {
        sd_bus_message *call;
        who_then_t then;
} Kept;

typedef struct Sender {
        Who *who;
        char *name;
        bool known;
        uint32_t uid, pid;
        sd_bus_slot *slot;     /* the bus is being asked */
        Kept *kept;
        size_t n_kept, a_kept;
        size_t bytes;          /* what it takes until the bus has answered */
        size_t debt;           /* what it has been told until then */
        TAILQ_ENTRY(Sender) order;
        LIST_ENTRY(Sender) bucket;
} Sender;

typedef TAILQ_HEAD(SenderList, Sender) SenderList;

struct Who {
        Buses *buses;
        void *userdata;
        Quota *quota;
        LIST_HEAD(, Sender) buckets[BUCKETS]; /* by name */
        SenderList known, asked; /* who called last, or came last, is the last one */
        size_t n_known, bytes;
};

static void sender_free(Sender *s) {
        for (size_t i = 0; i < s->n_kept; i++)
                sd_bus_message_unref(s->kept[i].call);
        sd_bus_slot_unref(s->slot);
        free(s->kept);
        free(s->name);
        free(s);
}

DEFINE_CLEANUP_FUNC(Sender, sender_free)

int who_new(Buses *buses, void *userdata, Who **ret) {
        Who *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->buses = buses;
        w->userdata = userdata;
        TAILQ_INIT(&w->known);
        TAILQ_INIT(&w->asked);
        int r = quota_new(&w->quota);
        if (r < 0) {
                free(w);
                return r;
        }
        *ret = w;
        return 0;
}

bool who_is_privileged(json_object *by) {
        return json_has(by, "uid") && who_is_privileged_uid((uint32_t) json_u64(by, "uid"));
}

/* Whoever runs the workers owns what they can do: root in production, the developer in a test. The daemon's own user owns nothing. */
bool who_is_privileged_uid(uint32_t uid) {
        return uid == 0 || uid == run_owner();
}

int who_charge(Who *w, sd_bus_message *call, uint32_t uid, size_t bytes, sd_bus_error *reterr) {
        if (!who_is_privileged_uid(uid) && !quota_take(w->quota, sub_uid_user(uid), bytes, now_monotonic()))
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "You have received too many answers in a short time. Ask again in a few seconds.");
        buses_said(w->buses, sd_bus_message_get_bus(call), bytes);
        return 0;
}

static void drop(Who *w, Sender *s) {
        TAILQ_REMOVE(s->known ? &w->known : &w->asked, s, order);
        LIST_REMOVE(s, bucket);
        w->n_known -= s->known;
        w->bytes -= s->bytes;
        sender_free(s);
}

void who_forget(Who *w) {
        for (Sender *s; (s = TAILQ_FIRST(&w->asked) ?: TAILQ_FIRST(&w->known));)
                drop(w, s);
}

void who_free(Who *w) {
        if (!w)
                return;
        who_forget(w);
        quota_free(w->quota);
        free(w);
}

static size_t bucket_of(const char *name) {
        size_t hash = 5381;

        for (; *name; name++)
                hash = hash * 33 + (unsigned char) *name;
        return hash % BUCKETS;
}

static Sender *find(const Who *w, const char *name) {
        Sender *s;

        LIST_FOREACH(s, &w->buckets[bucket_of(name)], bucket)
                if (streq(s->name, name))
                        return s;
        return NULL;
}

bool who_knows(const Who *w, const char *name, uint32_t *ret_uid) {
        const Sender *s = find(w, name);

        if (!s || !s->known)
                return false;
        *ret_uid = s->uid;
        return true;
}

static json_object *by_of(uint32_t uid, uint32_t pid) {
        _cleanup_free_ char *path = strf("/proc/%" PRIu32 "/comm", pid), *comm = NULL;
        json_object *by = json_object_new_object();
        size_t length;

        json_set_u64(by, "uid", uid);
        json_set_u64(by, "pid", pid);
        if (pid > 0 && path && read_file(path, &comm, &length) >= 0)
                comm[strcspn(comm, "\n")] = '\0';
        json_set_str(by, "comm", comm);
        return by;
}

static int serve(const Sender *s, sd_bus_message *call, who_then_t then, sd_bus_error *reterr) {
        _cleanup_json_ json_object *by = by_of(s->uid, s->pid);

        return then(s->who->userdata, call, by, reterr);
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
static void refuse_unknown(Sender *s, int why) {
        for (size_t i = 0; i < s->n_kept; i++)
                (void) sd_bus_reply_method_errorf(s->kept[i].call, BUS_ERROR_NOT_AUTHORIZED, "The caller could not be identified: %s.",
                                strerror(-why));
}

static void become_known(Who *w, Sender *s) {
        TAILQ_REMOVE(&w->asked, s, order);
        TAILQ_INSERT_TAIL(&w->known, s, order);
        s->slot = sd_bus_slot_unref(s->slot);
        s->known = true;
        w->n_known++;
        w->bytes -= s->bytes;
        s->bytes = 0;
        if (s->debt > 0 && !who_is_privileged_uid(s->uid))
                quota_owe(w->quota, sub_uid_user(s->uid), s->debt, now_monotonic());
        if (w->n_known > KNOWN_MAX)
                drop(w, TAILQ_FIRST(&w->known));
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Sender *s = userdata;
        Who *w = s->who;

        int r = sd_bus_message_is_method_error(reply, NULL) ? -EPERM : read_credentials(reply, s);
        if (r < 0) {
                refuse_unknown(s, r);
                drop(w, s);
                return 0;
        }
        become_known(w, s);

        _cleanup_free_ Kept *kept = TAKE_PTR(s->kept);
        size_t n = s->n_kept;
        s->n_kept = s->a_kept = 0;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = kept[i].call;
                serve_later(s, call, kept[i].then);
        }
        return 0;
}

static int ask_bus(Who *w, sd_bus *bus, const char *name, Sender **ret) {
        _cleanup_(sender_freep) Sender *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->who = w;
        s->name = strdup(name);
        if (!s->name)
                return -ENOMEM;
        int r = sd_bus_call_method_async(bus, &s->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                        "GetConnectionCredentials", on_credentials, s, "s", name);
        if (r < 0)
                return r;
        TAILQ_INSERT_TAIL(&w->asked, s, order);
        LIST_INSERT_HEAD(&w->buckets[bucket_of(name)], s, bucket);
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
                if (type == 'h')
                        return -EOPNOTSUPP;
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

static int check_length(sd_bus_message *call, size_t *ret_bytes, sd_bus_error *reterr) {
        size_t bytes = 0;

        int r = measure(call, &bytes);
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r == -EOPNOTSUPP)
                return sd_bus_error_setf(reterr, BUS_ERROR_BAD_OPTION, "No method wants a descriptor.");
        if (r >= 0 && bytes > CALL_BYTES_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BAD_OPTION, "The names and options of a call may be %d bytes long together, and these are longer.",
                                CALL_BYTES_MAX);
        if (r >= 0)
                *ret_bytes = bytes;
        return r < 0 ? r : 0;
}

/* Which connection takes most, but for one. Of equals the one that came first. */
static Sender *greediest(const Who *w, const Sender *but) {
        Sender *s, *most = NULL;

        TAILQ_FOREACH(s, &w->asked, order)
                if (s != but && (!most || s->bytes > most->bytes))
                        most = s;
        return most;
}

/* For another call of the connection. Who takes most gives way to whoever takes less: so many connections, or long calls, of one user
 * keep nobody out. */
static int make_room(Who *w, const Sender *s, size_t bytes, sd_bus_error *reterr) {
        while (w->bytes + bytes > KEPT_BYTES_MAX) {
                Sender *most = greediest(w, s);

                if (!most || s->bytes + bytes > most->bytes)
                        return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many new connections call at once. Try again in a moment.");
                for (size_t i = 0; i < most->n_kept; i++)
                        (void) sd_bus_reply_method_errorf(most->kept[i].call, BUS_ERROR_BUSY, "Too many new connections call at once, and "
                                        "this one more than others. Try again in a moment.");
                drop(w, most);
        }
        return 0;
}

static int keep(Sender *s, sd_bus_message *call, size_t bytes, who_then_t then, sd_bus_error *reterr) {
        Who *w = s->who;

        bytes += COST * (s->n_kept == 0 ? 2 : 1);
        if (s->n_kept == KEPT_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "%zu calls of this connection wait already. Wait for their answers, then try again.",
                                s->n_kept);
        int r = vec_grow((void **) &s->kept, s->n_kept, &s->a_kept, sizeof(Kept));
        if (r >= 0)
                r = make_room(w, s, bytes, reterr);
        if (r < 0)
                return r;
        s->kept[s->n_kept++] = (Kept) { .call = sd_bus_message_ref(call), .then = then };
        s->bytes += bytes;
        w->bytes += bytes;
        return 1;
}

static int keep_first(Who *w, const char *name, sd_bus_message *call, size_t bytes, who_then_t then, sd_bus_error *reterr) {
        Sender *s;

        int r = ask_bus(w, sd_bus_message_get_bus(call), name, &s);
        if (r < 0)
                return r;
        r = keep(s, call, bytes, then, reterr);
        if (r < 0)
                drop(w, s); /* or nobody would count it */
        return r;
}

/* NULL: not heard of yet. One that is known has called last now. */
static Sender *look_up(Who *w, const char *name) {
        Sender *s = find(w, name);

        if (s && s->known) {
                TAILQ_REMOVE(&w->known, s, order);
                TAILQ_INSERT_TAIL(&w->known, s, order);
        }
        return s;
}

static int fill(sd_bus_message *copy, sd_bus_message *call) {
        const char *sender = sd_bus_message_get_sender(call);
        uint64_t number;

        int r = sd_bus_message_get_cookie(call, &number);
        if (r >= 0 && sender)
                r = sd_bus_message_set_sender(copy, sender);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(copy, sd_bus_message_get_expect_reply(call));
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(copy, sd_bus_message_get_allow_interactive_authorization(call));
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(copy, call, true);
        if (r >= 0)
                r = sd_bus_message_seal(copy, number, 0);
        return r < 0 ? r : sd_bus_message_rewind(copy, true);
}

/* A call that is kept until there is an answer. No method wants descriptors, but a bus hands over those that came beside a call (16 of them, as it
 * is set up by default), and the library keeps them for as long as it keeps the message. So what is kept is a copy: the same words of the same sender under the
 * same number, which replies are made to all the same. check_length() has seen that no argument is a descriptor; a reference is returned. */
static int bare_call(sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;

        int r = sd_bus_message_new_method_call(sd_bus_message_get_bus(call), &copy, sd_bus_message_get_destination(call),
                        sd_bus_message_get_path(call), sd_bus_message_get_interface(call), sd_bus_message_get_member(call));
        if (r >= 0)
                r = fill(copy, call);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(copy);
        return 0;
}

static int asks_on_bus(Who *w, sd_bus_message *call, size_t bytes, who_then_t then, sd_bus_error *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *bare = NULL;
        const char *name = sd_bus_message_get_sender(call);

        if (!name)
                return -EPERM;
        int r = bare_call(call, &bare);
        if (r < 0)
                return r;
        Sender *s = look_up(w, name);
        if (!s)
                return keep_first(w, name, bare, bytes, then, reterr);
        return s->known ? serve(s, bare, then, reterr) : keep(s, bare, bytes, then, reterr);
}

int who_asks(Who *w, sd_bus_message *call, who_then_t then, sd_bus_error *reterr) {
        Sender peer = { .who = w };
        size_t bytes;

        int r = check_length(call, &bytes, reterr);
        if (r < 0)
                return r;
        if (buses_is_peer(w->buses, sd_bus_message_get_bus(call), &peer.uid, &peer.pid))
                return serve(&peer, call, then, reterr);
        return asks_on_bus(w, call, bytes, then, reterr);
}

static int ask_first(Who *w, sd_bus_message *call, Sender **ret, sd_bus_error *reterr) {
        Sender *s;

        int r = ask_bus(w, sd_bus_message_get_bus(call), sd_bus_message_get_sender(call), &s);
        if (r < 0)
                return r;
        r = make_room(w, s, COST, reterr);
        if (r < 0) {
                drop(w, s);
                return r;
        }
        s->bytes += COST;
        w->bytes += COST;
        *ret = s;
        return 0;
}

int who_pays(Who *w, sd_bus_message *call, size_t bytes, sd_bus_error *reterr) {
        const char *name = sd_bus_message_get_sender(call);
        sd_bus *bus = sd_bus_message_get_bus(call);
        uint32_t uid, pid;

        if (buses_is_peer(w->buses, bus, &uid, &pid))
                return who_charge(w, call, uid, bytes, reterr);
        if (!name)
                return -EPERM;
        Sender *s = look_up(w, name);
        if (s && s->known)
                return who_charge(w, call, s->uid, bytes, reterr);
        int r = s ? 0 : ask_first(w, call, &s, reterr);
        if (r < 0)
                return r;
        if (s->debt + bytes > DEBT_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "The caller is not identified yet, and too many calls of this connection wait. "
                                         "Try again in a moment.");
        s->debt += bytes;
        buses_said(w->buses, bus, bytes);
        return 0;
}
