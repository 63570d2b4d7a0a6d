/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "topology/topology.h"

/* What the probes are asked about, and who wrote that down. */
typedef struct Subject {
        json_object *scope;
        uint64_t removal;       /* 0: no removal did */
        const char *by;         /* "removal"; "card": it is up, it was made from a look at it; "last-seen": it was, and was pulled; "none":
                                 * nobody has seen one, and there is nothing to prove */
        bool safe;              /* the removal ended so */
} Subject;

void subject_done(Subject *s);

/* Of the newest removals of the slot after that moment of this boot (0: at any time). 1: found. */
int recorded_subject(const char *port, const char *slot, uint64_t after_usec, Subject *ret);

/* Where the kernel's log was when the slot's last removal of this boot began, if that ended safe: what was in the slot before is proved gone.
 * 0: there was none, or it did not. For a look, which asks no disk without an end to it: -EINPROGRESS when the records do not answer within two
 * seconds, or an earlier reader of a look's waits for them still. */
int recorded_safe_since(const Slot *slot, uint64_t *ret);
