/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What is done about the processes that use a card, by unit, program and way of holding: safe-remove.policy(5). Read from the files
 * that policy-files.h finds; a later rule goes before an earlier one. The result is the array that holders/holder-rule.h evaluates. */

/* Adds one file's rules, of so many bytes, at the end of `rules`. What cannot be used is described in `warnings` ("FILE:LINE: ..."), and turns the rule it
 * stands in into one that refuses: what was meant to be spared must not be ended for a typing error. Never fails but for -ENOMEM. */
int policy_rules_parse(json_object *rules, const char *file, const char *text, size_t length, json_object *warnings);

/* What stands in a file or folder of rules that cannot be read is not known: a rule that goes before all others, and refuses whoever it may be about, that
 * is everybody, and shuts no file system down. -ENOMEM. */
int policy_rules_unread(json_object *rules, const char *path, const char *why);

/* What a unit's file says of it in [X-SafeRemove] goes into `rule`, which has what the files before it said; "declared" is then true. A line that cannot
 * be used makes it refuse, as above. Never fails but for -ENOMEM. */
int policy_rule_of_unit(json_object *rule, const char *file, const char *text, size_t length, json_object *warnings);

/* Rules in the order in which files were read -> the order in which they are asked: highest priority first, of the same the last
 * one first. A new array. */
json_object *policy_rules_sort(json_object *rules);

/* Takes those that are about mount points (Mount=) out of `rules`, as a new array. One that cannot be understood stays in both. */
json_object *policy_rules_take_mounts(json_object *rules);

/* What the rules say about shutting down what is mounted there (ShutdownFileSystems=): 1: yes, 0: no, -ENOENT: nothing. *ret_rule is the one that
 * says so, borrowed. */
int policy_mount_shutdown(json_object *mount_rules, const char *target, json_object **ret_rule);
