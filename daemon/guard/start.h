/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/util.h"

/* How the process of a worker comes about: a new one, or for a removal the one that was made beforehand. That one has been linked and waits for
 * its verb; it knows no request and has read nothing of the machine (daemon/worker/ready.c). There is one, it is given away once, and the next one
 * is made a moment after the last removal has ended, so that nobody waits for that. Looks get new ones: every user may ask for those as
 * often as he likes. Whether a removal gets the one or a new one makes a difference in time alone. */

typedef struct Start Start;

int start_init(sd_event *event, Start **ret);

/* Whether it is one of a removal or a restoration. */
bool start_is_removal(const char *verb);

/* A worker that leads a group of its own, with `stream` as its standard input and output; the caller keeps `stream`, and has the process to
 * collect. Negative errno, that of exec included. */
int start_worker(Start *s, const char *verb, int stream, pid_t *ret);

/* No removal is under way: in a moment there will be one that waits, if there is none. */
void start_prepare(Start *s);

/* Nobody is started any more, and the one that waits has ended (but for one that sits in the kernel longer than a second). */
void start_close(Start *s);

/* `handler` once, at the end of the process. */
int start_watch(sd_event *event, pid_t pid, sd_event_child_handler_t handler, void *userdata, sd_event_source **ret);
