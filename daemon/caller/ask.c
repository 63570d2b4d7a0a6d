/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "answer.h"
#include "ask.h"
#include "bus-error.h"
#include "sub-uid.h"

enum {
        PLACES_OF_USERS = 2,   /* worker processes at a time, one for each of them */
        PLACES_OF_ROOT = 4,
        WAIT_OF_ONE = 16,      /* calls of one user that wait for their answers */
        WAIT_OF_USERS = 256,
        WAIT_OF_ROOT = 1024,
        PIECE_COST = 60 * 1024, /* of a document that is kept */
        DESCRIPTOR_COST = 8192, /* bytes that a reply with one counts for: as long as the bus has not taken it, it is open here */
};

/* Seconds on a large machine; a caller that gives up earlier just does not hear the answer. */
#define ASK_USEC (60 * USEC_PER_SEC)

typedef struct Waiter {
        sd_bus_message *call;
        AskForm form;
        ask_typed_t typed;
} Waiter;

/* One question, and all who wait for its answer. */
typedef struct Ask {
        Asks *asks;
        char *verb, *what;
        json_object *request;
        uint32_t uid, user;    /* whose answer it is, and whose turn (sub-uid.h) */
        bool privileged, look;
        uint64_t turn;         /* when this user was served last: who waits longest is next */
        Waiter *waiters;
        size_t n_waiters, a_waiters;
        Question *question;    /* a worker has begun */
        unsigned awaited;      /* what is missing yet: the worker's answer, and the look */
        Answer *document;
        json_object *parsed;   /* the same where somebody wants it typed */
        ask_told_t told;
        void *userdata;
        json_object *line;     /* for those who are told */
        char *error, *why_not; /* instead of it: the name and the message of the bus error */
        struct Ask *next;
} Ask;

struct Asks {
        sd_event *event;
        Who *who;
        Rights *rights;
        Scanner *scanner;
        Ask *first;            /* in the order in which they came */
        Streams *streams;
        uint64_t turn;
};

static void ask_free(Ask *q) {
        question_free(q->question);
        for (size_t i = 0; i < q->n_waiters; i++)
                sd_bus_message_unref(q->waiters[i].call);
        free(q->waiters);
        json_object_put(q->request);
        json_object_put(q->line);
        answer_unref(q->document);
        json_object_put(q->parsed);
        free(q->verb);
        free(q->what);
        free(q->error);
        free(q->why_not);
        free(q);
}

DEFINE_CLEANUP_FUNC(Ask, ask_free)

int asks_new(sd_event *event, Who *who, Rights *rights, Scanner *scanner, Asks **ret) {
        _cleanup_(asks_freep) Asks *a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->event = event;
        a->who = who;
        a->rights = rights;
        a->scanner = scanner;
        int r = streams_new(event, &a->streams);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

void asks_free(Asks *a) {
        if (!a)
                return;
        for (Ask *q = a->first, *next; q; q = next) {
                next = q->next;
                ask_free(q);
        }
        streams_free(a->streams);
        free(a);
}

static void forget(Ask *forgotten) {
        Ask **p = &forgotten->asks->first;

        while (*p != forgotten)
                p = &(*p)->next;
        *p = forgotten->next;
        ask_free(forgotten);
}

static uint32_t uid_of(json_object *by) {
        return (uint32_t) json_u64(by, "uid");
}

int asks_read_page(sd_bus_message *call, json_object *request) {
        json_object *page = json_object_new_object();
        uint32_t first, most;
        const char *what;

        json_set(request, "page", page);
        int r = sd_bus_message_read(call, "suu", &what, &first, &most);
        if (r < 0)
                return r;
        json_set_str(page, "what", what);
        json_set_u64(page, "first", first);
        json_set_u64(page, "most", most);
        return 0;
}

AskForm asks_form_of(sd_bus_message *call) {
        const char *member = sd_bus_message_get_member(call);

        return startswith(member, "Open") ? ASK_STREAM : startswith(member, "Keep") ? ASK_KEPT : ASK_TEXT;
}

static int hand_over(Asks *a, sd_bus_message *call, uint32_t uid, Answer *document, const char *what, AskForm form) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        bool is_long = answer_size(document) > ANSWER_INLINE_MAX, privileged = who_is_privileged_uid(uid);
        uint32_t user = sub_uid_user(uid);

        if (form == ASK_TEXT && is_long)
                return sd_bus_reply_method_errorf(call, BUS_ERROR_TOO_LARGE, "%s is %zu bytes long, too long for a reply. The method of the same name "
                                "that begins with Open gives it through a descriptor, the one with Keep in pieces.", what, answer_size(document));
        if ((is_long || form == ASK_KEPT) && !streams_make_room(a->streams, user, privileged, answer_size(document)))
                return sd_bus_reply_method_errorf(call, BUS_ERROR_BUSY, "Answers that you asked for are not read yet. Read them, then ask again.");
        if (who_charge(a->who, call, uid, form == ASK_TEXT ? answer_size(document) : DESCRIPTOR_COST, &error) < 0)
                return sd_bus_reply_method_error(call, &error);
        if (form == ASK_KEPT)
                return streams_keep(a->streams, document, call, uid, user, privileged);
        return form == ASK_STREAM ? streams_reply(a->streams, document, call, user, privileged) : answer_reply(document, call);
}

int asks_hand_over(Asks *a, sd_bus_message *call, json_object *by, Answer *document, const char *what, AskForm form) {
        return hand_over(a, call, uid_of(by), document, what, form);
}

int asks_read_kept(Asks *a, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        _cleanup_free_ char *piece = NULL;
        uint32_t number;

        int r = sd_bus_message_read_basic(call, 'u', &number);
        if (r < 0)
                return r;
        /* Before it is read: who is told to come again gets the same piece then. */
        r = who_charge(a->who, call, uid_of(by), PIECE_COST, reterr);
        if (r < 0)
                return r;
        r = streams_read_kept(a->streams, number, uid_of(by), &piece);
        if (r == -ENOENT)
                return sd_bus_error_setf(reterr, BUS_ERROR_STALE, "No document is kept for you under this number (any more): ask for it again.");
        return r < 0 ? r : sd_bus_reply_method_return(call, "s", piece);
}

/* A page is as short as a reply's text, so it may be parsed here: once, however many wait for it. */
static int reply_typed(Ask *q, const Waiter *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        size_t size = answer_size(q->document);

        if (size > ANSWER_INLINE_MAX)
                return -EMSGSIZE;
        if (who_charge(q->asks->who, w->call, q->uid, size, &error) < 0)
                return sd_bus_reply_method_error(w->call, &error);
        int r = q->parsed ? 0 : answer_parse(q->document, &q->parsed);
        if (r >= 0)
                r = sd_bus_message_new_method_return(w->call, &m);
        if (r >= 0)
                r = w->typed(q->parsed, m);
        return r < 0 ? r : sd_bus_send(NULL, m, NULL);
}

static int reply(Ask *q, const Waiter *w) {
        if (q->line) {
                q->told(q->userdata, w->call, q->request, q->line);
                return 0;
        }
        if (!q->document) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                const char *why_not = q->why_not ?: "Out of memory.";

                if (who_charge(q->asks->who, w->call, q->uid, strlen(why_not), &error) < 0)
                        return sd_bus_reply_method_error(w->call, &error);
                return sd_bus_reply_method_errorf(w->call, q->error ?: BUS_ERROR_FAILED, "%s", why_not);
        }
        return w->typed ? reply_typed(q, w) : hand_over(q->asks, w->call, q->uid, q->document, q->what, w->form);
}

static void start_next(Asks *a);

/* Both are there: all who wait are told, and the next question has the place. */
static void finish(Ask *q) {
        Asks *a = q->asks;

        for (size_t i = 0; i < q->n_waiters; i++) {
                int r = reply(q, &q->waiters[i]);
                if (r < 0)
                        (void) sd_bus_reply_method_errorf(q->waiters[i].call, BUS_ERROR_FAILED, "%s cannot be handed over: %s.", q->what,
                                        strerror(-r));
        }
        a->turn++;
        for (Ask *p = a->first; p; p = p->next)
                if (p->user == q->user)
                        p->turn = a->turn;
        forget(q);
        start_next(a);
}

static void refuse(Ask *q, const char *error, char *why_not) {
        if (q->why_not) {
                free(why_not);
                return;
        }
        q->error = strdup(error);
        q->why_not = why_not;
        q->document = answer_unref(q->document);
}

static void on_look(json_object *topology, const char *why_not, void *userdata) {
        Ask *q = userdata;

        if (!topology)
                refuse(q, BUS_ERROR_FAILED, strf("The machine could not be looked at: %s.", why_not));
        if (--q->awaited == 0)
                finish(q);
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        const char *message = json_str(answer, "message");
        Ask *q = userdata;

        if (!answer)
                refuse(q, BUS_ERROR_FAILED, strf("%s could not be made: %s.", q->what, why_not));
        else if (streq_ptr(json_str(answer, "type"), "error"))
                refuse(q, bus_error_of_code(json_str(answer, "code")), strdup(message ?: "The worker gave no reason."));
        else if (!q->why_not && q->told)
                q->line = json_ref(answer);
        else if (!q->why_not) {
                int r = question_document(q->question, &q->document);
                if (r < 0)
                        refuse(q, BUS_ERROR_FAILED, strf("%s could not be kept: %s.", q->what, strerror(-r)));
        }
        question_free(TAKE_PTR(q->question));
        if (--q->awaited == 0)
                finish(q);
}

/* A look that cannot be asked for is refused by the caller, when the worker has answered. */
static int start(Ask *q) {
        Asks *a = q->asks;

        int r = question_ask(a->event, q->verb, q->request, ASK_USEC, on_answer, q, &q->question);
        if (r >= 0 && !q->privileged)
                question_limit(q->question, ANSWER_OF_USER_MAX);
        if (r < 0)
                return r;
        q->awaited = 1;
        if (!q->look)
                return 0;
        r = scanner_want(a->scanner, on_look, q);
        if (r < 0)
                refuse(q, BUS_ERROR_FAILED, strf("The machine cannot be looked at: %s.", strerror(-r)));
        else
                q->awaited++;
        return 0;
}

static unsigned running(const Asks *a, bool privileged) {
        unsigned n = 0;

        for (const Ask *q = a->first; q; q = q->next)
                n += q->awaited > 0 && q->privileged == privileged;
        return n;
}

static bool is_same(const Ask *q, uint32_t uid, const AskWish *wish) {
        return q->uid == uid && streq(q->verb, wish->verb) && q->look == wish->look && q->told == wish->told && json_object_equal(q->request, wish->request);
}

/* Users have one question under way; root the same one only once: who asks again while it is answered waits for the next answer,
 * together with all who do so. */
static bool must_wait(const Asks *a, const Ask *waiting) {
        const AskWish wish = { .verb = waiting->verb, .request = waiting->request, .look = waiting->look, .told = waiting->told };

        for (const Ask *q = a->first; q; q = q->next)
                if (q->awaited > 0 && q->user == waiting->user && (!q->privileged || is_same(q, waiting->uid, &wish)))
                        return true;
        return false;
}

static Ask *next_of(const Asks *a, bool privileged) {
        Ask *next = NULL;

        if (running(a, privileged) >= (privileged ? PLACES_OF_ROOT : PLACES_OF_USERS))
                return NULL;
        for (Ask *q = a->first; q; q = q->next)
                if (q->awaited == 0 && q->privileged == privileged && (!next || q->turn < next->turn) && !must_wait(a, q))
                        next = q;
        return next;
}

static void start_next(Asks *a) {
        for (Ask *q; (q = next_of(a, true) ?: next_of(a, false));) {
                int r = start(q);
                if (r >= 0)
                        continue;
                for (size_t i = 0; i < q->n_waiters; i++)
                        (void) sd_bus_reply_method_errorf(q->waiters[i].call, BUS_ERROR_FAILED, "%s cannot be made: %s.", q->what, strerror(-r));
                forget(q);
        }
}

static int add_waiter(Ask *q, sd_bus_message *call, const AskWish *wish) {
        int r = vec_grow((void **) &q->waiters, q->n_waiters, &q->a_waiters, sizeof(Waiter));
        if (r < 0)
                return r;
        q->waiters[q->n_waiters++] = (Waiter) { .call = sd_bus_message_ref(call), .form = wish->form, .typed = wish->typed };
        return 0;
}

static Ask *find_same(const Asks *a, uint32_t uid, const AskWish *wish) {
        for (Ask *q = a->first; q; q = q->next)
                if (q->awaited == 0 && is_same(q, uid, wish))
                        return q;
        return NULL;
}

static int ask_new(Asks *a, uint32_t uid, uint32_t user, bool privileged, const AskWish *wish, Ask **ret) {
        _cleanup_(ask_freep) Ask *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;

        *q = (Ask) {
                .asks = a, .verb = strdup(wish->verb), .what = strdup(wish->what), .request = json_ref(wish->request),
                .uid = uid, .user = user, .privileged = privileged, .look = wish->look, .told = wish->told, .userdata = wish->userdata,
        };
        if (!q->verb || !q->what)
                return -ENOMEM;
        *ret = TAKE_PTR(q);
        return 0;
}

/* How many calls wait: of this user, and of all of his kind. */
static void count(const Asks *a, uint32_t user, bool privileged, size_t *ret_one, size_t *ret_all) {
        size_t one = 0, all = 0;

        for (const Ask *q = a->first; q; q = q->next) {
                one += q->user == user ? q->n_waiters : 0;
                all += q->privileged == privileged ? q->n_waiters : 0;
        }
        *ret_one = one;
        *ret_all = all;
}

static int check_room(const Asks *a, uint32_t user, bool privileged, sd_bus_error *reterr) {
        size_t one, all;

        count(a, user, privileged, &one, &all);
        if (!privileged && one >= WAIT_OF_ONE)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "%zu of your questions wait for their answers, which are given one after the other. "
                                "Wait for them, then ask again.", one);
        if (all >= (privileged ? WAIT_OF_ROOT : WAIT_OF_USERS))
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "%zu questions wait for their answers. Ask again in a moment%s.", all,
                                privileged ? "" : ", or as root, who has places of its own");
        return 0;
}

static int add(Asks *a, sd_bus_message *call, json_object *by, const AskWish *wish, sd_bus_error *reterr) {
        bool privileged = who_is_privileged(by);
        uint32_t uid = uid_of(by), user = sub_uid_user(uid);

        int r = check_room(a, user, privileged, reterr);
        if (r < 0)
                return r;
        Ask *q = find_same(a, uid, wish);
        if (q) {
                r = add_waiter(q, call, wish);
                return r < 0 ? r : 1;
        }

        _cleanup_(ask_freep) Ask *fresh = NULL;
        r = ask_new(a, uid, user, privileged, wish, &fresh);
        if (r >= 0)
                r = add_waiter(fresh, call, wish);
        if (r < 0)
                return r;
        for (const Ask *p = a->first; p; p = p->next)
                if (p->user == user)
                        fresh->turn = a->turn; /* after those who have none under way */
        Ask **last = &a->first;
        while (*last)
                last = &(*last)->next;
        *last = TAKE_PTR(fresh);
        start_next(a);
        return 1;
}

static void free_wish(json_object *kept, void *wish) {
        free(wish);
}

/* Whether he may see more than others is known. */
static int add_look(void *asks, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr) {
        const AskWish *wish = json_object_get_userdata(kept);

        if (may)
                json_set_bool(json_get(wish->request, "by"), "details", true);
        return add(asks, call, by, wish, reterr);
}

int asks_add(Asks *a, sd_bus_message *call, json_object *by, const AskWish *wish, sd_bus_error *reterr) {
        _cleanup_json_ json_object *kept = NULL, *actions = NULL;
        AskWish *copy;

        if (who_is_privileged(by) || wish->told || !json_get(wish->request, "by"))
                return add(a, call, by, wish, reterr);
        kept = json_object_new_object();
        json_set_str(kept, "verb", wish->verb);
        json_set_str(kept, "what", wish->what);
        json_set(kept, "request", json_ref(wish->request));
        copy = malloc(sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        *copy = *wish;
        copy->verb = json_str(kept, "verb");
        copy->what = json_str(kept, "what");
        json_object_set_userdata(kept, copy, free_wish);
        actions = json_object_new_array();
        json_append_str(actions, "read-details");
        const RightsWish look = { .actions = actions, .kept = kept, .then = add_look, .userdata = a, .look = true };
        return rights_ask(a->rights, call, by, &look, reterr);
}
