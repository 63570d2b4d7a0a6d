/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"

/* A card of which somebody says that it is gone without having been removed. It is looked at before that is believed, and what is not so has nothing touched. */

/* What made somebody ask: "card-gone" (the slot's own registers, or the kernel, say that it is empty), "card-doubted" (a link that went down, an error that
 * may have taken the card), "look" (something of a card is left that is not there), "removal" (one ended since its card was pulled). */
typedef enum IncidentCause {
        CAUSE_CARD_GONE,
        CAUSE_CARD_DOUBTED,
        CAUSE_LOOK,
        CAUSE_REMOVAL,
        _INCIDENT_CAUSE_MAX,
        _INCIDENT_CAUSE_INVALID = -EINVAL,
} IncidentCause;

DECLARE_STRING_TABLE(incident_cause, IncidentCause);

/* What a look shows of the slot and what is remembered of it. */
typedef struct IncidentSigns {
        bool functions;         /* the kernel has PCI functions below the port */
        bool registers;         /* the port's registers could be read: what follows is true or false */
        bool vacant;            /* slot_is_vacant() */
        bool link_down;         /* the port reports its link, and that is down */
        bool silent;            /* none of the functions answers */
        bool powered;
        bool remembered;        /* a card was seen there since the last that was proved gone */
        bool removing;          /* a removal of a card there is, or was, at work */
} IncidentSigns;

typedef enum IncidentVerdict {
        INCIDENT_NO_CARD,       /* none was known to be there: nothing has gone */
        INCIDENT_CARD_THERE,    /* a false alarm */
        INCIDENT_CARD_GONE,
} IncidentVerdict;

/* Pure. Whoever cannot be asked is no witness against a card that the kernel has. */
IncidentVerdict incident_judge(IncidentCause cause, const IncidentSigns *signs);

/* What was done about one, and what was left as it is, in words. */
typedef struct IncidentWork {
        bool late;                      /* the card has been gone for some time: another one may have its names and numbers by now, and nobody is ended */
        json_object *done, *left;       /* owned arrays of lines */
        bool reboot;                    /* something was left that only the next start of the machine ends */
        bool spared;                    /* a process among it */
} IncidentWork;

void incident_work_done(IncidentWork *w);

/* Ends who may still touch the card's memory, shuts down what file systems it had and takes away what stood on its disks, as far as this kernel stands it (kernel/sysfs/quirks.h) and
 * nobody else uses it. `scope`: what the card had (engine/last-seen.h). Reads no smaps, and flushes nothing. Takes a minute at most, and what its last command needs to be
 * ended. */
void incident_act(json_object *scope, IncidentWork *w);
