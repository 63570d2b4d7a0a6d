/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "question.h"

/* Keeps one look at the machine going at a time. A wish that comes while one is under way gets the next one: the one
 * under way may have passed what has just changed. */

typedef struct Scanner Scanner;

/* What a look has found (as the worker's `scan` tells it), or NULL and why there is nothing. */
typedef void (*scanner_done_t)(json_object *topology, const char *why_not, void *userdata);

/* `done` is called for every look, before those who waited for it. */
int scanner_new(sd_event *event, scanner_done_t done, void *userdata, Scanner **ret);
void scanner_free(Scanner *s);

/* Wants a look that starts from now on; `waiter` (NULL: nobody) is called once with its result, unless the scanner is freed before. */
int scanner_want(Scanner *s, scanner_done_t waiter, void *userdata);

/* The look under way, if there is one, began before something that is known by now: its result is not shown, and another look
 * follows at once. */
void scanner_distrust(Scanner *s);

/* Wants one that starts at the latest `usec` from now. */
int scanner_want_within(Scanner *s, uint64_t usec);
