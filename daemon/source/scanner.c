/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "scanner.h"

/* A healthy machine needs milliseconds; an emulated one with a busy device lock a few seconds. */
#define SCAN_USEC (60 * USEC_PER_SEC)

typedef struct Waiter {
        scanner_done_t call;
        void *userdata;
} Waiter;

typedef struct Waiters {
        Waiter *items;
        size_t n, allocated;
} Waiters;

struct Scanner {
        sd_event *event;
        scanner_done_t done;
        void *userdata;
        Question *question;    /* the look under way */
        bool again;            /* somebody wants another one after it */
        bool distrusted;       /* what it will say is old already */
        sd_event_source *later; /* a wish that has time */
        Waiters now, next;
};

static int start(Scanner *s);

static void tell(Waiters *waiters, json_object *topology, const char *why_not) {
        for (size_t i = 0; i < waiters->n; i++)
                waiters->items[i].call(topology, why_not, waiters->items[i].userdata);
        free(waiters->items);
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        Scanner *s = userdata;
        bool failed = streq_ptr(json_str(answer, "type"), "error");
        _cleanup_json_ json_object *topology = failed ? NULL : json_ref(answer); /* the question goes before the answer is used */
        _cleanup_free_ char *why = failed ? strdup(json_str(answer, "message") ?: "the worker gave no reason") : NULL;
        Waiters told = s->now;
        bool again = s->again || s->distrusted, distrusted = s->distrusted;

        question_free(TAKE_PTR(s->question));
        s->now = s->next;
        s->next = (Waiters) { 0 };
        s->again = s->distrusted = false;
        if (again && start(s) < 0) {
                tell(&s->now, NULL, "another scan could not be started");
                s->now = (Waiters) { 0 };
        }

        if (!distrusted)
                s->done(topology, why ?: why_not, s->userdata);
        tell(&told, topology, why ?: why_not);
}

static int start(Scanner *s) {
        s->later = sd_event_source_disable_unref(s->later);
        return question_ask(s->event, "scan", NULL, SCAN_USEC, on_answer, s, &s->question);
}

int scanner_want(Scanner *s, scanner_done_t waiter, void *userdata) {
        Waiters *waiters = s->question ? &s->next : &s->now;

        if (waiter) {
                int r = vec_grow((void **) &waiters->items, waiters->n, &waiters->allocated, sizeof(Waiter));
                if (r < 0)
                        return r;
        }
        if (s->question)
                s->again = true;
        else {
                int r = start(s);
                if (r < 0)
                        return r;
        }
        if (waiter)
                waiters->items[waiters->n++] = (Waiter) { .call = waiter, .userdata = userdata };
        return 0;
}

void scanner_distrust(Scanner *s) {
        s->distrusted = s->question != NULL;
}

static int on_later(sd_event_source *timer, uint64_t usec, void *userdata) {
        Scanner *s = userdata;

        s->later = sd_event_source_disable_unref(s->later);
        if (scanner_want(s, NULL, NULL) < 0)
                s->done(NULL, "the scan could not be started", s->userdata);
        return 0;
}

int scanner_want_within(Scanner *s, uint64_t usec) {
        return s->later ? 0 : sd_event_add_time_relative(s->event, &s->later, CLOCK_MONOTONIC, usec, 0, on_later, s);
}

int scanner_new(sd_event *event, scanner_done_t done, void *userdata, Scanner **ret) {
        Scanner *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;

        *s = (Scanner) { .event = event, .done = done, .userdata = userdata };
        *ret = s;
        return 0;
}

void scanner_free(Scanner *s) {
        if (!s)
                return;
        question_free(s->question);
        sd_event_source_disable_unref(s->later);
        free(s->now.items);
        free(s->next.items);
        free(s);
}
