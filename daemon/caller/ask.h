/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/source/scanner.h"
#include "who.h"

/* Questions of the bus that a worker answers. Everybody may ask, so everybody gets one answer at a time, however many connections he
 * has; root has places of its own. The same question of one user, asked again before a worker has begun with it, gets the same
 * answer. */

typedef struct Asks Asks;

typedef struct AskWish {
        const char *verb;      /* of the worker */
        const char *what;      /* "The plan": for messages; stays the caller's */
        json_object *request;  /* NULL: the worker is told nothing */
        bool look;             /* the slots are looked at as well, and shown before it is answered */
        bool stream;           /* the document comes by a descriptor, not as the text of the reply */
} AskWish;

/* On failure the call is not answered and `reterr` may be set: Busy says what to do. Returns 1. */
int asks_add(Asks *a, sd_bus_message *call, json_object *by, const AskWish *wish, sd_bus_error *reterr);

/* Reads "suu" from the call: which list, from which item on, and how many of them at most (0: as many as fit) the answer is to have. */
int asks_read_page(sd_bus_message *call, json_object *request);

/* Answers with a document that is there already, by its own rules for long ones. */
int asks_hand_over(Asks *a, sd_bus_message *call, json_object *by, Answer *document, const char *what, bool stream);

/* All three outlive it. */
int asks_new(sd_event *event, Who *who, Scanner *scanner, Asks **ret);
void asks_free(Asks *a); /* callers that wait are not answered any more */
DEFINE_CLEANUP_FUNC(Asks, asks_free)
