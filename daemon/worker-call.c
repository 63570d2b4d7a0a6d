/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "bus-error.h"
#include "worker-call.h"

enum {
        CALLS_MAX = 4,         /* everybody may ask: that many worker processes of root at a time, not more */
};

/* Seconds on a large machine; a caller that gives up earlier just does not hear the answer. */
#define CALL_USEC (60 * USEC_PER_SEC)

struct WorkerCall {
        Manager *manager;
        const char *what;      /* "The plan": for messages */
        sd_bus_message *call;
        Question *question;
        WorkerCall *next;
};

static void worker_call_free(WorkerCall *p) {
        question_free(p->question);
        sd_bus_message_unref(p->call);
        free(p);
}

DEFINE_CLEANUP_FUNC(WorkerCall, worker_call_free)

void worker_calls_free(Manager *m) {
        while (m->worker_calls) {
                WorkerCall *p = m->worker_calls;

                m->worker_calls = p->next;
                worker_call_free(p);
        }
}

static void forget(WorkerCall *forgotten) {
        WorkerCall **p = &forgotten->manager->worker_calls;

        while (*p != forgotten)
                p = &(*p)->next;
        *p = forgotten->next;
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        WorkerCall *p = userdata;
        const char *message = json_str(answer, "message");

        if (!answer)
                (void) sd_bus_reply_method_errorf(p->call, BUS_ERROR_FAILED, "%s could not be made: %s.", p->what, why_not);
        else if (streq_ptr(json_str(answer, "type"), "error"))
                (void) sd_bus_reply_method_errorf(p->call, bus_error_of_code(json_str(answer, "code")), "%s",
                                message ?: "The worker gave no reason.");
        else
                (void) sd_bus_reply_method_return(p->call, "s", json_text(answer));
        forget(p);
        worker_call_free(p);
}

static unsigned count(const Manager *m) {
        unsigned n = 0;

        for (const WorkerCall *p = m->worker_calls; p; p = p->next)
                n++;
        return n;
}

int worker_call_start(Manager *m, sd_bus_message *call, const char *verb, const char *what, json_object *request,
                sd_bus_error *reterr) {
        _cleanup_(worker_call_freep) WorkerCall *p = NULL;

        if (count(m) >= CALLS_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many questions are being answered. Try again in a moment.");

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->manager = m;
        p->what = what;
        p->call = sd_bus_message_ref(call);

        int r = question_ask(m->event, verb, request, CALL_USEC, on_answer, p, &p->question);
        if (r < 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_FAILED, "%s cannot be made: %s.", what, strerror(-r));

        p->next = m->worker_calls;
        m->worker_calls = TAKE_PTR(p);
        return 0;
}
