/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/source/scanner.h"
#include "rights.h"
#include "who.h"

/* Questions of the bus that a worker answers. Everybody may ask, so everybody gets one answer at a time, however many connections he
 * has; root has places of its own. The same question of one user, asked again before a worker has begun with it, gets the same
 * answer. */

typedef struct Asks Asks;

/* How a document comes: as the text of the reply, through a descriptor that comes with it, or piece by piece (answer.h). By the method's name:
 * Open... and Keep... are the latter two. */
typedef enum AskForm {
        ASK_TEXT,
        ASK_STREAM,
        ASK_KEPT,
} AskForm;

AskForm asks_form_of(sd_bus_message *call);

/* Writes what the document says into a reply, as values of the bus's own types. */
typedef int (*ask_typed_t)(json_object *document, sd_bus_message *reply);

/* For who wants the worker's line, and not its text as the answer to the call, which is his to answer then. `line` and `request` are the question's. */
typedef void (*ask_told_t)(void *userdata, sd_bus_message *call, json_object *request, json_object *line);

typedef struct AskWish {
        const char *verb;      /* of the worker */
        const char *what;      /* "The plan": for messages; stays the caller's */
        json_object *request;  /* NULL: the worker is told nothing */
        bool look;             /* the slots are looked at as well, and shown before it is answered */
        AskForm form;
        ask_typed_t typed;     /* the reply is made of the document, which is a page; NULL: the reply is its text */
        ask_told_t told;       /* or NULL */
        void *userdata;
} AskWish;

/* On failure the call is not answered and `reterr` may be set: Busy says what to do. Returns 1. A document for a user who may read the details of others
 * ("read-details") is made as for root; polkit is asked first, and a no is no error. */
int asks_add(Asks *a, sd_bus_message *call, json_object *by, const AskWish *wish, sd_bus_error *reterr);

/* Reads "suu" from the call: which list, from which item on, and how many of them at most (0: as many as fit) the answer is to have. */
int asks_read_page(sd_bus_message *call, json_object *request);

/* Answers with a document that is there already, by its own rules for long ones. */
int asks_hand_over(Asks *a, sd_bus_message *call, json_object *by, Answer *document, const char *what, AskForm form);

/* Answers with the next piece of a document that is kept; `call` is of "u", its number. */
int asks_read_kept(Asks *a, sd_bus_message *call, json_object *by, sd_bus_error *reterr);

/* All four outlive it. */
int asks_new(sd_event *event, Who *who, Rights *rights, Scanner *scanner, Asks **ret);
void asks_free(Asks *a); /* callers that wait are not answered any more */
DEFINE_CLEANUP_FUNC(Asks, asks_free)
