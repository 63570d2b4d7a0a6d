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

/* `args` are those of the step that holds it: `port`, `service` and what its undo needs. */
int held_mark(json_object *args);
void held_forget(const char *port); /* and it is ready for the next time */

/* The marks of this boot, those of another one are removed: an array of `args`. A negative errno where the folder cannot be read. */
int held_list(json_object **ret);
bool held_is_marked(const char *port);
