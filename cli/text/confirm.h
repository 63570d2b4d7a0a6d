/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "cli/args.h"

/* Sits somebody there who can be asked? Not with --yes, in JSON mode, or where standard input or standard error is no terminal. */
bool confirm_can_ask(const Args *a);

/* Tells what a plan does (host, slots, serial numbers, what goes down, who is ended, what is forced or erased), and asks whether to do it. */
bool confirm_plan(json_object *plan, const Args *a);

/* He has said no. */
ExitCode confirm_declined(void);
