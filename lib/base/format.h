/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Documents that outlive the program that wrote them, so that another version of it may find them: they name their form, "schema":
 * "safe-remove/NAME/NUMBER". A key that whoever does not know it may pass over comes without a new number; what nobody may pass over (another
 * meaning, a key that changes what the others mean) raises it. One without a schema is from before forms had numbers, and is read as the first. */
typedef enum Format {
        FORMAT_JOURNAL,        /* a removal's record, by its first line; plan.json beside it has its own */
        FORMAT_PLAN,
        FORMAT_CERTIFICATE,
        FORMAT_CHAIN,          /* the ends of the chain of certificates */
        FORMAT_CARD,           /* what a slot's card had when it was last seen */
        FORMAT_WRITERS,        /* who is at a write to the kernel */
        FORMAT_HELD,           /* the mark of a slot that is held */
        FORMAT_KERNEL_LOG,     /* what the guard keeps of the kernel's log */
        FORMAT_TOTALS,         /* how many removals have ended how */
        FORMAT_INHIBITOR,      /* what systemd keeps for the next daemon */
        FORMAT_LOCATED,        /* how long a slot's light blinks for somebody */
        FORMAT_HOOKS_SAID,     /* what hooks had against a plan that was shown */
        FORMAT_ENDED,          /* how a removal of this boot ended */
        FORMAT_INCIDENT,       /* a card that was pulled, or died */
        _FORMAT_MAX,
} Format;

void format_set(json_object *o, Format f);

/* 0: this version reads it. -EPROTONOSUPPORT: a newer one wrote it; it is left as it is, and nothing is done that needs it. -EBADMSG: it is
 * something else. */
int format_check(json_object *o, Format f);

/* strerror(), with words for a document of a newer version. */
const char *format_strerror(int error);
