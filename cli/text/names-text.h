/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Every name that leads to a card of a topology (safe-remove/topology/1), one a line with what it is behind a tab; for completions. */
void names_print(json_object *topology);
