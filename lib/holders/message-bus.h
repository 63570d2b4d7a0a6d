/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* The machine's message bus takes descriptors out of a message when it gets it, and has them until the receiver has read it. So it uses a card
 * for somebody else, and it says in its statistics alone for which of its connections. Everything on the machine depends on it: it is protected
 * like PID 1, whatever the policy says. A user's own bus is a process of his as any other. */
bool unit_is_message_bus(const char *unit); /* NULL: it is not */

/* "the message bus (process 815, dbus.service) keeps ...". Newly allocated, as is the following. */
char *message_bus_text(const Holder *h);

/* A command that lists the connections with descriptors that wait: those of this kind of bus. */
char *message_bus_remedy(const Holder *h);
