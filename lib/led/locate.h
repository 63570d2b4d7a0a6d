/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "kernel/pci/pcie-slot.h"

/* A slot's attention indicator that blinks for a while, so that somebody finds the slot. Until when, and how the indicator was before, stands in the run
 * folder from before the first write until after the last one: whoever comes later ends it, and whoever takes the slot shows what was there before. */

typedef struct Located {
        uint64_t until_usec;   /* of this boot's monotonic clock; it may be over */
        Indicator before;      /* off, or blinking: somebody else's, who goes on with it */
} Located;

/* -ENOENT: nobody of ours has it blink. -EPROTONOSUPPORT, here and below: a newer version has, which alone knows what was there before. */
int locate_load(const char *port, Located *ret);

/* Makes it blink, or go on blinking until then, by the attribute of the driver that has the slot, and by nothing else: a slot that is held has its lights for what is
 * done there. -EOPNOTSUPP: it has no such indicator that is ours. -EUCLEAN: it is on, which is a fault. -EBUSY: no driver has the slot. Read back. */
int locate_begin(const char *port, uint64_t until_usec);

/* As it was before, unless it shows something else by now, which is somebody else's word. 0 where there is nothing to end. By the driver's attribute, or, where
 * no driver has the slot, by its registers: a part of taking it. Read back. */
int locate_end(const char *port);

/* It shows something else from now on. */
void locate_forget(const char *port);

/* The ports of all that blink, as an array of strings. */
int locate_list(json_object **ret);

/* Where that is kept of a port, newly allocated; NULL: of such a port nowhere, or memory is short. */
char *locate_record(const char *port);
