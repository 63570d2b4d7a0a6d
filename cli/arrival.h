/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "exit-code.h"

/* Waits until a card is up in a slot that is empty, or that has one which is safe to pull; over restarts of the daemon and of the bus. CODE_DONE: *ret is the slot, as its
 * properties have it. CODE_NO_CARD: none came within so many seconds; CODE_DETACHED: a signal ended the wait. These two print nothing. */
ExitCode arrival_wait(const char *slot, uint32_t sec, json_object **ret);
