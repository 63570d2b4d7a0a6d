/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/util.h"

/* The connections on which the daemon is spoken to: the system bus, those that came over root's own socket (/run/safe-remove/daemon/private),
 * which nobody else can flood and which needs no bus daemon, and those of everybody else (public.h). The objects are the same on all of them, and all of them hear what is told.
 * A system bus that is not there, or goes, is tried again; root is served meanwhile. */

typedef struct Buses Buses;

typedef struct BusesHandler {
        int (*serve)(sd_bus *bus, void *userdata); /* a new connection: registers the objects */
        void (*lost)(void *userdata);              /* the system bus is gone, and the names of those who were on it mean nothing any more */
} BusesHandler;

/* Nothing is connected yet. */
int buses_new(sd_event *event, const BusesHandler *handler, void *userdata, Buses **ret);

/* Opens both. Fails, with a line in the journal, where another daemon is there already, or neither can be had. */
int buses_open(Buses *b);

/* Flushes what was told on the system bus. NULL is fine. */
void buses_free(Buses *b);
DEFINE_CLEANUP_FUNC(Buses, buses_free)

/* NULL while there is none. */
sd_bus *buses_system(const Buses *b);

/* Is this no bus but a peer? Then who is at its other end. */
bool buses_is_peer(const Buses *b, const sd_bus *bus, uint32_t *ret_uid, uint32_t *ret_pid);

/* Told on all of them, on root's own only, or on the other peers' only. A connection that does not read what it is told is closed. The first negative errno of sd-bus'
 * functions that are called like these. */
typedef int (*bus_tell_t)(sd_bus *bus, void *userdata);
int buses_tell(Buses *b, bus_tell_t tell, void *userdata);
int buses_tell_private(Buses *b, bus_tell_t tell, void *userdata);
void buses_tell_public(Buses *b, bus_tell_t tell, void *userdata);
/* About so many bytes were said on this connection, beside what the functions below say. What the system bus has not taken has an end: it is left then. */
void buses_said(Buses *b, const sd_bus *bus, size_t bytes);

int buses_object_added(Buses *b, const char *path);
int buses_object_removed(Buses *b, const char *path);
int buses_properties_changed(Buses *b, const char *path, const char *interface, const char *const *names);
int buses_signal(Buses *b, const char *path, const char *interface, const char *member, const char *types, ...);
