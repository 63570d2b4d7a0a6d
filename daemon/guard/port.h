/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "daemon/source/source.h"
#include "hands.h"

/* One port with a slot: how the slot is taken from the kernel, kept and given back. What for is decided in guard/ports.c. */

typedef enum PortState {
        PORT_FREE,             /* we do not hold it */
        PORT_PRESSED,          /* and will be taken once all records that are there have been read */
        PORT_TAKING,
        PORT_HANGING,          /* the hand that was to take it gave up, or its guard has ended, and the kernel may do it yet */
        PORT_HELD,
        PORT_GIVING,
} PortState;

typedef struct PortsHandler {
        bool (*tell)(json_object *message, void *userdata); /* takes it over; false: nobody was there to hear it */
        void (*left)(void *userdata); /* after ports_leave(): nothing is under way any more */
} PortsHandler;

/* What all ports have in common. */
typedef struct PortWorld {
        sd_event *event;
        void *slots;           /* of source_slot */
        const PortsHandler *handler;
        void *userdata;
        Hands *hands;
        sd_event_source *pending; /* enabled where a port is pressed */
        bool leaving;
        uint64_t lost_usec;    /* monotonic: when records were missing last, and a press may be among them; 0: never */
} PortWorld;

typedef struct Port {
        PortWorld *world;
        char *port;
        PortState state;
        PortWant want;         /* the daemon's */
        bool found;            /* held for somebody whom only the next daemon knows: since before this guard, or the last daemon */
        bool again;            /* pressed once more while it was on its way back, or a hand hung */
        bool unheard;          /* a press of which nobody was there to be told */
        bool unwanted;         /* given back because nobody wanted it */
        SourceEventKind kind;  /* how the press was noticed */
        char *text;            /* of the kernel's record, or NULL */
        char *back;            /* why it is to be given back; NULL: it is not */
        char *news;            /* why it was, as long as nobody has heard that */
        uint64_t pressed_usec; /* when it was heard, which no other press was */
        uint64_t unclaimed_usec; /* found: when the press was heard for which it is held, and which no removal may have on record; 0: not so */
        uint64_t said_usec;    /* when the kernel said so, or 0 */
        uint64_t sequence;     /* of the kernel's last record about it */
        uint64_t again_usec;   /* how long until the next try to give it back */
        sd_event_source *timer;
} Port;

/* NULL: out of memory. */
Port *port_new(PortWorld *world, const char *address);
void port_free(Port *p);

/* A removal runs there. */
static inline bool port_is_watched(const Port *p) {
        return p->want == PORT_WANT_WATCH || p->want == PORT_WANT_CLAIM || p->want == PORT_WANT_YIELD;
}

/* And gives the slot back itself. */
static inline bool port_is_claimed(const Port *p) {
        return p->want == PORT_WANT_CLAIM || p->want == PORT_WANT_YIELD;
}

/* False: nobody was there to hear it. Of no port of ours `port` is NULL, or somebody else's. */
bool port_tell(PortWorld *w, SourceEventKind kind, const char *port, const char *text);

/* The press that was noted last. */
void port_tell_press(Port *p, bool held);

/* Into another state, without a timer; its registers are looked at where nobody else does. */
void port_settle(Port *p, PortState state);
void port_poll(Port *p);

/* A press after which there may be a second one: it is taken when all that is there has been heard. */
void port_press(Port *p, SourceEventKind kind, const char *text, uint64_t said_usec);
void port_take(Port *p);

/* Held, and claimed by nobody any more: it is given back when the time that a press has for that is over. */
void port_await_claim(Port *p);

/* A press that is answered by telling of it, as soon as somebody is there. */
void port_note_press(Port *p, SourceEventKind kind, const char *text, uint64_t said_usec);

/* The kernel's records of it have been dealt with, and are nothing to the next guard, which reads them again; unless a hand is at it, or nobody
 * has been told who ought to be. */
void port_serve(const Port *p);

/* Since before this guard, or the last daemon: a hand of the former one's hangs at it. */
void port_hang_found(Port *p);

/* The slot is held for no press that is still to be served: it is on record, or was called off. */
void port_disclaim(Port *p);

/* The daemon has said what it has of it. Where that is not the press for which the former guard took the slot, this one has it as if it had
 * taken it itself. */
void port_adopt(Port *p);

/* Held already, for somebody whom only the next daemon knows; it has so long to say so (0: as for a press). */
void port_hold_found(Port *p, uint64_t usec);

/* Only from a slot that is ours: `why` is for the log, and the last one counts. `unwanted`: nobody had a use for it, which whoever looks at
 * the machine later is to know. */
void port_give_back(Port *p, const char *why, bool unwanted);

/* That it was given back, as long as nobody has heard it. */
void port_tell_news(Port *p);

void port_hand_done(Port *p, HandWork work, const char *why);
