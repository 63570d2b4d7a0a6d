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
        SOURCE_REMOVAL_REQUESTED,      /* bdf */
        SOURCE_REQUEST_UNSERVED,       /* text: a firmware request for a device that is in no slot */
        SOURCE_TOPOLOGY_CHANGED,
        SOURCE_EVENTS_LOST,            /* text: whose */
        SOURCE_CARD_GONE,              /* port */
        SOURCE_LIGHT_UNTRUE,           /* port: a guarded slot no longer shows what "safe" means; text: what it shows */
        _SOURCE_EVENT_KIND_MAX,
        _SOURCE_EVENT_KIND_INVALID = -EINVAL,
} SourceEventKind;

DECLARE_STRING_TABLE(source_event_kind, SourceEventKind);

typedef struct SourceEvent {
        SourceEventKind kind;
        const char *port;
        const char *bdf;
        const char *text;
        uint64_t usec;         /* when the kernel said it (its log's clock, which is near the monotonic one); 0: it did not */
        bool held;             /* a press: the guard has the slot, and it is given back when nobody claims it */
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

/* Connects, once what has to be watched and claimed is known. A guard that cannot be reached is tried again, and told all of it then. */
void guard_begin(void *state);

/* A removal runs at the slot of this port: presses are for it. */
int guard_watch(void *state, const char *port);
void guard_unwatch(void *state, const char *port); /* and whatever was claimed has been given back */

/* Whoever has this slot's hold on record gives it back; from here on the guard does not. */
void guard_claim(void *state, const char *port);

/* The kernel has the slot for its power-off: a press is no longer answered by taking it. Until guard_watch() or guard_unwatch(). */
void guard_yield(void *state, const char *port);

/* Nothing comes of the press: the guard gives the slot back, unless it was claimed. */
void guard_give_back(void *state, const char *port, const char *why);

/* source_slot_guard(), _unguard() and _look() over there. -ENOTCONN: the guard is away. */
int guard_light(void *state, const char *port);
void guard_unlight(void *state, const char *port);
int guard_look(void *state, const char *port);
