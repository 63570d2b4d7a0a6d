/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* How things are, as Prometheus' text format has it (node_exporter's textfile folder): {"version", "up", and of a daemon that answers
 * "manager": its properties, "slots": those of the slots, with "verdict" and "blockers" of a plan (no `verdict`: there is none), "totals" of
 * the history (absent: it cannot be read)}. Newly allocated; NULL when out of memory. */
char *metrics_text(json_object *o);

/* What may stand between the quotes of a label's value, whatever is in `text`: one line of UTF-8 without control characters. Newly allocated. */
char *metrics_label(const char *text);
