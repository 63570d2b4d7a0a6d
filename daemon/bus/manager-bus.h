/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* The manager's object: all that is asked of the daemon, but for what one removal is asked. */
int manager_bus_register(Bus *b, sd_bus *bus);

/* What comes of a removal that was asked for; `asker` is the call, which is answered and given up. */
void manager_bus_answered(void *asker, const char *path, const char *code, const char *message, void *bus);
