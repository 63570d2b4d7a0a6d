/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/source/worker-client.h"
#include "answer.h"

/* A worker verb that answers and changes nothing: scan, plan. */
typedef struct Question Question;

/* Called once, with the answer (the worker's last line) or with NULL and the reason; an `error` of the worker's is none. The question
 * may be freed in it. */
typedef void (*question_answered_t)(json_object *answer, const char *why_not, void *userdata);

/* `input` may be NULL. */
int question_ask(sd_event *event, const char *verb, json_object *input, uint64_t deadline_usec,
                question_answered_t answered, void *userdata, Question **ret);

/* Right behind it: no more than so many bytes of a document. Without this it is ANSWER_BYTES_MAX. */
void question_limit(Question *q, size_t most);

/* Within question_answered_t: the document that was asked for, which is the last line itself where the worker did not send it in
 * parts. */
int question_document(Question *q, Answer **ret);

/* Nothing is called any more. NULL is fine. */
void question_free(Question *q);
DEFINE_CLEANUP_FUNC(Question, question_free)
