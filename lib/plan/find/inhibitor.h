/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "plan/scope/scope.h"

/* Somebody does not want cards to go: at all, or before he is through. A description is a JSON object: "id" (in this boot given once), "what"
 * (an array of words), "who", "why", "mode", "uid", "pid", "since_usec" (wall clock), "start_time" (of the process, where it was known). One whose description was lost has "lost", and is against
 * everything. The daemon keeps them (daemon/manager/inhibitors.h), the planner asks which of them are about a removal. */

typedef enum InhibitMode {
        INHIBIT_BLOCK,          /* it cannot be removed */
        INHIBIT_DELAY,          /* its removal waits, for as long as the policy grants */
        _INHIBIT_MODE_MAX,
        _INHIBIT_MODE_INVALID = -EINVAL,
} InhibitMode;

DECLARE_STRING_TABLE(inhibit_mode, InhibitMode); /* "block", "delay" */

enum {
        INHIBIT_WHAT_MAX = 256,  /* bytes of each text, as somebody says it */
        INHIBIT_WHO_MAX = 64,
        INHIBIT_WHY_MAX = 256,
};

/* Words with blanks between them: "all", or names of slots, ports and serial numbers. Each is given back as it is compared: "all", "slot:2",
 * "port:0000:0c:00.0", "serial:0x1". -EINVAL with what is wrong in *ret_why, or -ENOMEM. */
int inhibit_what_parse(const char *text, json_object **ret_words, char **ret_why);

/* A text for people: some, not too long, and without control characters. -EINVAL with what is wrong in *ret_why, which calls it `name`. */
int inhibit_text_check(const char *name, const char *text, size_t most, char **ret_why);

/* A description that was kept: -EBADMSG for anything that is none. */
int inhibitor_parse(const char *text, size_t length, json_object **ret);

/* Of one whose description was lost. New reference. */
json_object *inhibitor_lost(uint64_t id);

InhibitMode inhibitor_mode(json_object *inhibitor);

/* Is it about this removal: a slot of it, one inside of it or around it, a card that goes, or one that loses a region? */
bool inhibitor_is_about(json_object *inhibitor, const Topology *t, const Scope *s);

/* Those of the array that would hold the removal up: their numbers; NULL where there are none. New reference. */
json_object *inhibitors_that_delay(json_object *inhibitors, const Topology *t, const Scope *s);
