/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan that a request comes to. */
#include <errno.h>

#include "engine/engine.h"
#include "engine/records.h"
#include "kernel/cxl/card-state.h"
#include "kernel/cxl/libraries.h"
#include "plan/finish.h"
#include "plan/restore.h"
#include "page.h"
#include "request.h"
#include "verbs.h"
#include "view.h"

static bool is_of_slots(const Record *r, void *userdata) {
        const Request *request = userdata;
        bool all = !r->journal->other_boot && restore_is_same_slot(r->plan, request->topology, request->slot);

        for (size_t i = 0; i < request->n_others && all; i++)
                all = restore_is_same_slot(r->plan, request->topology, request->others[i]);
        return all;
}

/* A slot without anything up in it may be that of a removal that did not get as far as the light. 1: it is. */
static int plan_the_rest(Request *request, const PlanRequest *planner, Plan **ret) {
        _cleanup_(record_freep) Record *record = NULL;

        int r = record_find(is_of_slots, request, &record);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        bool due = outcome_from_string(json_str(record->journal->end, "outcome")) == OUTCOME_STUCK && finish_is_due(record->plan, request->slot);
        for (size_t i = 0; i < request->n_others && due; i++)
                due = finish_is_due(record->plan, request->others[i]);
        if (!due)
                return 0;
        /* Then a card has been in the slot again: what became of that one, the old record does not know. */
        r = record_was_finished(record);
        if (r != 0)
                return r == -ENOMEM ? r : 0;
        const FinishSource source = {
                .id = record->id, .plan = record->plan, .notes = record->journal->notes, .since = json_get(record->journal->start, "since"),
        };
        r = plan_finish(request->slot, planner, &source, ret);
        return r < 0 ? r : 1;
}

/* By this look at the machine, and what the libraries see of it, of whom none is waited for that waits for udev. */
static int plan_the_removal(Request *request, json_object *said_before, Plan **ret) {
        _cleanup_(libraries_freep) Libraries *libraries = TAKE_PTR(request->libraries);
        _cleanup_json_ json_object *seen = NULL;

        int r = libraries ? 0 : libraries_ask(NULL, &libraries);
        if (r >= 0)
                r = request_find_under_way(request);
        if (r < 0)
                return r;
        (void) libraries_hear_unless_busy(libraries);
        seen = libraries_seen(libraries);
        PlanRequest planner = request_for_planner(request);
        planner.libraries = seen;
        planner.said_before = said_before;
        planner.ask_card = &request->card;
        return plan_removal(request->topology, request->slot, &planner, ret);
}

/* What they had against that plan. */
static json_object *said_against(const Plan *plan) {
        json_object *blockers = json_array(plan->doc, "blockers"), *said = json_object_new_array();

        for (size_t i = 0; i < json_len(blockers); i++) {
                json_object *b = json_at(blockers, i);
                if (!streq_ptr(json_str(b, "code"), "LIBRARIES_DISAGREE"))
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "library", json_str(b, "library"));
                json_set_bool(o, "contradicts", true);
                json_set_str(o, "text", json_str(b, "evidence"));
                json_object_array_add(said, o);
        }
        return said;
}

/* They look a moment before or after us: something may have come or gone in between. Who has been wrong for that reason says so himself. */
static int plan_until_agreed(Request *request, Plan **ret) {
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = plan_the_removal(request, NULL, &plan);
        if (r < 0 || !plan_has_blocker(plan, "LIBRARIES_DISAGREE")) {
                *ret = TAKE_PTR(plan);
                return r;
        }
        _cleanup_json_ json_object *said = said_against(plan);
        r = request_look_again(request);
        return r < 0 ? r : plan_the_removal(request, said, ret);
}

int request_plan_removal(Request *request, Plan **ret) {
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = plan_until_agreed(request, &plan);
        if (r >= 0 && plan_verdict(plan) == PLAN_NOTHING) {
                PlanRequest planner = request_for_planner(request);
                r = plan_the_rest(request, &planner, ret);
                if (r > 0)
                        return 0;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(plan);
        return 0;
}

int worker_plan(WorkerIo *io, json_object *doc) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(plan_freep) Plan *plan = NULL;
        json_object *state = NULL;

        int r = request_understand_removal(io, doc, &request);
        if (r < 0)
                return r;
        r = request_plan_removal(&request, &plan);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        if (request.card && card_state_take(request.card, LIBRARY_USEC, &state) >= 0)
                json_set(plan->doc, "card_state", state);
        view_restrict(plan->doc, json_get(doc, "by"));
        worker_send_pages(io, doc, plan->doc);
        return 0;
}
