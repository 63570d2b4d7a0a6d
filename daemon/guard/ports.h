/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "port.h"

/* What comes in about the ports (presses, the daemon's wants, the end of either), and what each means for its port (guard/port.h). */

typedef struct Ports Ports;

/* `slots` is the state of source_slot. Both pointers outlive it. A negative errno where no hand can be had. */
int ports_new(sd_event *event, void *slots, const PortsHandler *handler, void *userdata, Ports **ret);
void ports_free(Ports *p);

/* Takes up what an earlier guard has held: the marks of this boot. A negative errno where they cannot be read. */
int ports_take_marks(Ports *p);

/* Presses that nobody told of, in all slots that pciehp drives. */
void ports_look_everywhere(Ports *p);

void ports_take_event(Ports *p, const SourceEvent *e);

/* What the daemon asks for (docs/PROTOCOL.md, "Guard"). */
void ports_take_message(Ports *p, json_object *message);

/* The last daemon has gone. */
void ports_take_gone(Ports *p);

/* Gives back what nobody has claimed. False: nothing is under way. */
bool ports_leave(Ports *p);
