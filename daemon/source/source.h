/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/strtab.h"
#include "base/util.h"

/* The machine tells the daemon, and its guard, what happened through sources. Each is one file behind this interface, and each turns
 * what it sees into the few kinds of events that the manager (or the guard) decides about. */

typedef enum SourceEventKind {
        SOURCE_BUTTON_PRESSED,         /* port */
        SOURCE_BUTTON_MISSED,          /* port: nobody told, but the slot looks as if its button had been pressed */
        SOURCE_BUTTON_CANCELLED,       /* port */
        SOURCE_GIVEN_BACK,             /* port: the guard has given a slot back that nobody wanted; text: why */
        SOURCE_LET_GO,                 /* port: the guard has given a slot back as it was asked to, or for a press that was called off; or somebody else has */
        SOURCE_REMOVAL_REQUESTED,      /* bdf */
        SOURCE_REQUEST_UNSERVED,       /* text: a firmware request for a device that is in no slot */
        SOURCE_MEMORY_CAME,            /* kmem has added the memory of a dax device */
        SOURCE_TOPOLOGY_CHANGED,
        SOURCE_EVENTS_LOST,            /* text: whose */
        SOURCE_CARD_GONE,              /* port */
        SOURCE_CARD_DOUBTED,           /* port: its card may be gone; text: by what the kernel says */
        SOURCE_LIGHT_OVER,             /* port: the card was taken out of a slot that said "safe to pull" */
        SOURCE_LIGHT_UNTRUE,           /* port: such a slot no longer shows what "safe" means; text: what it shows */
        _SOURCE_EVENT_KIND_MAX,
        _SOURCE_EVENT_KIND_INVALID = -EINVAL,
} SourceEventKind;

DECLARE_STRING_TABLE(source_event_kind, SourceEventKind);

/* What the daemon wants of a port. One word says all of it: it replaces the one before, and a guard that was started anew hears it again. */
typedef enum PortWant {
        PORT_WANT_NOTHING,             /* a press is answered, and what is held for nobody is given back */
        PORT_WANT_WATCH,               /* a removal runs there: presses are for it */
        PORT_WANT_CLAIM,               /* and it has the hold on record: whoever took the slot, the removal gives it back */
        PORT_WANT_YIELD,               /* and it has left the slot to the kernel, for the power-off: a press is told, not answered */
        PORT_WANT_LIGHT,               /* the slot says "safe to pull": told when the card is out, or when that is no longer so */
        _PORT_WANT_MAX,
        _PORT_WANT_INVALID = -EINVAL,
} PortWant;

DECLARE_STRING_TABLE(port_want, PortWant); /* "nothing", "watch", "claim", "yield", "light" */

typedef struct SourceEvent {
        SourceEventKind kind;
        const char *port;
        const char *bdf;
        const char *text;
        uint64_t usec;         /* when the kernel said it (its log's clock, which is near the monotonic one); 0: it did not */
        uint64_t sequence;     /* the number of that record in its log, which grows until the machine is restarted */
        bool held;             /* a press: the guard has the slot, and it is given back when nobody claims it */
        bool again;            /* the same press was told of before: the guard did not know that */
        bool past;             /* it was said before anybody of us listened, at most 5 s ago */
} SourceEvent;

typedef struct SourceContext {
        sd_event *event;
        void (*emit)(const SourceEvent *event, void *userdata);
        void *userdata;
} SourceContext;

typedef struct Source {
        const char *name;
        const char *without;   /* what does not work when it cannot be started, for the log */

        /* *ret_state belongs to the caller, who gives it back to stop(). The context outlives the source. */
        int (*start)(const SourceContext *context, void **ret_state);
        void (*stop)(void *state);
} Source;

/* The guard's: */
extern const Source source_kmsg;
extern const Source source_slot;

/* When it started records of the last 5 s, for as long as the kernel waits after a press, had been overwritten already: then, and then alone, a light may
 * stand for a press that nobody has heard of. */
bool source_kmsg_past_is_torn(const void *state);

/* What the slot source looks at depends on what runs. Watching a port twice is fine. */
int source_slot_watch(void *state, const char *port);
void source_slot_unwatch(void *state, const char *port);

/* A slot that says "safe to pull" with a card still in it: looked at until the card is gone or the light has become untrue. */
int source_slot_guard(void *state, const char *port);
void source_slot_unguard(void *state, const char *port);

/* Looks (twice, a moment apart) whether this port's slot waits for its power-off: SOURCE_BUTTON_MISSED if so. */
int source_slot_look(void *state, const char *port);

/* The daemon's: */
extern const Source source_udev;
extern const Source source_guard;

/* Connects, once what is wanted is known. A guard that cannot be reached is tried again, and told all of it then. */
void guard_begin(void *state);

/* -ENOTCONN: the guard is away, and hears of it when it is back. */
int guard_want(void *state, const char *port, PortWant want);

/* Nothing comes of the press: the guard gives the slot back, unless it was claimed. */
void guard_give_back(void *state, const char *port, const char *why);

/* source_slot_look() over there. -ENOTCONN: the guard is away. `lost`: nobody knows of a press, something that was said is missing; the guard looks where that may be a press. */
int guard_look(void *state, const char *port, bool lost);
