/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a user who is not root has to be allowed for what he asks for, and who he is. */
#include <errno.h>

#include "daemon/worker/removal/removal.h"
#include "daemon/worker/verbs.h"
#include "plan/scope/scope.h"
#include "asker.h"

/* Each word of force has an action of its own, also where the machine's policy has said the word: what is done is what is allowed. */
static void add_force(const Policy *policy, json_object *actions) {
        const struct {
                bool wanted;
                const char *action;
        } words[] = {
                { policy->force_kill, "force-kill" },
                { policy->force_shutdown, "force-shutdown" },
                { policy->force_unmap, "force-unmap" },
                { policy->force_unproven || policy->acknowledge_kernel_log, "force-unproven" }, /* either way the proof has less to say */
                { policy->force_poison, "force-poison" },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (words[i].wanted)
                        json_append_str(actions, words[i].action);
}

/* Does the plan stop or end processes? Who holds the card is in no digest: whoever comes until then is ended as well, so nobody is asked whose they are. */
static bool ends_processes(const Plan *p) {
        for (size_t i = 0; i < p->n_steps; i++)
                if (p->steps[i].type == STEP_FREEZE_HOLDERS || p->steps[i].type == STEP_END_HOLDERS)
                        return true;
        return false;
}

static void add_of_plan(const Request *request, const Plan *plan, json_object *answer) {
        json_object *actions = json_array(answer, "actions");

        json_append_str(actions, "remove");
        if (request->policy.self_test_power)
                json_append_str(actions, "restore"); /* what it takes down is put back by one, and nobody is to find out only then that he may not */
        if (ends_processes(plan))
                json_append_str(actions, "end-processes");
        add_force(&request->policy, actions);
        if (request->policy.ignore_inhibitors)
                json_append_str(actions, "override-inhibitor");
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].type == STEP_SANITIZE) {
                        json_append_str(actions, "sanitize");
                        break;
                }
        json_set_str(answer, "digest", plan_digest(plan));
        json_set_u64(answer, "holders", json_len(json_array(plan->doc, "holders")));
}

/* The slots by their names, which mean the same later on, and the cards' serial numbers for people. */
static int add_subject(const Request *r, json_object *answer) {
        _cleanup_(scope_done) Scope scope = { 0 };
        json_object *slots = json_object_new_array();

        json_object_array_add(slots, json_object_new_string(r->slot->name));
        for (size_t i = 0; i < r->n_others; i++)
                json_append_str(slots, r->others[i]->name);
        json_set(answer, "slots", slots);
        int q = scope_find_all(r->topology, r->slot, r->others, r->n_others, &scope);
        if (q < 0)
                return q;
        _cleanup_json_ json_object *card = scope_card_json(&scope);
        json_set_str(answer, "serial", json_str(card, "serial"));
        return 0;
}

static int answer_removal(WorkerIo *io, json_object *doc, json_object *answer) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = request_understand_removal(io, doc, &request);
        if (r < 0)
                return r;
        request.spares_hooks = true; /* they are asked when he may, and it begins */
        r = request_plan_removal(&request, &plan);
        if (r >= 0)
                r = add_subject(&request, answer);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        add_of_plan(&request, plan, answer);
        return 0;
}

/* The slots of the others that come back with it are known once it is planned. */
static int answer_restoration(WorkerIo *io, json_object *doc, json_object *answer) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = request_understand(io, doc, &request);
        if (r < 0)
                return r;
        r = restoration_plan(&request, &plan);
        if (r >= 0)
                r = add_subject(&request, answer);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        json_append_str(json_array(answer, "actions"), "restore");
        json_set_str(answer, "digest", plan_digest(plan));
        return 0;
}

int worker_rights(WorkerIo *io, json_object *doc) {
        _cleanup_json_ json_object *answer = worker_line("rights");

        /* First of all: who is refused ends, and then nobody can tell any more. */
        asker_find(json_get(doc, "by"));
        json_set(answer, "by", json_ref(json_get(doc, "by")));
        json_set(answer, "actions", json_object_new_array());
        int r = streq_ptr(json_str(doc, "kind"), "restore") ? answer_restoration(io, doc, answer) : answer_removal(io, doc, answer);
        if (r < 0)
                return r;
        worker_send(io, json_ref(answer));
        return 0;
}

int worker_denied(WorkerIo *io, json_object *doc) {
        _cleanup_json_ json_object *what = json_object_new_object();
        json_object *by = json_get(doc, "by"), *answer = worker_line("denied");

        json_set_strf(what, "op", "denied-%s", json_str(doc, "action") ?: "?");
        json_set_str(what, "slot", json_str(doc, "slot"));
        json_set_str(what, "serial", json_str(doc, "serial"));
        asker_find(by);
        _cleanup_free_ char *record = asker_record(by, what, false), *why_not = asker_audit(record);
        json_set(answer, "by", json_ref(by));
        json_set_str(answer, "unaudited", why_not);
        worker_send(io, answer);
        return 0;
}
