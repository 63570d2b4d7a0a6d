/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/source/scanner.h"
#include "daemon/source/source.h"
#include "slot.h"

/* The manager's state: slots, removals, and what is on record. Other rooms hear of it as listeners. Decisions are in
 * decide.h, removals.h, slots.h, ports.h, light.h and records.h. */

enum {
        SOURCE_GUARD,
        SOURCE_UDEV,
        MANAGER_SOURCES,
};

typedef struct Light Light;
typedef struct Incident Incident;
typedef struct Late Late;
typedef struct Inhibitors Inhibitors;

/* Who is told of the slots, of what happens to no removal, and what comes of a request. One for all, which the rest need not know. */
typedef struct ManagerListener {
        void (*slot_added)(ManagedSlot *s, void *userdata);
        void (*slot_removed)(ManagedSlot *s, void *userdata);
        void (*slot_changed)(const ManagedSlot *s, const char *const *properties, void *userdata); /* their names, NULL-terminated */
        void (*held_changed)(void *userdata); /* manager_holds_slot() */
        void (*told)(json_object *event, void *userdata);
        void (*inhibitors_changed)(void *userdata); /* inhibitors.h */

        /* With the path of the removal that does it, or (NULL) an error's code and message. The asker is heard of no more. */
        void (*answered)(void *asker, const char *path, const char *code, const char *message, void *userdata);

        /* A light that was to show somebody the way does, or does no more (`code` NULL), or cannot. The asker is heard of no more. */
        void (*located)(void *asker, const ManagedSlot *s, const char *code, const char *message, void *userdata);
} ManagerListener;

struct Manager {
        sd_event *event;
        RemovalOwner owner;            /* of the removals: it decides (removals.h), and knows who listens */
        const ManagerListener *listener;
        void *listener_data;

        SourceContext source_context;
        void *source_states[MANAGER_SOURCES];

        Scanner *scanner;
        json_object *topology;         /* of the last scan that succeeded */
        bool look_for_presses;         /* after the next scan: a press may have been missed */

        /* records.h */
        bool up;                       /* the slots are looked at */
        bool records_known;            /* which removals have not ended, and the highest number */
        bool told_unread;
        json_object *unreadable;       /* removals whose records cannot be read: {"id", "why", "port", "plan_slots"} each */
        Question *reading;
        sd_event_source *read_timer;
        uint64_t read_delay;
        Question *make_up;             /* a worker writes down what is missing of records */
        bool make_up_again;            /* something else was not written meanwhile */
        sd_event_source *make_up_timer;
        uint64_t make_up_delay;        /* until the next time, doubled each time; 0: nothing is missing */
        bool make_up_told;             /* what is missing */

        json_object *recalled;         /* slot name -> outcome, until a scan has found the slot */
        json_object *recalled_last;    /* slot name -> what ended there last, likewise (slot.h) */

        ManagedSlot **slots;           size_t n_slots, a_slots;
        bool told_held;                /* manager_holds_slot(), as the listener was told last */
        Removal **removals;            size_t n_removals, a_removals; /* in the order of their start; enquiries too */
        uint64_t last_number;
        const char *going_down;        /* "shutdown" or "suspend": nothing begins any more (down/go-down.h); NULL: neither */
        uint64_t looked_usec;          /* when the last look came to its end that saw the machine, by the wall clock; 0: none has yet */
        Question *came_back;           /* a worker is asked about cards that have come (removals.h) */
        uint64_t came_back_number;     /* last_number when it was asked */
        Question *stays;               /* whether the memory of the cards will ever leave (stays.h) */
        sd_event_source *stays_pause;
        bool stays_due, stays_arrived; /* and memory has come since the last time, which the policy may want online */
        Question *reload;              /* a worker looks through the files with settings (policy.h) */
        bool reload_again;
        Inhibitors *inhibitors;        /* who does not want cards to go (inhibitors.h) */
        Light *lights;                 /* LEDs that are being set */
        Late *late;                    /* writes that outlived their removal (records.h) */
        Incident *incidents;           /* cards that may be gone, of which a worker is asked (incident/incidents.h) */
};

static inline Manager *manager_of(const Removal *r) {
        return r->owner->userdata;
}

/* All that happens from now on: `removals` by what removals say of themselves. */
void manager_listen(Manager *m, const ManagerListener *slots, const RemovalListener *removals, void *userdata);

/* To the listener. `asker` may be NULL: then nobody waits. */
void manager_answer(Manager *m, void *asker, const char *path, const char *code, const char *message);
void manager_tell(Manager *m, json_object *event);

/* An event of the daemon's own, about a port (may be NULL) and its slot; the second one tells it. */
json_object *manager_event_about(Manager *m, const char *type, const char *port, const char *text);
void manager_tell_about(Manager *m, const char *type, const char *port, const char *text);
void manager_log_about(Manager *m, int priority, LogMessage message, const char *port, const char *what);

/* A look at the slots, from now on. */
void manager_rescan(Manager *m);

ManagedSlot *manager_slot(Manager *m, const char *name);
ManagedSlot *manager_slot_at_port(Manager *m, const char *port);
ManagedSlot *manager_slot_named(Manager *m, const char *name, const char *port); /* the port decides; both may be NULL */
ManagedSlot *manager_slot_of_removal(Manager *m, const Removal *r, size_t i); /* its i-th; NULL: not there */

/* Shows a slot as this entry of a look (NULL: as before) and its removal have it. `stale`: as it was seen last, and marked as such. */
void manager_show_slot(ManagedSlot *s, json_object *entry, bool stale);
void manager_refresh_slot(ManagedSlot *s); /* NULL is fine */
void manager_show_leds(ManagedSlot *s, const char *power, const char *attention); /* NULL: as it was */
void manager_show_stays(ManagedSlot *s, const char *words);
void manager_show_held(Manager *m, const char *port, bool held); /* as was just told; looks do not count until manager_held_by_looks() */
void manager_held_by_looks(Manager *m, const char *port); /* NULL: of all slots */
bool manager_holds_slot(const Manager *m); /* any: for a removal that runs or has ended, or for a press that nobody has claimed yet */
void manager_show_new_slot(ManagedSlot *s); /* in the list, and to the listener from now on */
void manager_hide_slot(ManagedSlot *s);

/* On the list, which has it from now on; off it, and freed, with its asker told where nobody has. */
int manager_remember(Manager *m, Removal *r);
void manager_forget(Removal *r);

/* Of records that cannot be read. */
bool unread_is_of_any(json_object *entry); /* its plan cannot be read either: it may be of any slot */
bool manager_is_unread(Manager *m, const char *slot, const char *port); /* it may have a removal that has not ended and that nobody can read */
json_object *manager_unread(Manager *m); /* `unread` of what a worker that plans is asked; NULL: there are none. New reference */
char *manager_unread_text(Manager *m, const Removal *r); /* why it (NULL: any) cannot be started for that; NULL: it can. Newly allocated */

/* Which removal somebody means. */
bool manager_any_running(Manager *m);
bool manager_has_removal(Manager *m, const char *id);
Removal *manager_running_at_slot(Manager *m, const char *slot, const char *port);

/* One that has any slot of `r`. */
Removal *manager_running_at_slots(Manager *m, const Removal *r);

/* Has `b` all the slots of `a`? */
bool manager_all_in(const Removal *a, const Removal *b);

/* One whose slot is inside of that of `r`, or around it. */
Removal *manager_running_around(Manager *m, const Removal *r);
Removal *manager_running_outside(Manager *m, const Removal *r); /* one that its slot is inside of */
Removal *manager_running_at_port(Manager *m, const char *port);
Removal *manager_running_holding(Manager *m, const char *port); /* or one whose plan holds it, being around it */
Removal *manager_given_up_at_slots(Manager *m, const Removal *r); /* without an end on record */
Removal *manager_enquiry_at_port(Manager *m, const char *port);
Removal *manager_removal_of_slot(Manager *m, const char *slot, const char *port); /* running, or the last one */

/* One that has begun, is not on its way back, and is about what this word of an inhibitor names (plan/find/inhibitor.h). */
Removal *manager_removal_inhibited(Manager *m, const char *word);
Removal *manager_removal_unplanned(Manager *m); /* one that has begun, and of which is not known yet what it is about */

/* The running removal that a person means by its slot, card or id; NULL if none. */
Removal *manager_running_meant(Manager *m, const char *text);
