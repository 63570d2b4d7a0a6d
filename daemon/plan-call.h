/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Has a worker make the plan a PlanRemoval() call asks for, and answers the call with it. On failure the call is not
 * answered and `reterr` may be set. Pending calls are dropped by plan_calls_free(). */
int plan_call_start(Manager *m, sd_bus_message *call, const char *target, json_object *options, json_object *by,
                sd_bus_error *reterr);

void plan_calls_free(Manager *m);
