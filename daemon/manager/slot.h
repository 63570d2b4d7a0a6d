/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/removal/removal.h"

#define SLOT_PATH "/org/saferemove1/slot" /* what the bus calls them */

typedef struct Manager Manager;

/* What is shown of a slot. (lib/topology has another Slot: what a scan finds. This one lives on between scans.) */

typedef enum SlotText {
        SLOT_TEXT_NAME,
        SLOT_TEXT_PORT,
        SLOT_TEXT_CARD_ADDRESS,
        SLOT_TEXT_MEMDEV,
        SLOT_TEXT_SERIAL,
        SLOT_TEXT_POWER,
        SLOT_TEXT_POWER_LED,
        SLOT_TEXT_ATTENTION_LED,
        SLOT_TEXT_STATE,
        SLOT_TEXT_REMOVAL,
        SLOT_TEXT_STAYS,       /* why the memory of its card will not leave again; "": nothing says so */
        SLOT_TEXT_LAST_REMOVAL,
        SLOT_TEXT_LAST_OUTCOME,
        SLOT_TEXT_LAST_CODE,
        SLOT_TEXT_INCIDENT,    /* the incident as which it is on record that its card is gone, as long as not all of it is; "": none */
        _SLOT_TEXT_MAX,
        _SLOT_TEXT_INVALID = -EINVAL,
} SlotText;

DECLARE_STRING_TABLE(slot_text, SlotText); /* the properties' names on the bus: "Name", "Port", ... */

typedef enum SlotState {
        SLOT_EMPTY,
        SLOT_READY,
        SLOT_REMOVING,
        SLOT_RESTORING,
        SLOT_SAFE,
        SLOT_WITHDRAWN,
        SLOT_RELEASED,
        SLOT_REFUSED,
        SLOT_STUCK,
        SLOT_LOST,
        SLOT_UNKNOWN,          /* it may have a removal that has not ended: a record cannot be read */
        _SLOT_STATE_MAX,
        _SLOT_STATE_INVALID = -EINVAL,
} SlotState;

DECLARE_STRING_TABLE(slot_state, SlotState); /* "empty", "ready", ... */

/* A property's value for everybody to see at one time; compared with the former one, it tells what changed. */
typedef struct SlotView {
        char *text[_SLOT_TEXT_MAX];
        bool occupied;
        bool held;
        bool stale;            /* the last look failed: this is what the one before it saw */
        uint64_t located_until; /* wall clock: until then its attention LED blinks for somebody; 0: it does not */
} SlotView;

void slot_view_done(SlotView *view);
/* A copy; NULL is an empty text. -ENOMEM. */
int slot_view_set(SlotView *view, SlotText what, const char *value);

typedef struct ManagedSlot {
        Manager *manager;
        char *path;
        bool shown;            /* the listener was told of it */
        SlotView view;
        bool unknown;          /* manager_is_unread() of it */
        Outcome outcome;       /* of the last removal, as long as its card is the one in the slot */
        json_object *last;     /* {"id", "outcome", "code"} of what ended here last in this boot, whatever became of the card; or NULL */
        char *considered;      /* the card that was looked at whether to restore it unasked (removals.h) */
        bool withdrawn;        /* its "safe to pull" became untrue, and our attention LED says so until the card is up or gone */
        bool light_off;        /* its attention LED was to be turned off when its removal began */
        bool light_back;       /* or to show again what it did before it blinked for somebody */
        uint64_t located_until; /* wall clock: when it ends to blink for somebody (light.h); 0: it does not */
        uint64_t blinks_since; /* monotonic: its power LED blinks over a card that has power, and nobody is known to be at work there (light.h); 0: it does not */
        sd_event_source *located_timer;
        char *left;            /* of a card that is gone without having been removed: what is still there, in words; NULL: nothing */
        char *gone_told;       /* the removal in the middle of which its card was pulled, once that was told; or NULL */
        bool marked;           /* where it is held: by us, and not by somebody who wants the hot-plug driver off its port */
        bool held_told;        /* by the guard or by a removal, which know at once: no look that may have begun before that counts */
        bool seen;             /* by the scan that is being taken over */
} ManagedSlot;

void slot_free(ManagedSlot *s);
DEFINE_CLEANUP_FUNC(ManagedSlot, slot_free)

/* Nobody has been told of it yet. */
int slot_new(Manager *m, const char *name, ManagedSlot **ret);

/* It blinks for nobody any more, as far as the daemon is concerned. */
void slot_not_located(ManagedSlot *s);

static inline const char *slot_get(const ManagedSlot *s, SlotText what) {
        return s->view.text[what] ?: "";
}

/* What the slot looks like now, from one scan's entry for it (NULL: as the former view has it), and from
 * its running or last removal (NULL: none). */
int slot_view_make(const ManagedSlot *s, json_object *entry, const Removal *removal, SlotView *ret);

enum {
        SLOT_PROPERTIES_MAX = _SLOT_TEXT_MAX + 4,
};

/* Takes the view over. How many properties differ from the former one; their names go to `ret`, NULL after the last. */
size_t slot_take_view(ManagedSlot *s, SlotView *view, const char *ret[static SLOT_PROPERTIES_MAX + 1]);
