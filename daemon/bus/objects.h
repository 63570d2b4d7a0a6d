/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/caller/ask.h"
#include "daemon/manager/manager.h"

/* What is the same for all objects on the bus: whom they show, and how they answer. */

#define MANAGER_PATH "/org/saferemove1"
#define MANAGER_INTERFACE "org.saferemove1.Manager"

typedef struct Logind Logind;

typedef struct Bus {
        Manager *manager;
        Buses *buses;
        Who *who;              /* who the callers are; gives this to each method */
        Rights *rights;        /* what those may who are not root */
        Asks *asks;            /* method calls that a worker is to answer */
        Logind *logind;        /* which has shutdowns and suspends wait for removals */
        sd_bus_track *subscribers; /* who hears everything (event-bus.h) */
} Bus;

/* One object of GetManagedObjects' reply: {oa{sa{sv}}} with the properties that the vtable has. */
int objects_append(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata);
