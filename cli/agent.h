/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "bus.h"

/* A call that not everybody may make. polkit's agent for terminals (pkttyagent) asks for a password there while the call waits for its answer, which takes as
 * long as it takes; without one it has `usec`. The agent is started for who is not root and sits at a terminal, unless he wants none (--no-ask-password).
 * Where it is not installed nobody is asked, and polkit says no; a desktop's agent asks all the same. */
int agent_call(sd_bus *bus, sd_bus_message *m, const Args *a, uint64_t usec, sd_bus_error *reterr, sd_bus_message **ret);
