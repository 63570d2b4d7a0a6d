/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/caller/buses.h"
#include "daemon/source/scanner.h"
#include "daemon/source/source.h"
#include "slot.h"

/* The daemon's decisions: which removals start, which are one and the same, who hears about what. */

#define MANAGER_PATH "/org/saferemove1"
#define MANAGER_INTERFACE "org.saferemove1.Manager"

enum {
        SOURCE_GUARD,
        SOURCE_UDEV,
        MANAGER_SOURCES,
};

typedef struct Light Light;
typedef struct Asks Asks;
typedef struct Who Who;

struct Manager {
        sd_event *event;
        Buses *buses;

        SourceContext source_context;
        void *source_states[MANAGER_SOURCES];

        Scanner *scanner;
        json_object *topology;         /* of the last scan that succeeded */
        bool look_for_presses;         /* after the next scan: a press may have been missed */

        /* manager-records.c */
        bool up;                       /* the slots are looked at */
        bool records_known;            /* which removals have not ended, and the highest number */
        bool told_unread;
        json_object *unreadable;       /* removals whose records cannot be read: {"id", "why", "port", "plan_slots"} each */
        Question *reading;
        sd_event_source *read_timer;
        uint64_t read_delay;

        json_object *recalled;         /* slot name -> outcome, until a scan has found the slot */

        ManagedSlot **slots;           size_t n_slots, a_slots;
        Removal **removals;            size_t n_removals, a_removals; /* in the order of their start; enquiries too */
        uint64_t last_number;
        Who *who;                      /* who the callers are */
        sd_bus_track *subscribers;     /* who hears everything (event-bus.h) */
        Asks *asks;                    /* method calls that a worker is to answer */
        Question *came_back;           /* a worker is asked about cards that have come (manager-restore.c) */
        uint64_t came_back_number;     /* last_number when it was asked */
        Light *lights;                 /* attention LEDs that are being set */
};

/* A reference is kept until manager_free(), which tells the bus what is to be told still. */
int manager_new(sd_event *event, Manager **ret);
void manager_free(Manager *m);
DEFINE_CLEANUP_FUNC(Manager, manager_free)

/* Bus and root's own socket open, sources on, the records being read: behind that unfinished removals are resumed, the slots are looked at, and
 * systemd is told. */
int manager_start(Manager *m);

/* manager.c */
void manager_rescan(Manager *m);
void manager_on_source_event(const SourceEvent *event, void *userdata);

/* manager-ports.c */
void manager_begin_guard(Manager *m); /* once what is wanted of it is known */
int manager_want(Manager *m, const char *port, PortWant want); /* NULL and "" are nowhere, and fine */
int manager_look_at_slot(Manager *m, const char *port); /* for a press that was missed */
void manager_watch_slot(Manager *m, const Removal *r);
void manager_unwatch_slot(Manager *m, const Removal *r);
void manager_claim_slots(Manager *m, Removal *r, json_object *holds); /* it has them on record (record-holds.h), and gives them back itself */
void manager_step_at_ports(Manager *m, Removal *r, StepPhase phase); /* of its step that was told last */
void manager_give_back_press(Manager *m, const char *port, const char *why); /* a press that nothing comes of */
void manager_slot_seen(Manager *m, const ManagedSlot *s); /* by a look: no light of a former card is looked after any more */
void manager_guard_slot(Manager *m, const ManagedSlot *s); /* if its light says "safe to pull" over a card */

/* manager-slots.c */
void manager_take_scan(json_object *topology, const char *why_not, void *userdata);
void manager_disks_lost(Manager *m, json_object *before, json_object *now); /* "vanished" of the last scan, and of this one */
void manager_card_lost(Manager *m, const ManagedSlot *s, json_object *lost); /* tells of what its `left` says, and of all that was lost */
void manager_refresh_slot(ManagedSlot *s); /* its removal started or ended; NULL is fine */
void manager_slot_leds(Manager *m, const Removal *r, json_object *event); /* a worker's `led` */
void manager_show_leds(ManagedSlot *s, const char *power, const char *attention); /* NULL: as it was */
ManagedSlot *manager_slot(Manager *m, const char *name);
ManagedSlot *manager_slot_at_port(Manager *m, const char *port);
ManagedSlot *manager_slot_of_removal(Manager *m, const Removal *r, size_t i); /* its i-th; NULL: not there */
void manager_free_slots(Manager *m);

/* What became of each slot's last removal, by a history's entries, newest first: for the slots that are there and those that a scan will find. */
void manager_recall_outcomes(Manager *m, json_object *entries);

/* manager-records.c */
int manager_read_records(Manager *m);
void manager_free_reading(Manager *m);
bool manager_is_unread(Manager *m, const char *slot, const char *port); /* it may have a removal that has not ended and that nobody can read */
void manager_tell_unread(Manager *m, json_object *request); /* `unread` of what a worker that plans is asked, where there are such */
char *manager_unread_text(Manager *m, const Removal *r); /* why it (NULL: any) cannot be started for that; NULL: it can. Newly allocated */

/* manager-removals.c. A removal is asked for; the manager gives it its number. `call` (NULL: nobody waits) is answered
 * when it is known what comes of it, unless this fails. */
int manager_remove(Manager *m, RemovalRequest request, sd_bus_message *call);
void manager_drop_enquiry(Removal *r);
int manager_cancel(Removal *r, json_object *by, sd_bus_error *reterr);
void manager_removal_found(Removal *r);                /* the enquiry's answer: decides */
void manager_removal_unstartable(Removal *r, const char *code, const char *message);
void manager_removal_ended(Removal *r);
int manager_resume(Manager *m, json_object *entry); /* of a history, with its "holds": its worker died with the daemon before this one */
void manager_free_removals(Manager *m);

/* manager-restore.c. After a scan: cards that have come back, where the policy wants them restored unasked. */
void manager_consider_restoring(Manager *m);

/* manager-find.c */
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

/* The running removal that a person means by its slot, card or id; NULL if none. */
Removal *manager_running_meant(Manager *m, const char *text);

/* manager-bus.c. The Event signal; `r` (NULL: none) adds removal and slot. */
extern const BusesHandler manager_buses_handler;
void manager_bus_event(Manager *m, const Removal *r, json_object *event);
void manager_bus_prepare(Manager *m, const char *slot, bool start, uint64_t deadline_usec);
void manager_bus_removals_changed(Manager *m);
