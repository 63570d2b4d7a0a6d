/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "base/json.h"

/* Reads the a{sv} of Remove() and PlanRemoval() into a request's options. An unknown one, or one of another type, is
 * refused by name: `reterr` is set and a negative errno returned. */
int options_read(sd_bus_message *m, json_object **ret, sd_bus_error *reterr);

/* Whether `asked` wants something else than what runs with `options`; NULL: nothing was asked for. What is not mentioned
 * contradicts nothing. A digest may also be the one of the plan the running removal has made. */
bool options_contradict(json_object *asked, json_object *options, json_object *plan);
