/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* `Reload`, a who_then_t: what a reload does (manager/policy.h), for who may `manage-policy`, who is told what is wrong as well. Root's worker reads the
 * files, some of which are not everybody's to read. */
int policy_bus_reload(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *reterr);
