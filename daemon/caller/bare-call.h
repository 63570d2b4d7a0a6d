/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* A call that is kept until there is an answer. No method wants descriptors, but a bus hands over those that came beside a call (16 of them, as it
 * is set up by default), and the library keeps them for as long as it keeps the message. So what is kept is a copy: the same words of the same sender under the
 * same number, which replies are made to all the same. The caller has checked that no argument is a descriptor; a reference is returned. */
int bare_call(sd_bus_message *call, sd_bus_message **ret);
