/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "bus-error.h"
#include "plan-call.h"

enum {
        PLANS_MAX = 4,         /* everybody may ask: that many worker processes of root at a time, not more */
};

/* Seconds on a large machine; a caller that gives up earlier just does not hear the answer. */
#define PLAN_USEC (60 * USEC_PER_SEC)

struct PlanCall {
        Manager *manager;
        sd_bus_message *call;
        Question *question;
        PlanCall *next;
};

static void plan_call_free(PlanCall *p) {
        question_free(p->question);
        sd_bus_message_unref(p->call);
        free(p);
}

DEFINE_CLEANUP_FUNC(PlanCall, plan_call_free)

void plan_calls_free(Manager *m) {
        while (m->plan_calls) {
                PlanCall *p = m->plan_calls;

                m->plan_calls = p->next;
                plan_call_free(p);
        }
}

static void forget(PlanCall *forgotten) {
        PlanCall **p = &forgotten->manager->plan_calls;

        while (*p != forgotten)
                p = &(*p)->next;
        *p = forgotten->next;
}

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        PlanCall *p = userdata;
        const char *message = json_str(answer, "message");

        if (!answer)
                (void) sd_bus_reply_method_errorf(p->call, BUS_ERROR_FAILED, "The plan could not be made: %s.", why_not);
        else if (streq_ptr(json_str(answer, "type"), "error"))
                (void) sd_bus_reply_method_errorf(p->call, bus_error_of_code(json_str(answer, "code")), "%s",
                                message ?: "The worker gave no reason.");
        else
                (void) sd_bus_reply_method_return(p->call, "s", json_text(answer));
        forget(p);
        plan_call_free(p);
}

static unsigned count(const Manager *m) {
        unsigned n = 0;

        for (const PlanCall *p = m->plan_calls; p; p = p->next)
                n++;
        return n;
}

int plan_call_start(Manager *m, sd_bus_message *call, const char *target, json_object *options, json_object *by,
                sd_bus_error *reterr) {
        _cleanup_json_ json_object *request = json_object_new_object();
        _cleanup_(plan_call_freep) PlanCall *p = NULL;

        if (count(m) >= PLANS_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "Too many plans are being made. Try again in a moment.");

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->manager = m;
        p->call = sd_bus_message_ref(call);

        json_set_str(request, "id", "0"); /* a plan is nothing that is recorded */
        json_set_str(request, "target", target);
        json_set_str(request, "trigger", trigger_to_string(TRIGGER_COMMAND));
        json_set(request, "by", json_ref(by));
        json_set(request, "options", json_ref(options));

        int r = question_ask(m->event, "plan", request, PLAN_USEC, on_answer, p, &p->question);
        if (r < 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_FAILED, "The plan cannot be made: %s.", strerror(-r));

        p->next = m->plan_calls;
        m->plan_calls = TAKE_PTR(p);
        return 0;
}
