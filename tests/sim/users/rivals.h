/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Others who act on the machine: what a script of the player says beside actor.c's own verbs. False: that is none. */
bool rival_acts(const char *verb, const char *what, const char *text);
/* Somebody else acts right now: what is lost by it is none of ours. */
bool rival_is_acting(void);
