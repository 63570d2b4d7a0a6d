/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/log.h"
#include "daemon/source/question.h"
#include "engine/engine.h" /* Outcome */
#include "removal-report.h"

#define REMOVAL_PATH "/org/saferemove1/removal" /* what the bus calls them */

typedef enum Trigger {
        TRIGGER_COMMAND,
        TRIGGER_BUTTON,
        TRIGGER_UEVENT,
        TRIGGER_INSERT,
        TRIGGER_LATE,          /* a write to the kernel at which an earlier one got stuck has come to its end */
        _TRIGGER_MAX,
        _TRIGGER_INVALID = -EINVAL,
} Trigger;

DECLARE_STRING_TABLE(trigger, Trigger); /* "command", "button", "uevent", "insert", "late" */

typedef enum RemovalKind {
        KIND_REMOVE,
        KIND_RESTORE,          /* puts back what an earlier one took down: everything else about it is as with a removal */
        _REMOVAL_KIND_MAX,
        _REMOVAL_KIND_INVALID = -EINVAL,
} RemovalKind;

DECLARE_STRING_TABLE(removal_kind, RemovalKind); /* "remove", "restore" */

typedef enum RemovalState {
        REMOVAL_PLANNING,
        REMOVAL_WAITING,
        REMOVAL_WORKING,
        REMOVAL_FINISHING,     /* from here on there is no way back */
        REMOVAL_RESTORING,
        REMOVAL_ENDED,
        _REMOVAL_STATE_MAX,
        _REMOVAL_STATE_INVALID = -EINVAL,
} RemovalState;

DECLARE_STRING_TABLE(removal_state, RemovalState); /* "planning", "waiting", ... */

typedef struct Removal Removal;

/* Who hears of removals, whoever that is. All hear of everything, in the order in which they began to listen, but of a start: there the last
 * one is the first, since what is shown of a slot names the removal. What is NULL is not heard. None of them may free the removal. */
typedef struct RemovalListener {
        void (*started)(Removal *r, void *userdata);    /* its slots are known, and everybody may see it */
        void (*changed)(Removal *r, const char *const *properties, void *userdata); /* their names (docs/PROTOCOL.md), NULL-terminated */
        void (*told)(Removal *r, json_object *event, void *userdata); /* by its worker, and taken over; what is changed in it the next one sees */
        void (*unbegun)(Removal *r, const char *why, void *userdata); /* its worker is no more, and nothing of it is on record */
        void (*ended)(Removal *r, void *userdata);
        void (*forgotten)(Removal *r, void *userdata);  /* about to be freed, after it was started */
} RemovalListener;

enum {
        REMOVAL_LISTENERS_MAX = 9,
};

/* Whose removals these are: decides what comes of an enquiry, and may free the removal in the first three calls. */
typedef struct RemovalOwner {
        sd_event *event;
        void (*found)(Removal *r, void *userdata);      /* its slots are known, of a card that is there */
        void (*unstartable)(Removal *r, const char *code, const char *message, void *userdata);
        void (*died)(Removal *r, void *userdata);       /* the worker that it was given up for; may free it */
        json_object *(*inhibitors)(void *userdata);     /* for its plan (plan/find/inhibitor.h); NULL: there are none. Borrowed */
        void *userdata;
        struct {
                const RemovalListener *calls;
                void *userdata;
        } listeners[REMOVAL_LISTENERS_MAX];
        size_t n_listeners;
} RemovalOwner;

/* From now on, until the owner is gone. */
void removal_listen(RemovalOwner *owner, const RemovalListener *calls, void *userdata);

/* One removal: what it shows of itself, and the worker that does it. It begins as an enquiry (which slot does this
 * target mean?) that nobody sees; its owner starts it once it knows that no other removal has the slot. */
struct Removal {
        const RemovalOwner *owner;
        uint64_t number;
        char *id;
        char *path;
        bool started;          /* "go" was said, or it is a resumed one: the bus shows it */

        RemovalKind kind;
        Trigger trigger;
        char *target;
        json_object *targets;  /* of several cards: their names; else NULL */
        char *slot, *port;     /* NULL until known */
        json_object *others;   /* more slots of the same removal: {"name", "port", "card"} each; or NULL */
        char *label;           /* all of its slots, for people: "2", "2 3" */
        json_object *options, *by, *card;
        json_object *step_ports; /* of its plan's steps, the port that each holds or lets go (else null); NULL until there is a plan */
        json_object *holds;    /* all of them that it came to: {"PORT": true} */
        json_object *outer;    /* the slots that its slot is inside of: {"name", "port"} each, or NULL */
        uint64_t started_usec; /* wall clock, */
        uint64_t asked_usec;   /* and monotonic */
        uint64_t took_usec;    /* of one that has ended */

        RemovalState state;
        char *step;
        unsigned step_index, step_count;
        double progress;
        json_object *plan;     /* what everybody may know of it: {"digest", "verdict", "steps", "holders", "blockers", ...} */
        RemovalReport *report; /* the whole plan, and what was said at the end: for those who may see it (removal-report.h) */
        json_object *regions;  /* that it takes down, each with "peers": other cards, {"slot", "serial"}; or NULL */
        json_object *delays;   /* numbers of the inhibitors that its plan may wait for, or NULL */
        json_object *passed_over; /* numbers of those that its plan passes over (ignore_inhibitors), or NULL */
        bool hold_only;        /* its plan is a press's first one, which holds the slot: what goes with it is not known */
        bool released;         /* its worker knows that it need not */
        bool announced;
        uint64_t promised_usec; /* until then (wall clock) listeners were promised that nothing is taken away, */
        uint64_t promised_until; /* and monotonic */
        uint64_t begun_usec;   /* its steps were, monotonic */
        uint64_t estimated_end_usec, ended_usec; /* wall clock; 0: nobody knows, it has not */

        Outcome outcome;       /* _OUTCOME_INVALID while it runs */
        char *code, *message;
        char *certificate;     /* the digest of its certificate, or NULL */
        char **remedy, **lost, **disturbed; /* NULL-terminated, may be NULL */

        Worker *worker;
        Worker *hanging;       /* one that was killed and has not died: nobody else may be at it */
        bool finishing;        /* a step that cannot be undone is on record as begun, by a worker before: its card may go at any time */
        bool cancelled;        /* somebody wants it back; a resumed worker is told so too */
        bool given_up;         /* ended in the daemon's name alone: the record goes on, and so does whoever takes it up */
        bool died_since;       /* its worker, for which it was given up, while the machine was about to go down: to be taken up afterwards */
        json_object *record;   /* what a worker said of its record then: {"entry", "holds"}; NULL: nobody could read it */
        bool pressed;          /* the kernel's own clock was started by a press while this one ran */
        WorkerEnd death;       /* of the last one, until its record has been read */
        Question *question;    /* about that record */
        unsigned attempts;     /* resumed so often */
        sd_event_source *retry;

        void *asker;           /* who waits to be told what comes of it; NULL: nobody */
};

typedef struct RemovalRequest {
        uint64_t number;
        RemovalKind kind;
        Trigger trigger;
        const char *target;
        json_object *targets;  /* of several cards; else NULL */
        json_object *options;  /* may be NULL */
        json_object *by;
        void *asker;           /* NULL: nobody waits */
} RemovalRequest;

/* What the request points to is copied or referenced, but for who asks; nothing is started or shown yet. The removal is the caller's; its owner outlives it. */
int removal_new(const RemovalOwner *owner, const RemovalRequest *request, Removal **ret);
void removal_free(Removal *r);
DEFINE_CLEANUP_FUNC(Removal, removal_free)

static inline bool removal_runs(const Removal *r) {
        return r->started && r->state != REMOVAL_ENDED;
}

/* The slots it is of become known: the first, and those of an array of {"name", "port"} that are others (may be NULL). -ENOMEM. */
int removal_take_slots(Removal *r, const char *slot, const char *port, json_object *slots);

static inline size_t removal_n_slots(const Removal *r) {
        return 1 + json_len(r->others);
}

static inline const char *removal_slot(const Removal *r, size_t i) {
        return i == 0 ? r->slot : json_str(json_at(r->others, i - 1), "name");
}

static inline const char *removal_port(const Removal *r, size_t i) {
        return i == 0 ? r->port : json_str(json_at(r->others, i - 1), "port");
}

/* An array of strings, the caller's. */
static inline json_object *removal_slot_names(const Removal *r) {
        json_object *names = json_object_new_array();

        for (size_t i = 0; i < removal_n_slots(r); i++)
                json_append_str(names, removal_slot(r, i));
        return names;
}

/* The slots as a sentence about it names them. */
static inline const char *removal_label(const Removal *r) {
        return r->label ?: r->slot ?: "?";
}

/* "Removal" or "Restoration": how a sentence about it begins. */
const char *removal_noun(const Removal *r);

/* The command that goes on with one that was given up: "remove", "restore", "self-test --with-power" ... */
const char *removal_command(const Removal *r);

/* Microseconds since it was asked for; of one that has ended, until it had. */
uint64_t removal_age(const Removal *r);

/* removal-worker.c. The enquiry: starts a worker, gives it the request and waits for its word. `unread` (NULL: none): removals that nobody can
 * read, for its plan. */
int removal_enquire(Removal *r, json_object *unread);

/* Starts for good. With `refuse` it only answers a press, by taking the slot and giving it back, and ends refused for that reason. */
int removal_go(Removal *r, const char *refuse);

/* A worker for a removal whose former one is gone without having ended it. */
void removal_resume(Removal *r);

/* 0 (also when it is on its way back already), or -ESTALE past the point of no return. */
int removal_cancel(Removal *r, const char *why);

/* Nobody has it wait any more. */
void removal_release(Removal *r);

/* Ends it in the daemon's own name, when no worker is there to do so. */
void removal_give_up(Removal *r, Outcome outcome, const char *message);

/* Its worker hears that listeners were told of it, so that no other one has them told once more. */
void removal_confirm_announced(Removal *r);

/* removal-plan.c: takes what is kept of a plan. */
void removal_learn_plan(Removal *r, json_object *plan);

/* Takes over what a worker's line says, and tells the listeners. */
int removal_take_event(Removal *r, json_object *event);

/* To the listeners: an event that is about it; these properties have changed. */
void removal_tell(Removal *r, json_object *event);
void removal_changed(Removal *r, const char *const *properties);
#define removal_emit(r, ...) removal_changed((r), (const char *const[]) { __VA_ARGS__, NULL })

/* For the owner to say: everybody may see it from now on; it is about to be freed. */
void removal_tell_started(Removal *r);
void removal_tell_forgotten(Removal *r);

/* To the listeners, of one whose worker died before anything was on record. */
void removal_tell_unbegun(Removal *r, const char *why);

/* "safe-remove/report/1" as it is now, for root or for everybody. */
int removal_report(Removal *r, bool privileged, Answer **ret);

/* What a log line about it is about. The buffer holds the uid's text. */
LogSubject removal_subject(const Removal *r, char uid[static 24]);
