/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "base/json.h"

/* May who is described by a request's "by" (who.h) change anything? 0, or a negative errno with `reterr` set. */
int authorize_change(json_object *by, sd_bus_error *reterr);
