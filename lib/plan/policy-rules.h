/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What is done about the processes that use a card, by unit, program and way of holding: safe-remove.policy(5). Read from
 *      /usr/lib/safe-remove/policy.d/NAME.conf and /etc/safe-remove/policy.d/NAME.conf
 * where a file in /etc takes the place of the one with the same name, and a later rule goes before an earlier one. The result
 * is the array that holders/holder-rule.h evaluates. */

/* Adds one file's rules at the end of `rules`. What cannot be used is described in `warnings` ("FILE:LINE: ..."), and turns the rule it
 * stands in into one that refuses: what was meant to be spared must not be ended for a typing error. Never fails but for -ENOMEM. */
int policy_rules_parse(json_object *rules, const char *file, const char *text, json_object *warnings);

/* Rules in the order in which files were read -> the order in which they are asked: highest priority first, of the same the last
 * one first. A new array. */
json_object *policy_rules_sort(json_object *rules);

/* All files there are, sorted. */
int policy_rules_load(json_object *warnings, json_object **ret);
