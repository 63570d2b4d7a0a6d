/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Asks for a removal or a restoration (`noun`, for people) and follows it to its end, unless the command line says not to wait. */
ExitCode ask_and_follow(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path));

/* The same without a word about how it ended, and whatever the command line says of waiting: *ret is safe-remove/removal/1, *ret_leds (may be NULL) the
 * slot's LEDs in words, where they are known. */
ExitCode ask_and_wait(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path), json_object **ret, char **ret_leds);

/* Whether one that runs is of the same kind ("remove", "restore") and of all that is meant: then the same wish joins it, and nothing is begun that somebody would have
 * to be asked about. *ret_digest (newly allocated, NULL where none is) goes with the wish: should it end just now, another one is begun by the same plan alone. What
 * is forced or erased, and who is passed over, somebody is always asked about. The next ask_plan goes over the same connection. */
ExitCode ask_joins(const Args *a, const char *kind, char **ret_digest);

/* By its verdict, and CODE_VETOED where whatever is in the way is somebody's wish, which ends when he says so. */
ExitCode exit_code_of_plan(json_object *plan);

/* Connects, and asks for a plan of either kind (client_plan, client_plan_restore). */
ExitCode ask_plan(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret), json_object **ret);

/* Asks for a plan, prints it, and ends as it says. */
ExitCode ask_for_plan(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret),
                      void (*print)(json_object *plan, const Args *a));
