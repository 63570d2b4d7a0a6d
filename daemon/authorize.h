/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "base/json.h"

/* Who sent this, as a request's "by": {uid, pid, comm}. The uid is the bus's word and safe to decide by; pid and comm
 * are for people. */
int authorize_sender(sd_bus_message *m, json_object **ret_by);

/* May they change anything? 0, or a negative errno with `reterr` set. */
int authorize_change(sd_bus_message *m, json_object **ret_by, sd_bus_error *reterr);
