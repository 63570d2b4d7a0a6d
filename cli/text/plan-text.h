/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "cli/args.h"

/* A plan (safe-remove/plan/1) for a person. `a` gives the options to repeat in the line that runs it. */
void plan_print(json_object *plan, const Args *a);

/* The same, or as JSON where that was asked for. */
void plan_show(json_object *plan, const Args *a);

/* The first line and the blockers and warnings alone. */
void plan_print_explanation(json_object *plan);
