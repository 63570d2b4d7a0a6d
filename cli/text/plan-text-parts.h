/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Parts of a printed plan. */

/* An empty line and a heading; nothing with --no-legend. */
void plan_print_heading(const char *text);

/* plan-takes-down-text.c: what goes, or (of a restoration) what comes back. */
void plan_print_takes_down(json_object *down, const char *heading);

/* plan-holders-text.c: who uses it, at most `n_holds` ways of each process. */
void plan_print_holders(json_object *plan, size_t n_holds);
