/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* The parts of topology_load(), in the order in which they need each other. Each appends to its arrays; an object that
 * goes away while it is read is left out, everything else that cannot be read is an error: a card that nobody sees
 * would be pulled.
 *
 * They read sysfs themselves. libcxl and libdaxctl, up to version 81 at least, write /sys/bus/cxl/flush and then wait up to
 * 5 s for udev's queue to run empty, again for every kind of object they list (libcxl.c:device_parse); they leave out a
 * device of which one attribute or the /dev node is missing; and they print to standard error. None of that may stand
 * between a button and its answer. The tests compare what we read with what they say. */
int load_slots(Topology *t);
int load_functions(Topology *t);
int load_foreign(Topology *t);
int load_memdevs(Topology *t);
int load_regions(Topology *t);
int load_daxes(Topology *t);
int load_memory(Topology *t);

/* Appends one zeroed object to a vector of the topology and gives it, or NULL when out of memory. Half-filled objects are
 * fine: topology_free() takes them. */
#define TOPOLOGY_ADD(t, what)                                                                              \
        (vec_grow((void **) &(t)->what, (t)->n_##what, &(t)->a_##what, sizeof((t)->what[0])) < 0 ? NULL   \
         : (memset(&(t)->what[(t)->n_##what], 0, sizeof((t)->what[0])), &(t)->what[(t)->n_##what++]))

/* Takes the last one back. */
void topology_drop_memdev(Topology *t);
void topology_drop_region(Topology *t);
void topology_drop_dax(Topology *t);

/* Did the object just go away? The errors that reading a dying one gives. */
static inline bool is_gone(int error) {
        return error == -ENOENT || error == -ENODEV || error == -ENXIO;
}

/* Numbers that sysfs prints with a sign: NUMA nodes, -1 for none. */
int parse_node(const char *text, int *ret);
