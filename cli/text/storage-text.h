/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Namespaces, block devices, file systems and swap of what a plan takes down (or brings back). */
void storage_print(json_object *down);
