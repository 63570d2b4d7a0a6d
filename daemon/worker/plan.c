/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan that a request comes to. */
#include <errno.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/parse.h"
#include "daemon/worker/lost/last-seen.h"
#include "engine/engine.h"
#include "engine/last-seen.h"
#include "engine/records.h"
#include "kernel/cxl/card-state.h"
#include "kernel/cxl/libraries.h"
#include "plan/finish.h"
#include "plan/plan-hooks.h"
#include "plan/restore.h"
#include "page.h"
#include "request.h"
#include "verbs.h"
#include "view.h"

static const Slot *slot_at(const Request *request, size_t i) {
        return i == 0 ? request->slot : request->others[i - 1];
}

/* Of this boot, and of a card that was in one of the slots. */
static bool is_of_any(const Record *r, void *userdata) {
        const Request *request = userdata;

        for (size_t i = 0; i <= request->n_others && !r->journal->other_boot; i++)
                for (size_t k = 0; k < plan_n_slots(r->plan); k++)
                        if (restore_is_same_place(plan_slot(r->plan, k), slot_at(request, i)))
                                return true;
        return false;
}

static const Slot *slot_that_may_be(const Request *request, json_object *start) {
        for (size_t i = 0; i <= request->n_others; i++)
                if (record_may_be_of(start, slot_at(request, i)->name))
                        return slot_at(request, i);
        return NULL;
}

/* The same of one that cannot be read. */
static bool may_be_of_any(const UnreadRecord *u, void *userdata) {
        char boot[33];

        bool other_boot = json_str(u->start, "boot") && boot_id_read(boot) >= 0 && !streq(json_str(u->start, "boot"), boot);
        return !other_boot && slot_that_may_be(userdata, u->start);
}

/* It got stuck, and no slot that is asked for has got its light, or its card elsewhere. */
static bool is_due(const Record *r, const Request *request) {
        bool due = outcome_from_string(json_str(r->journal->end, "outcome")) == OUTCOME_STUCK;

        for (size_t i = 0; i <= request->n_others && due; i++)
                due = restore_is_same_slot(r->plan, request->topology, slot_at(request, i)) && finish_is_due(r->plan, slot_at(request, i));
        return due;
}

typedef struct Since {
        Request *request;
        const Record *record;
        json_object *seen, *unread;     /* as in FinishSource */
} Since;

/* One that has finished it for one of the slots; what others planned for these slots since is taken down from them. */
static bool is_over(const Record *later, void *userdata) {
        Since *since = userdata;

        if (!is_of_any(later, since->request))
                return false;
        if (record_finishes(later, since->record))
                return true;
        for (size_t i = 0; i <= since->request->n_others; i++) {
                json_object *scope = finish_scope(later->plan, slot_at(since->request, i));
                if (scope && restore_is_same_place(scope, slot_at(since->request, i)))
                        json_object_array_add(since->seen, json_ref(scope));
        }
        return false;
}

/* What the looks have seen in the slots since. */
static int ask_looks(Since *since) {
        const Journal *j = since->record->journal;

        for (size_t i = 0; i <= since->request->n_others; i++) {
                const Slot *slot = slot_at(since->request, i);
                _cleanup_free_ char *path = last_seen_path(last_seen_key(slot->port, slot->name));
                _cleanup_json_ json_object *seen = NULL;
                json_object *o;

                int r = last_seen_gone(since->request->topology, slot, &seen);
                if (r == -ENOMEM)
                        return r;
                if (seen && finish_is_later(since->record->plan, slot, seen, json_u64(j->start, "monotonic_usec"), json_u64(j->end, "monotonic_usec")))
                        json_object_array_add(since->seen, json_ref(json_get(seen, "scope")));
                if (r >= 0)
                        continue;
                o = json_object_new_object();
                json_set_str(o, "slot", slot->name);
                json_set_str(o, "path", path);
                json_set_str(o, "why", format_strerror(r));
                json_object_array_add(since->unread, o);
        }
        return 0;
}

static bool may_be_over(const UnreadRecord *u, void *userdata) {
        return may_be_of_any(u, ((const Since *) userdata)->request);
}

/* Its light may say that it got stuck, whatever this version can read of it: it is in the way of the plan for a slot that looks empty. 0: it says itself that
 * there is nothing to finish. */
static int plan_beside_unread(Request *request, const UnreadRecord *u, Plan **ret) {
        int outcome = outcome_from_string(json_str(u->end, "outcome"));
        json_object *o;

        if (outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED || outcome == OUTCOME_TESTED)
                return 0;
        o = json_object_new_object();
        json_set_strf(o, "id", "%ju", (uintmax_t) u->id);
        json_set_str(o, "slot", u->start ? slot_that_may_be(request, u->start)->name : NULL);
        json_set_str(o, "why", format_strerror(u->error));
        json_set_bool(o, "newer", u->error == -EPROTONOSUPPORT);
        json_set_bool(o, "ended", u->end);
        json_object_array_add(request->unread, o);
        const PlanRequest planner = request_for_planner(request);
        int r = plan_removal(request->topology, request->slot, &planner, ret);
        return r < 0 ? r : 1;
}

/* A slot without anything up in it may be that of a removal that did not get as far as the light. Only the newest one of these slots is asked: what
 * it says is of the last card that was taken down there. 1: it is. */
static int plan_the_rest(Request *request, const PlanRequest *planner, Plan **ret) {
        _cleanup_json_ json_object *seen = json_object_new_array(), *unread = json_object_new_array();
        _cleanup_(unread_record_done) UnreadRecord other = { 0 };
        _cleanup_(record_freep) Record *record = NULL;

        int r = record_find(&(RecordQuestion) { .fits = is_of_any, .may_fit = may_be_of_any, .any_stuck = true, .userdata = request }, &record, &other);
        if (r < 0 && other.id > 0)
                return plan_beside_unread(request, &other, ret);
        if (r < 0 || !is_due(record, request))
                return r == -ENOENT ? 0 : r;
        Since since = { .request = request, .record = record, .seen = seen, .unread = unread };
        r = record_find_later(record, &(RecordQuestion) { .fits = is_over, .may_fit = may_be_over, .userdata = &since }, &other);
        if (r < 0 && other.id > 0)
                return plan_beside_unread(request, &other, ret);
        if (r != 0)
                return r < 0 ? r : 0;
        r = ask_looks(&since);
        if (r < 0)
                return r;
        const FinishSource source = {
                .id = record->id, .plan = record->plan, .notes = record->journal->notes, .since = json_get(record->journal->start, "since"),
                .seen = seen, .unread = unread,
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

static bool is_root(json_object *doc) {
        json_object *by = json_get(doc, "by");

        return json_get(by, "uid") && json_u64(by, "uid") == 0;
}

int request_plan_removal(Request *request, Plan **ret) {
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = plan_until_agreed(request, &plan);
        if (r >= 0 && plan_verdict(plan) == PLAN_NOTHING && !plan_is_self_test(plan)) {
                PlanRequest planner = request_for_planner(request);
                r = plan_the_rest(request, &planner, ret);
                if (r > 0)
                        return 0;
        }
        uint64_t removal = 0;
        (void) parse_u64(json_str(request->doc, "id") ?: "0", &removal);
        const HooksQuery query = {
                .ask = !request->spares_hooks, .removal = removal, .digest = removal > 0 ? json_str(json_get(request->doc, "options"), "digest") : NULL,
                .was_shown = is_root(request->doc), .cancelled = request->cancelled, .userdata = request->userdata,
        };
        if (r >= 0)
                r = plan_ask_hooks(plan, &request->policy, &query);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(plan);
        return 0;
}

/* As the daemon says: a plan that is asked for by whoever calls a worker by hand asks nobody. Nor do the pages of one, each of which is made of the same
 * plan once more. */
static bool has_a_say(json_object *doc) {
        return is_root(doc) && !json_get(doc, "page");
}

int worker_plan(WorkerIo *io, json_object *doc) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(plan_freep) Plan *plan = NULL;
        json_object *state = NULL;

        int r = request_understand_removal(io, doc, &request);
        if (r < 0)
                return r;
        request.spares_hooks = !has_a_say(doc);
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
