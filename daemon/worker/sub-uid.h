/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Ranges of user numbers, and whose they are (sub-uid.h): a new array of {"first", "last", "user"}, in order, none of which overlap. A negative
 * errno where subuid(5) is there and cannot be read. */
int sub_uid_ranges(json_object **ret);
