/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* A slot is held while pciehp is off the hot-plug service of its port. The kernel does not say who took it off, so whoever of us is about to
 * leaves a mark first: /run/safe-remove/held/PORT, with the boot that it is of. A service without a driver and without a mark is an
 * administrator's own and none of ours. */

/* The port in "0000:0c:00.0:pcie004", newly allocated; NULL where that is no hot-plug service, or memory is short. */
char *hotplug_port_of_service(const char *service);

/* The hot-plug service of a port, newly allocated. -ENOENT: it has none. */
int hotplug_service_of_port(const char *port, char **ret);

/* 1: pciehp drives it, 0: nobody does, -ENODEV: it is not there, or another negative errno. */
int hotplug_is_driven(const char *service);

/* The slot below the port has a hot-plug service, and nobody drives it. */
bool held_is_undriven(const char *port);

/* And pciehp drives it. */
bool held_is_driven(const char *port);

/* A mark for a port with a hot-plug service is made ready at a time when there is room for it: to hold the slot it is then only given
 * another name, which needs neither memory nor a place in a file system that is full. Again where it is there is fine. */
int held_prepare(const char *port);

/* Of all ports that have such a service. */
void held_prepare_all(void);

/* What is known of a port besides, from one guard to the next: it stands before its mark, held or ready, each number at its place, and is
 * written there, which a full /run does not keep from. */
typedef enum HeldNote {
        HELD_PRESS,    /* the kernel's record (its number in the log) for which the slot was held last */
        HELD_SERVED,   /* the last record of the port that was dealt with: whoever reads the log again has nothing to do for it */
        HELD_YIELDED,  /* when (monotonic) a removal left the slot to the kernel, to be powered off; 0: it has it, or there is none */
        HELD_UNCLAIMED, /* when (monotonic) the button was pressed for which the guard took it, as long as no removal has it on record; 0: one has, or
                         * no press was it */
        HELD_WRITER,   /* pid and */
        HELD_WRITER_SINCE, /* start (jiffies) of the process that took the driver off the port, or brought it back: it may hang at that */
        _HELD_NOTE_MAX,
} HeldNote;

/* -ENOENT: the port has no mark, or one without notes. */
int held_note(const char *port, HeldNote note, uint64_t value);
uint64_t held_noted(const char *port, HeldNote note); /* 0: nothing is noted */

/* HELD_SERVED, which never goes back. */
void held_serve(const char *port, uint64_t sequence);

/* Before that process may begin. */
int held_note_writer(const char *port, int pid, uint64_t start_time);

/* Such a process lives: the slot may be held, or given back, at any time, and nobody goes on with it. */
bool held_is_being_written(const char *port);

/* All of them: an array of {"what", "pid", "start_time", "slots": [{"port"}]}. A negative errno where the folder cannot be read. */
int held_writers(json_object **ret);

/* `args` are those of the step that holds it: `port`, `service` and what its undo needs. */
int held_mark(json_object *args);
void held_forget(const char *port); /* and it is ready for the next time */

/* The marks of this boot, those of another one are removed: an array of `args`. A negative errno where the folder cannot be read. */
int held_list(json_object **ret);
bool held_is_marked(const char *port);
