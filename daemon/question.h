/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "worker-client.h"

/* A worker verb that answers one line and changes nothing: scan, plan. */
typedef struct Question Question;

/* Called once, with the answer or with NULL and the reason. The question may be freed in it. */
typedef void (*question_answered_t)(json_object *answer, const char *why_not, void *userdata);

/* `input` may be NULL. */
int question_ask(sd_event *event, const char *verb, json_object *input, uint64_t deadline_usec,
                question_answered_t answered, void *userdata, Question **ret);

/* Nothing is called any more. NULL is fine. */
void question_free(Question *q);
DEFINE_CLEANUP_FUNC(Question, question_free)
