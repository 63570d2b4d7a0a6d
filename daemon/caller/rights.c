/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "daemon/log.h"
#include "daemon/source/question.h"
#include "bus-error.h"
#include "quota.h"
#include "rights.h"
#include "sub-uid.h"
#include "who.h"

enum {
        /* A bus lets a service wait for so many replies (128, as it is set up by default), and counts those too that we do not wait for any more. */
        PENDING_OF_ONE = 4,
        PENDING_OF_ALL = 32,   /* and as many looks */
        DENIALS_MAX = 4,       /* workers at a time that tell the audit log */
        BEGUN_AT_ONCE = 20,    /* of the 1000 that stay on record */
        DENIAL_COST = 512 * 1024, /* of a user's store (quota.c): four at once, then one in two seconds */
        MAY_ASK_A_PERSON = 1,  /* AllowUserInteraction of CheckAuthorization */
};

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE POLKIT ".Authority"

#define WORD_USEC (10 * USEC_PER_SEC)
#define PERSON_USEC (300 * USEC_PER_SEC) /* somebody looks for a password */
#define LOOK_USEC (2 * USEC_PER_SEC)
#define SILENCE_USEC (30 * USEC_PER_SEC) /* in which no look waits for a polkit that has not answered */
#define DENIAL_USEC (10 * USEC_PER_SEC)
#define BEGUN_USEC (1800 * USEC_PER_SEC) /* then one more: three weeks until all on record are one user's */

typedef struct Pending {
        Rights *rights;
        RightsWish wish;       /* has references of its own */
        sd_bus_message *call;
        json_object *by;
        uint32_t user;         /* whose turn it is (sub-uid.h) */
        size_t at;             /* of the actions */
        char *question_name;   /* what the question is called off by; NULL: none is under way */
        sd_bus_slot *question, *gone;
        LIST_ENTRY(Pending) list;
} Pending;

/* A refusal on its way to the logs. */
typedef struct Denial {
        Rights *rights;
        char *text;
        json_object *by, *details;
        const char *action;    /* in `text` too; points into `actions` */
        json_object *actions;
        Question *question;
        LIST_ENTRY(Denial) list;
} Denial;

struct Rights {
        sd_event *event;
        const Buses *buses;
        uint64_t number;       /* of the last question */
        uint64_t silent_until; /* monotonic */
        LIST_HEAD(, Pending) pending;
        LIST_HEAD(, Denial) denials;
        Quota *logged, *begun;
        unsigned unlogged;     /* refusals that were too many for the logs, since the last line */
};

int rights_new(sd_event *event, Buses *buses, Rights **ret) {
        Rights *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        *r = (Rights) { .event = event, .buses = buses };
        int k = quota_new(&r->logged);
        if (k >= 0)
                k = quota_new_of(BEGUN_AT_ONCE, BEGUN_USEC, &r->begun);
        if (k < 0) {
                quota_free(r->logged);
                free(r);
                return k;
        }
        *ret = r;
        return 0;
}

static void pending_free(Pending *p) {
        if (p->list.le_prev)
                LIST_REMOVE(p, list);
        sd_bus_slot_unref(p->question);
        sd_bus_slot_unref(p->gone);
        sd_bus_message_unref(p->call);
        json_object_put(p->wish.actions);
        json_object_put(p->wish.details);
        json_object_put(p->wish.kept);
        json_object_put(p->by);
        free(p->question_name);
        free(p);
}

DEFINE_CLEANUP_FUNC(Pending, pending_free)

static void denial_free(Denial *d) {
        if (d->list.le_prev)
                LIST_REMOVE(d, list);
        question_free(d->question);
        json_object_put(d->by);
        json_object_put(d->details);
        json_object_put(d->actions);
        free(d->text);
        free(d);
}

DEFINE_CLEANUP_FUNC(Denial, denial_free)

void rights_forget(Rights *r) {
        while (!LIST_EMPTY(&r->pending))
                pending_free(LIST_FIRST(&r->pending));
}

void rights_free(Rights *r) {
        if (!r)
                return;
        rights_forget(r);
        while (!LIST_EMPTY(&r->denials))
                denial_free(LIST_FIRST(&r->denials));
        quota_free(r->logged);
        quota_free(r->begun);
        free(r);
}

static uint32_t user_of(json_object *by) {
        return sub_uid_user((uint32_t) json_u64(by, "uid"));
}

bool rights_may_begin(Rights *r, json_object *by) {
        return who_is_privileged(by) || quota_has(r->begun, user_of(by), now_monotonic());
}

void rights_begun(Rights *r, json_object *by) {
        if (!who_is_privileged(by))
                quota_owe(r->begun, user_of(by), 1, now_monotonic());
}

/* Nobody's agent goes on asking for a password that nothing comes of. */
static void call_off(Pending *p) {
        if (p->question_name)
                (void) sd_bus_call_method_async(sd_bus_message_get_bus(p->call), NULL, POLKIT, POLKIT_PATH, POLKIT_INTERFACE,
                                "CancelCheckAuthorization", NULL, NULL, "s", p->question_name);
}

/* Refusals. */

static void write_denial(Denial *d) {
        _cleanup_free_ char *more = d->rights->unlogged > 0 ? strf(" (%u more refusals before it are not logged.)", d->rights->unlogged) : NULL;
        _cleanup_free_ char *action = strf(RIGHTS_PREFIX "%s", d->action);
        const char *unit = json_str(d->by, "unit"), *session = json_str(d->by, "session");
        char uid[24];

        (void) snprintf(uid, sizeof(uid), "%" PRIu64, json_u64(d->by, "uid"));
        const LogSubject subject = {
                .slot = json_str(d->details, "slot"), .serial = json_str(d->details, "serial"), .by_uid = uid, .by_unit = unit, .by_session = session,
                .action = action,
        };
        log_write(LOG_WARNING, LOG_MESSAGE_DENIED, &subject, "uid %s (process %" PRIu64 ", %s%s%s%s%s) %s%s", uid, json_u64(d->by, "pid"),
                        json_str(d->by, "comm") ?: "?", session ? ", session " : "", session ?: "", unit ? ", unit " : "", unit ?: "", d->text, more ?: "");
        d->rights->unlogged = 0;
}

static void on_denial_told(json_object *answer, const char *why_not, void *userdata) {
        static bool said;
        Denial *d = userdata;
        const char *unaudited = answer ? json_str(answer, "unaudited") : why_not;

        if (json_get(answer, "by")) {
                json_object_put(d->by);
                d->by = json_ref(json_get(answer, "by"));
        }
        write_denial(d);
        if (unaudited && !said)
                log_plain(LOG_WARNING, "The kernel's audit log does not take what is refused: %s. (This is said once.)", unaudited);
        said = said || unaudited;
        denial_free(d);
}

/* The text goes on from who it was. What users can have refused is without end, and what is logged of it has one. */
static void tell_denial(Rights *r, json_object *by, json_object *actions, size_t at, json_object *details, const char *text) {
        _cleanup_json_ json_object *request = json_object_new_object();
        _cleanup_(denial_freep) Denial *d = calloc(1, sizeof(*d));
        const Denial *other;
        size_t n = 0;

        LIST_FOREACH(other, &r->denials, list)
                n++;
        if (!d || n >= DENIALS_MAX || !quota_take(r->logged, user_of(by), DENIAL_COST, now_monotonic())) {
                r->unlogged++;
                return;
        }
        *d = (Denial) {
                .rights = r, .text = strdup(text), .by = json_ref(by), .details = json_ref(details), .actions = json_ref(actions),
                .action = json_object_get_string(json_at(actions, at)),
        };
        json_set(request, "by", json_ref(by));
        json_set_str(request, "action", d->action);
        json_set_str(request, "slot", json_str(details, "slot"));
        json_set_str(request, "serial", json_str(details, "serial"));
        if (!d->text)
                return;
        if (question_ask(r->event, "denied", request, DENIAL_USEC, on_denial_told, d, &d->question) < 0) {
                write_denial(d);
                return;
        }
        LIST_INSERT_HEAD(&r->denials, d, list);
        (void) TAKE_PTR(d);
}

/* Sets the error of a refusal, and has it logged. */
static int refuse(Rights *r, json_object *by, const RightsWish *wish, size_t at, const char *why, sd_bus_error *reterr) {
        const char *action = json_object_get_string(json_at(wish->actions, at));
        _cleanup_free_ char *text = strf("is not authorized for " RIGHTS_PREFIX "%s: %s.", action, why);

        tell_denial(r, by, wish->actions, at, wish->details, text ?: action);
        return sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED, "You are not authorized for " RIGHTS_PREFIX "%s: %s. As root (sudo) it needs no "
                        "authorization.", action, why);
}

/* polkit. */

static int ask(Pending *p);

/* That is all: the call is answered, and nothing waits any more. */
static void end(Pending *p, bool may, const char *why) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(pending_freep) Pending *owned = p;
        int r;

        LIST_REMOVE(p, list); /* its place is free from here on */
        p->list.le_prev = NULL;
        if (may || p->wish.look)
                r = p->wish.then(p->wish.userdata, p->call, p->by, p->wish.kept, may, &error);
        else
                r = refuse(p->rights, p->by, &p->wish, p->at, why, &error);
        if (r < 0)
                (void) (sd_bus_error_is_set(&error) ? sd_bus_reply_method_error(p->call, &error) : sd_bus_reply_method_errno(p->call, r, NULL));
}

/* Its place is somebody else's. A look goes on without what it asked for. */
static void give_way(Pending *p) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (p->wish.look) {
                end(p, false, NULL);
                return;
        }
        (void) sd_bus_error_set(&error, BUS_ERROR_BUSY, "Too many requests wait for their authorization, and yours are more than others'. Try again in a moment.");
        (void) sd_bus_reply_method_error(p->call, &error);
        pending_free(p);
}

/* (bba{ss}): is he authorized, could he be by proving who he is, and details. NULL: he is. */
static const char *read_word(const Pending *p, sd_bus_message *reply) {
        int authorized, challenge;

        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") <= 0 || sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
                return "what polkit answers cannot be read";
        if (authorized)
                return NULL;
        if (!challenge)
                return "polkit refuses it, or the question was dismissed";
        return sd_bus_message_get_allow_interactive_authorization(p->call) > 0 ? "polkit wants a password for it, and there is no agent to ask for one"
                        : "polkit wants a password for it, and was not to ask for one";
}

static int on_word(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        _cleanup_free_ char *failed = NULL;
        Pending *p = userdata;
        const char *why;

        p->question = sd_bus_slot_unref(p->question);
        if (e && sd_bus_error_get_errno(e) == ETIMEDOUT) {
                call_off(p);
                if (!sd_bus_message_get_allow_interactive_authorization(p->call))
                        p->rights->silent_until = now_monotonic() + SILENCE_USEC;
                why = "polkit has not answered in time";
        } else if (e) {
                failed = strf("polkit cannot be asked (%s)", e->message ?: e->name);
                why = failed ?: "polkit cannot be asked";
        } else
                why = read_word(p, reply);
        free(TAKE_PTR(p->question_name));
        if (why)
                end(p, false, why);
        else if (++p->at == json_len(p->wish.actions))
                end(p, true, NULL);
        else if (ask(p) < 0)
                end(p, false, "polkit cannot be asked");
        return 1;
}

static int append_details(sd_bus_message *m, json_object *details) {
        int r = sd_bus_message_open_container(m, 'a', "{ss}");

        if (!details)
                return r < 0 ? r : sd_bus_message_close_container(m);
        json_object_object_foreach(details, key, value)
                if (r >= 0 && value)
                        r = sd_bus_message_append(m, "{ss}", key, json_object_get_string(value));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int ask(Pending *p) {
        sd_bus *bus = sd_bus_message_get_bus(p->call);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool person = sd_bus_message_get_allow_interactive_authorization(p->call) > 0;
        _cleanup_free_ char *action = strf(RIGHTS_PREFIX "%s", json_object_get_string(json_at(p->wish.actions, p->at)));

        p->question_name = strf("safe-remove-%" PRIu64, ++p->rights->number);
        if (!action || !p->question_name)
                return -ENOMEM;
        int r = sd_bus_message_new_method_call(bus, &m, POLKIT, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", sd_bus_message_get_sender(p->call), action);
        if (r >= 0)
                r = append_details(m, p->wish.details);
        if (r >= 0)
                r = sd_bus_message_append(m, "us", person ? MAY_ASK_A_PERSON : 0, p->question_name);
        return r < 0 ? r : sd_bus_call_async(bus, &p->question, m, on_word, p, person ? PERSON_USEC : p->wish.look ? LOOK_USEC : WORD_USEC);
}

static int on_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        Pending *p = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || *after)
                return 0;
        call_off(p);
        pending_free(p);
        return 0;
}

static int watch_caller(Pending *p) {
        _cleanup_free_ char *match = strf("type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                        "member='NameOwnerChanged',arg0='%s'", sd_bus_message_get_sender(p->call));

        return match ? sd_bus_add_match_async(sd_bus_message_get_bus(p->call), &p->gone, match, on_gone, NULL, p) : -ENOMEM;
}

static size_t count(const Rights *r, uint32_t user, bool look) {
        const Pending *p;
        size_t n = 0;

        LIST_FOREACH(p, &r->pending, list)
                n += p->wish.look == look && p->user == user;
        return n;
}

/* The newest of whoever has most places, if these are more than `least`; NULL: nobody has. */
static Pending *greediest(const Rights *r, bool look, size_t least, size_t *ret_all) {
        Pending *p, *most = NULL;

        *ret_all = 0;
        LIST_FOREACH(p, &r->pending, list) {
                if (p->wish.look != look)
                        continue;
                ++*ret_all;
                size_t n = count(r, p->user, look);
                if (n > least) {
                        least = n;
                        most = p;
                }
        }
        return most;
}

/* Eight users could have all places, for as long as somebody looks for a password: who has more of them than the one who comes would have gives way. */
static bool make_room(Rights *r, uint32_t user, bool look) {
        size_t own = count(r, user, look), all;

        if (own >= PENDING_OF_ONE)
                return false;
        Pending *most = greediest(r, look, own + 1, &all);
        if (all < PENDING_OF_ALL)
                return true;
        if (!most)
                return false;
        call_off(most);
        give_way(most);
        return true;
}

static int pending_new(Rights *r, sd_bus_message *call, json_object *by, const RightsWish *wish, Pending **ret) {
        _cleanup_(pending_freep) Pending *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = (Pending) {
                .rights = r, .wish = *wish, .call = sd_bus_message_ref(call), .by = json_ref(by), .user = user_of(by),
        };
        json_ref(wish->actions);
        json_ref(wish->details);
        json_ref(wish->kept);
        int k = wish->look ? 0 : watch_caller(p);
        if (k >= 0)
                k = ask(p);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(p);
        return 0;
}

bool rights_can_ask(const Rights *r, sd_bus_message *call) {
        return sd_bus_message_get_bus(call) == buses_system(r->buses);
}

int rights_ask(Rights *r, sd_bus_message *call, json_object *by, const RightsWish *wish, sd_bus_error *reterr) {
        bool silent = wish->look && now_monotonic() < r->silent_until;
        Pending *p;

        if (!rights_can_ask(r, call) && !wish->look)
                return refuse(r, by, wish, 0, "over this socket nobody can be authorized, the system bus is the way for that", reterr);
        bool room = rights_can_ask(r, call) && !silent && make_room(r, user_of(by), wish->look);
        if (!room && wish->look)
                return wish->then(wish->userdata, call, by, wish->kept, false, reterr);
        if (!room)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many requests wait for their authorization, yours or all. Try again in a moment.");
        int k = pending_new(r, call, by, wish, &p);
        if (k < 0 && wish->look)
                return wish->then(wish->userdata, call, by, wish->kept, false, reterr);
        if (k < 0)
                return refuse(r, by, wish, 0, "polkit cannot be asked", reterr);
        LIST_INSERT_HEAD(&r->pending, p, list);
        return 1;
}
