/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "worker-client.h"

/* What a worker has to say, kept once, outside of this process's heap, for all who asked for it. */
typedef struct Answer Answer;

enum {
        ANSWER_INLINE_MAX = 64 * 1024,         /* of a reply's text; more goes by a stream */
        ANSWER_BYTES_MAX = 64 * 1024 * 1024,
        ANSWER_OF_USER_MAX = 12 * 1024 * 1024, /* twice a look at a machine with many terabytes */
};

int answer_new(size_t most, Answer **ret); /* bytes; beyond that -EFBIG */
Answer *answer_ref(Answer *a);
Answer *answer_unref(Answer *a); /* NULL is fine */

static inline void answer_unrefp(Answer **a) {
        answer_unref(*a);
}

/* -EFBIG where it is too long. */
int answer_append(Answer *a, const char *text, size_t length);
int answer_append_answer(Answer *a, const Answer *from);
size_t answer_size(const Answer *a);

/* From that byte on, as much as there is: how many, or a negative errno. */
ssize_t answer_read(const Answer *a, size_t at, char *buffer, size_t length);

/* A worker verb that answers and changes nothing: scan, plan. */
typedef struct Question Question;

/* Called once, with the answer (the worker's last line) or with NULL and the reason; an `error` of the worker's is none. The question
 * may be freed in it. */
typedef void (*question_answered_t)(json_object *answer, const char *why_not, void *userdata);

/* `input` may be NULL. */
int question_ask(sd_event *event, const char *verb, json_object *input, uint64_t deadline_usec,
                question_answered_t answered, void *userdata, Question **ret);

/* Right after it: no more than so many bytes of a document. Without this it is ANSWER_BYTES_MAX. */
void question_limit(Question *q, size_t most);

/* Within question_answered_t: the document that was asked for, which is the last line itself where the worker did not send it in
 * parts. */
int question_document(Question *q, Answer **ret);

/* Nothing is called any more. NULL is fine. */
void question_free(Question *q);
DEFINE_CLEANUP_FUNC(Question, question_free)
