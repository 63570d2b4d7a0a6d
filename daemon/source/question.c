/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "question.h"

enum {
        CHUNK = 64 * 1024,
};

struct Answer {
        unsigned refs;
        int fd;
        size_t size, most;
};

int answer_new(size_t most, Answer **ret) {
        Answer *a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        *a = (Answer) { .refs = 1, .most = most, .fd = memfd_create("answer", MFD_CLOEXEC) };
        if (a->fd < 0) {
                int r = -errno;
                free(a);
                return r;
        }
        *ret = a;
        return 0;
}

Answer *answer_ref(Answer *a) {
        a->refs++;
        return a;
}

Answer *answer_unref(Answer *a) {
        if (!a || --a->refs > 0)
                return NULL;
        close(a->fd);
        free(a);
        return NULL;
}

size_t answer_size(const Answer *a) {
        return a->size;
}

int answer_append(Answer *a, const char *text, size_t length) {
        if (length > a->most - a->size)
                return -EFBIG;
        while (length > 0) {
                ssize_t n = pwrite(a->fd, text, length, (off_t) a->size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                length -= (size_t) n;
                a->size += (size_t) n;
        }
        return 0;
}

ssize_t answer_read(const Answer *a, size_t at, char *buffer, size_t length) {
        ssize_t n = pread(a->fd, buffer, length, (off_t) at);

        return n < 0 ? -errno : n;
}

int answer_append_answer(Answer *a, const Answer *from) {
        char chunk[CHUNK];

        for (size_t at = 0; at < from->size;) {
                ssize_t n = answer_read(from, at, chunk, sizeof(chunk));
                if (n <= 0)
                        return n < 0 ? (int) n : -EIO;
                int r = answer_append(a, chunk, (size_t) n);
                if (r < 0)
                        return r;
                at += (size_t) n;
        }
        return 0;
}

struct Question {
        Worker *worker;
        Answer *document;      /* the parts of it that have come */
        size_t most;           /* bytes of it */
        json_object *answer;
        int error;             /* of keeping the parts */
        question_answered_t answered;
        void *userdata;
};

void question_free(Question *q) {
        if (!q)
                return;
        worker_free(q->worker);
        json_object_put(q->answer);
        answer_unref(q->document);
        free(q);
}

static int take_part(Question *q, const char *text) {
        int r = q->document ? 0 : answer_new(q->most, &q->document);

        return r < 0 ? r : answer_append(q->document, text, strlen(text));
}

/* What comes in parts is never parsed here, and never held in this process's memory. */
static void on_line(json_object *line, void *userdata) {
        const char *type = json_str(line, "type"), *text = json_str(line, "text");
        Question *q = userdata;

        if (streq_ptr(type, "part") && text) {
                if (q->error >= 0)
                        q->error = take_part(q, text);
        } else if (!q->answer)
                q->answer = json_ref(line);
}

/* Only now: an answer of a worker that crashed after it is no answer. (The exit status is for the shell; an error is an
 * answer too.) */
static void on_ended(WorkerEnd end, int code, void *userdata) {
        Question *q = userdata;
        _cleanup_free_ char *why = NULL;

        if (end == WORKER_EXITED && q->answer && q->error >= 0) {
                q->answered(q->answer, NULL, q->userdata);
                return;
        }
        if (q->error < 0)
                why = q->error == -EFBIG ? strf("it is longer than %zu MiB", q->most / 1024 / 1024) : strdup(strerror(-q->error));
        else {
                _cleanup_free_ char *how = worker_end_text(end, code);
                why = strf("the worker process %s%s", how ?: "?", q->answer || end == WORKER_NOT_STARTED ? "" : " without an answer");
        }
        q->answered(NULL, why ?: "out of memory", q->userdata);
}

static const WorkerHandler question_handler = {
        .line = on_line,
        .ended = on_ended,
};

int question_document(Question *q, Answer **ret) {
        if (!q->document) {
                const char *text = json_text(q->answer);

                int r = text ? take_part(q, text) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        *ret = answer_ref(q->document);
        return 0;
}

void question_limit(Question *q, size_t most) {
        q->most = most;
}

int question_ask(sd_event *event, const char *verb, json_object *input, uint64_t deadline_usec,
                question_answered_t answered, void *userdata, Question **ret) {
        _cleanup_(question_freep) Question *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->answered = answered;
        q->userdata = userdata;
        q->most = ANSWER_BYTES_MAX;

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
