/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "bus.h"
#include "connect.h"

/* The daemon's methods as functions. Every one prints its own error and returns what to exit with; CODE_DONE means that
 * the ret_ parameters are set. Strings from the bus are made printable unless JSON was asked for. */

/* What a failed call means. `r` is the call's negative errno, `e` may be unset. */
ExitCode client_fail(int r, const sd_bus_error *e);

ExitCode client_topology(sd_bus *bus, json_object **ret);

/* The same without waiting for it, quietly: then() is called with the reply. Negative errno. */
int client_ask_topology(sd_bus *bus, sd_bus_message_handler_t then, void *userdata);
int client_read_topology(sd_bus_message *reply, json_object **ret);

ExitCode client_plan(sd_bus *bus, const Args *a, json_object **ret);
ExitCode client_plan_restore(sd_bus *bus, const Args *a, json_object **ret);
ExitCode client_history(sd_bus *bus, uint32_t limit, json_object **ret); /* the whole safe-remove/history/1 */

ExitCode client_verify(sd_bus *bus, const char *target, json_object **ret);          /* safe-remove/verify/1 */
ExitCode client_verify_certificates(sd_bus *bus, json_object **ret);                 /* safe-remove/chain/1 */

ExitCode client_snapshot(sd_bus *bus, bool keep_names, json_object **ret);           /* safe-remove/snapshot/1, of a recorded machine */

/* The certificate's text as it is, without its line end: what its digest is over. `id` "" is the newest. */
ExitCode client_certificate(sd_bus *bus, const char *id, char **ret);
ExitCode client_incident(sd_bus *bus, const char *id, json_object **ret);             /* safe-remove/incident/1; "": the newest */
ExitCode client_test_report(sd_bus *bus, const char *id, json_object **ret);

/* The same, quietly: negative errno. */
int client_try_history(sd_bus *bus, uint32_t limit, json_object **ret, sd_bus_error *reterr);

/* Whether a name means a card or slot: 0, or the daemon's words. No holder is looked for and no hook is asked, as for a plan of a removal. */
int client_try_name(sd_bus *bus, const char *target, sd_bus_error *reterr);

/* The plan of removing one card, quietly, within that time. */
int client_try_plan(sd_bus *bus, const char *target, uint64_t usec, json_object **ret, sd_bus_error *reterr);

/* The same, quietly. */
int client_try_objects(sd_bus *bus, json_object **ret_slots, json_object **ret_removals, sd_bus_error *reterr);

/* All slots (by name) and removals (newest first; ended ones stay on the bus for a while), as arrays of objects. */
ExitCode client_objects(sd_bus *bus, json_object **ret_slots, json_object **ret_removals);

/* The path is NULL where the connection ended before an answer came: nobody knows whether the request was accepted. */
ExitCode client_remove(sd_bus *bus, const Args *a, char **ret_path);
ExitCode client_restore(sd_bus *bus, const Args *a, char **ret_path);
ExitCode client_cancel(sd_bus *bus, const Args *a); /* CODE_NOTHING: none is running, which the caller tells */

/* Properties of one object, quietly: the caller knows whether its absence is an error. Negative errno. */
int client_properties(sd_bus *bus, const char *path, const char *interface, json_object **ret, sd_bus_error *reterr);

/* Adds what the daemon says of one removal to us: message, remedy, lost, plan. Quietly: one that is gone has none. */
void client_add_report(sd_bus *bus, const char *id, json_object *removal);

/* The text of a JSON document from the bus. -EBADMSG when it is none. */
int client_parse(const char *text, json_object **ret);
