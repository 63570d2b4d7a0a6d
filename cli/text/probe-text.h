/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* The answers of probes, [{"name", "question", "holds", "answer"}], as a table. */
void probes_print(json_object *probes, const char *indent);
