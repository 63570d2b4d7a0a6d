/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* Hears what the daemon says, from one start of it to the next: when it goes, or the bus does, the connection is made anew. */

typedef struct ListenHandler {
        void (*event)(json_object *event, void *userdata);
        void (*daemon)(bool runs, void *userdata);       /* it is gone; it is back */
        int (*match)(sd_bus *bus, void *userdata);       /* NULL, or what else is to be heard on a new connection */
} ListenHandler;

typedef struct Listen {
        sd_bus *bus;            /* a reference; NULL while there is no connection */
        sd_event *event;
        sd_event_source *retry;
        const ListenHandler *handler;
        void *userdata;
        bool subscribed;        /* to events with everything in them */
        bool gone;              /* the daemon is away */
        bool by_bus;            /* it was to be one over which somebody can be authorized */
        bool cut_off;           /* as far as we know: the bus is, and it may go on */
} Listen;

/* Hears from here on; `event` is kept as a reference. Negative errno. */
int listen_start(Listen *l, sd_bus *bus, sd_event *event, const ListenHandler *handler, void *userdata);
void listen_done(Listen *l);
