/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "cli/exit-code.h"

/* Has a worker of our own (`safe-remove-worker VERB`, with the caller's rights and no daemon) answer this request (NULL: the verb takes none). Its
 * one line is the caller's; an `error` of it has been printed, and so has every other failure. SAFE_REMOVE_WORKER names another program. */
ExitCode worker_ask(const char *verb, json_object *request, json_object **ret);
