/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"
#include "plan/find/inhibitor.h"

/* Who does not want cards to go. Each has a pipe, whose other end is with whoever asked: it ends when the last copy of that is closed. They outlive
 * this process: systemd keeps our end of the pipe and the description, in a memory file, in the unit's store of descriptors. What it hands back and
 * cannot be read is against everything. */

extern const RemovalListener inhibitors_listener; /* its userdata is the manager */

/* Takes what systemd has kept for us. Before anybody may ask for a removal. */
int manager_inhibitors_start(Manager *m);
void manager_inhibitors_free(Manager *m); /* they go on: this process alone ends */

typedef struct InhibitRequest {
        const char *what, *who, *why, *mode;
        uint32_t uid, pid;
        uint64_t start_time;   /* of the process, in jiffies; 0: not known */
} InhibitRequest;

/* The descriptor that it lives as long as: the caller's. -EINVAL, -EDQUOT (there are too many), -EBUSY (what it would block has begun): with
 * *ret_why for a person; or another errno. */
int manager_inhibit(Manager *m, const InhibitRequest *request, int *ret_fd, char **ret_why);

/* All there are, as plan/find/inhibitor.h has them; borrowed, NULL where there are none. */
json_object *manager_inhibitors(Manager *m);

/* The words of all in that mode, each once, with blanks between them; "" where there are none. Borrowed; NULL: no memory. */
const char *manager_inhibited(Manager *m, InhibitMode mode);
