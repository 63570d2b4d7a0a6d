/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What the user who asks may see of a document. Root sees all of it; others see of somebody else's process and of somebody else's
 * files what /proc and the folders' modes show them: that there is a process, its number, its user and its name, but not its program, its
 * files or its folders; paths as far as every folder on them is open; no addresses. */

#define VIEW_OF_EVERYBODY UINT32_MAX /* of no user in particular */

/* Takes out in place what is not to be seen, and says so: {"withheld": true}. Returns whether anything was. */
bool view_restrict_for(json_object *document, uint32_t uid);

/* The same for who asks, a request's "by". The daemon always says who that is; without it somebody runs the worker himself. */
bool view_restrict(json_object *document, json_object *by);
