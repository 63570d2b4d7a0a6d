/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "recorded/names.h"

/* A copy of a document of ours, with made-up values as names.h has them in all its texts and keys: serial numbers, by the members that are called so,
 * wherever they stand; UUIDs, paths, and whatever comes after the word "process" and a number. A new reference; NULL: out of memory. */
json_object *names_json(Names *n, json_object *document);
