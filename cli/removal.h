/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Removals as safe-remove/removal/1, wherever they come from. */

/* From the properties of a removal object. */
json_object *removal_of_properties(json_object *properties);

/* From one entry of the history. */
json_object *removal_of_history(json_object *entry);

/* From an "end" event, when that is all there is: a removal that was refused before anything was touched leaves no record. */
json_object *removal_of_end(json_object *event);

/* "removal" or "restoration". */
const char *removal_noun(json_object *removal);

/* Who asked for it: a user with his session or unit ("root, session 3"), or what asked by itself ("button"); newly allocated. Also of an entry of the
 * history. */
char *asker_text(json_object *removal);

/* What a line of its "lost" is about: of a removal that is done nothing was to be put back. */
const char *lost_word(json_object *removal);

/* The slots that it is of, newly allocated: "2", or "2 3" of several. Also of an event, a plan and a certificate. */
char *slots_text(json_object *o);

/* The same at the beginning of a line: "slot 2", "slots 2 3". */
char *slots_label(json_object *o);

/* What an event says, with its slots and its removal; newly allocated. */
char *event_line(json_object *event);

/* Finds a removal by id, slot or target, or by another name of the card in its slot; the first that fits, NULL when none
 * does. `slots` as client_objects() gives them. Owned by `removals`. */
json_object *removal_find(json_object *removals, json_object *slots, const char *name);

/* No removal that this name means "is running" (`what`): says so, or that there is nothing of this name. CODE_NOTHING or CODE_NOT_FOUND. */
ExitCode removal_fail_none(sd_bus *bus, json_object *slots, const char *name, const char *what);

/* Those that have not ended. New reference. */
json_object *removals_running(json_object *removals);

/* The newest entry of the history with this id. -ENOENT when there is none. */
int removal_from_history(sd_bus *bus, const char *id, json_object **ret);

/* Prints how it ended (or that it runs) in the mode's form and returns what to exit with. `leds` may be NULL. */
ExitCode removal_print(json_object *removal, const char *leds);

/* The same at the end of a command that has followed it: wrapped on a terminal. */
ExitCode removal_report(json_object *removal, const char *leds);

/* As an object, in whatever state it is now. */
void removal_print_now(sd_bus *bus, const char *path);

/* The slot's LEDs right now, in words; NULL when they cannot be had. */
char *removal_leds(sd_bus *bus, const char *slot);
