/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "question.h"

struct Question {
        Worker *worker;
        json_object *answer;
        question_answered_t answered;
        void *userdata;
};

void question_free(Question *q) {
        if (!q)
                return;
        worker_free(q->worker);
        json_object_put(q->answer);
        free(q);
}

static void on_line(json_object *line, void *userdata) {
        Question *q = userdata;

        if (!q->answer)
                q->answer = json_ref(line);
}

/* Only now: an answer of a worker that crashed behind it is no answer. (The exit status is for the shell; an error is an
 * answer too.) */
static void on_ended(WorkerEnd end, int code, void *userdata) {
        Question *q = userdata;
        _cleanup_free_ char *why = NULL;

        if (end == WORKER_EXITED && q->answer) {
                q->answered(q->answer, NULL, q->userdata);
                return;
        }

        why = strf("the worker process %s (%d)%s", worker_end_to_string(end), code,
                        q->answer ? "" : " without an answer");
        q->answered(NULL, why ?: "out of memory", q->userdata);
}

static const WorkerHandler question_handler = {
        .line = on_line,
        .ended = on_ended,
};

int question_ask(sd_event *event, const char *verb, json_object *input, uint64_t deadline_usec,
                question_answered_t answered, void *userdata, Question **ret) {
        _cleanup_(question_freep) Question *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->answered = answered;
        q->userdata = userdata;

        int r = worker_spawn(event, verb, &question_handler, q, &q->worker);
        if (r < 0)
                return r;
        r = worker_set_deadline(q->worker, deadline_usec);
        if (r < 0)
                return r;
        if (input) {
                r = worker_send(q->worker, input);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(q);
        return 0;
}
