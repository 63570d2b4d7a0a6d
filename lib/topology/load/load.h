/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/sysfs/listing.h"
#include "topology/topology.h"

/* The parts of topology_load(), in the order in which they need each other. Each appends to its arrays; an object that
 * goes away while it is read is left out. One of which something cannot be read or understood stays, with what is known of it,
 * and that is noted as odd: a card that nobody sees would be pulled. -ENOMEM is the one error.
 *
 * They read sysfs themselves, but for the ranges of dax devices, which libdaxctl reads: it waits for nobody (kernel/cxl/dax.h). libcxl, up to
 * version 81 at least, writes /sys/bus/cxl/flush and then waits up to 5 s for udev's queue to run empty, again for every kind of object it
 * lists (libcxl.c:device_parse). Both leave out a device of which one attribute or the /dev node is missing, and print to standard error.
 * None of that may stand between a button and its answer. The tests compare what we read with what they say. */
int load_slots(Topology *t);
int load_functions(Topology *t);
int load_outer_slots(Topology *t);       /* instead, where nothing but the slots is looked at */
int load_memdevs(Topology *t);
int load_regions(Topology *t);
int load_decoders(Topology *t);
int load_daxes(Topology *t);
int load_nd(Topology *t);
int load_namespaces(Topology *t);
int load_block_devices(Topology *t);
int load_nvme_paths(Topology *t);
int load_mappings(Topology *t);
int load_mounts(Topology *t);
int load_file_systems(Topology *t);
int load_loops(Topology *t);
int load_swaps(Topology *t);
int load_kernel_users(Topology *t);
int load_foreign(Topology *t);
int load_memory(Topology *t);
int load_iomem(Topology *t);

/* Appends one zeroed object to a vector of the topology and gives it, or NULL when out of memory. Half-filled objects are
 * fine: topology_free() takes them. */
#define TOPOLOGY_ADD(t, what)                                                                              \
        (vec_grow((void **) &(t)->what, (t)->n_##what, &(t)->a_##what, sizeof((t)->what[0])) < 0 ? NULL   \
         : (memset(&(t)->what[(t)->n_##what], 0, sizeof((t)->what[0])), &(t)->what[(t)->n_##what++]))

/* Takes the last one back. */
void topology_drop_function(Topology *t);
void topology_drop_memdev(Topology *t);
void topology_drop_region(Topology *t);
void topology_drop_dax(Topology *t);
void topology_drop_nmem(Topology *t);
void topology_drop_nd_region(Topology *t);
void topology_drop_namespace(Topology *t);
void topology_drop_block_device(Topology *t);
void topology_drop_file_system(Topology *t);

/* What was found in the topology, for its loaders to write to; NULL stays NULL. */
static inline BlockDevice *topology_own(Topology *t, const BlockDevice *found) {
        return found ? &t->block_devices[found - t->block_devices] : NULL;
}

/* Decoders and /proc/iomem. */
void topology_drop_addresses(Topology *t);

/* Did the object just go away? The errors that reading a dying one gives. */
static inline bool is_gone(int error) {
        return error == -ENOENT || error == -ENODEV || error == -ENXIO;
}

/* Numbers that sysfs prints with a sign: NUMA nodes, -1 for none. */
int parse_node(const char *text, int *ret);

/* "mem12" is one with the prefix "mem"; "memory12" and "mem12.1" are not. */
bool is_numbered(const char *name, const char *prefix);

/* A component of a device's line of ancestors, counted from its end: 0 is the device, 1 its parent. Newly allocated, or NULL. */
char *ancestor(const char *path, unsigned level);

/* Notes that something was not read or understood: 0 or -ENOMEM, which an error of that number stays. */
int odd_add(Topology *t, int error, const char *path);
int odd_addf(Topology *t, int error, const char *format, ...) _printf_(3, 4);

/* Takes back all notes but the first n. */
void odd_drop(Topology *t, size_t n);

/* Readers of attributes: what they cannot read or understand they note. 0 or -ENOMEM; *ret is written in any case, 0 or NULL where
 * there is nothing to give. An optional one may be missing, on this kernel or for this kind of device, and its text be empty
 * (NULL); the other one is what every device of its kind has. A number that is an empty text is none. */
int optional_u64f(Topology *t, uint64_t *ret, const char *format, ...) _printf_(3, 4);
int optional_textf(Topology *t, char **ret, const char *format, ...) _printf_(3, 4);
int required_u64f(Topology *t, uint64_t *ret, const char *format, ...) _printf_(3, 4);

/* What the link of a device says. The errors of is_gone() for a device that went away, else as above. */
int device_linkf(Topology *t, char **ret, const char *format, ...) _printf_(3, 4);

/* driver_of() in the same way. */
int device_driver(Topology *t, const char *bus, const char *device, char **ret);

/* listing_readf() in the same way; a folder that is not there is an empty one. Closed by the caller in any case. */
int device_listing(Topology *t, Listing *l, const char *format, ...) _printf_(3, 4);

/* The name of what is above a device, in the same way; "" where that could not be read. */
int device_parent(Topology *t, const char *bus, const char *device, char **ret);

/* One kind of device in a folder of links. add() appends one to its array and reads it; it may say that there is nothing to see
 * of it (a seed, a device without a medium). */
typedef struct DeviceKind {
        const char *folder;
        bool (*is_one)(const char *name);
        int (*add)(Topology *t, const char *name);
        void (*drop_last)(Topology *t);
} DeviceKind;

enum { DEVICE_IS_NOTHING = 1 };

/* All of that kind. One that went away meanwhile, or is nothing, is left out; no folder is none. */
int load_devices(Topology *t, const DeviceKind *kind);
