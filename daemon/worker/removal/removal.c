/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal from its request on. A command's is planned first and refused without touching anything; a button's holds the
 * slot first, because the kernel powers it off 5 s after the press whatever we think, and is planned then. Both take the same
 * way from there. */
#include <errno.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/parse.h"
#include "daemon/worker/lost/last-seen.h"
#include "daemon/worker/press.h"
#include "daemon/worker/rights/asker.h"
#include "daemon/worker/verbs.h"
#include "engine/certificate.h"
#include "engine/state-dir.h"
#include "kernel/log/kmsg-since.h"
#include "kernel/process/apart.h"
#include "plan/find/blockers.h"
#include "probe/probe.h"
#include "step/evict/units.h"
#include "removal.h"

#define LOOK_USEC (30 * USEC_PER_SEC) /* in which a held slot's machine is looked at again where that fails */

enum {
        LOOK_AGAIN_MSEC = 1000,
        GO_TIMEOUT_MSEC = 60 * 1000,
        RECORDS_KEPT = 1000,
        LOCK_POLL_MSEC = 200,           /* flock() has no waiting with a deadline and a cancel */
        LOCK_TIMEOUT_SEC = 60 * 60,
};

void removal_done(Removal *m) {
        apart_set_witness(NULL, NULL);
        library_set_listener(NULL, NULL);
        json_object_put(m->said);
        time_set_end(0);
        engine_done(&m->engine);
        if (m->journal) {
                journal_writers_close(m->journal);
                journal_free(m->journal);
        }
        if (m->plan)
                plan_free(m->plan);
        request_done(&m->request);
        closep(&m->lock);
}

void removal_set_up_engine(Removal *m) {
        m->engine.plan = m->plan;
        m->engine.journal = m->journal;
        m->engine.run = tell_step_run(m);
        m->engine.until = m->until;
        m->engine.until_slots = m->until_slots;
        m->engine.run.since = json_get(m->journal->start, "since");
        m->engine.listener = tell_listener(m);
        apart_set_witness(journal_write_begins, m->journal);
        apart_set_witness_of_end(journal_write_ended);
}

/* Nobody else needs any of them now; one that is taken up deals with its own. What fails the next one tries again. */
static void unspare_left(const Removal *m) {
        _cleanup_json_ json_object *own = json_object_new_array();
        StepRun run = { .limits = &m->request.policy.limits };

        for (size_t n = 0; m->journal && m->plan && n < m->plan->n_steps; n++) {
                json_object *notes = journal_notes(m->journal, n);
                for (size_t i = 0; i < json_len(notes); i++)
                        if (json_str(json_at(notes, i), "spare"))
                                names_add(own, json_str(json_at(notes, i), "spare"));
        }
        (void) units_unspare_left(&run, own);
        step_run_done(&run);
}

int removal_take_machine(Removal *m) {
        uint64_t deadline = m->until_lock > 0 ? m->until_lock : now_monotonic() + LOCK_TIMEOUT_SEC * USEC_PER_SEC;

        for (bool waited = false;; waited = true) {
                int r = machine_lock(&m->lock);
                if (r >= 0) {
                        /* A give-back has no time for it before all of its slots. */
                        if (m->until_lock == 0)
                                unspare_left(m);
                        return waited;
                }
                if (r != -EWOULDBLOCK || now_monotonic() >= deadline)
                        return r;
                if (!waited)
                        tell_waiting(m);
                worker_receive(m->io, LOCK_POLL_MSEC);
                if (m->io->ended)
                        step_pause(&m->engine.run, LOCK_POLL_MSEC);
                if (m->io->cancel_why && !m->engine.run.ignore_cancel)
                        return -ECANCELED;
        }
}

int removal_take_number(Removal *m) {
        asker_find(json_get(m->request.doc, "by"));
        int r = removal_number_keep(json_str(m->request.doc, "id"));
        if (r >= 0)
                return 0;
        _cleanup_free_ char *text = strf("Nothing is begun whose number cannot be written down (%s/numbers): %s.", state_dir(), strerror(-r));
        worker_send_error(m->io, "internal", text ?: strerror(-r));
        return r;
}

bool removal_may_go(Removal *m) {
        uint64_t deadline = now_monotonic() + GO_TIMEOUT_MSEC * USEC_PER_MSEC;

        while (!m->io->go && !m->io->ended && now_monotonic() < deadline)
                worker_receive(m->io, 1000);
        json_object_put(m->request.inhibitors);
        m->request.inhibitors = json_ref(m->io->inhibitors);
        return m->io->go;
}

/* From here on the kernel may not complain (probe-kernel-log.c). Where its log cannot be read there is no telling, which is no proof. */
static void set_since(const Removal *m, json_object *o) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan);
        _cleanup_free_ char *text = strf("safe-remove: removal %s of slot %s begins", json_str(m->request.doc, "id"), slots);
        json_object *since = json_object_new_object();
        KmsgMark mark;

        int r = text ? kmsg_mark(text, &mark) : -ENOMEM;
        if (r < 0)
                json_set_str(since, "unread", strerror(-r));
        else {
                json_set_u64(since, "sequence", mark.sequence);
                json_set_u64(since, "taint", mark.taint);
        }
        json_set(o, "since", since);
}

/* A finishing asks about the time since its removal began; or, if the operator says so, since now. */
static json_object *since_of_finish(const Removal *m) {
        json_object *since = json_get(m->plan->doc, "since"), *args = m->plan->steps[0].args;
        _cleanup_json_ json_object *scope = probe_scope(json_get(args, "scope"), since), *behind = NULL;
        _cleanup_free_ char *line = NULL;

        if (m->request.policy.acknowledge_kernel_log && kernel_log_acknowledge(scope, &behind, &line) > 0)
                return TAKE_PTR(behind);
        return json_ref(since);
}

static json_object *start_record(const Removal *m) {
        static const char *const asked[] = { "target", "trigger", "by", "options" };
        static const char *const planned[] = { "kind", "of" };
        json_object *o = json_object_new_object();
        struct utsname u;

        for (size_t i = 0; i < ELEMENTSOF(asked); i++)
                json_set(o, asked[i], json_ref(json_get(m->request.doc, asked[i])));
        if (json_array(m->request.doc, "targets"))
                json_set(o, "targets", json_ref(json_get(m->request.doc, "targets")));
        for (size_t i = 0; i < ELEMENTSOF(planned); i++)
                if (json_has(m->plan->doc, planned[i]))
                        json_set(o, planned[i], json_ref(json_get(m->plan->doc, planned[i])));
        json_set(o, "limits", policy_limits(&m->request.policy));
        /* Where this happened, for whoever reads the certificate elsewhere. */
        if (uname(&u) >= 0) {
                json_set_str(o, "host", u.nodename);
                json_set_str(o, "kernel", u.release);
                json_set_str(o, "version", PROJECT_VERSION);
        }
        if (plan_is_finish(m->plan))
                json_set(o, "since", since_of_finish(m));
        else
                set_since(m, o);
        return o;
}

int removal_begin(Removal *m) {
        int r = journal_create(json_str(m->request.doc, "id"), m->plan, start_record(m), &m->journal);
        if (r < 0)
                return r;
        removal_set_up_engine(m);
        (void) certificates_begin(journal_removal(m->journal));
        removals_prune(RECORDS_KEPT);
        return 0;
}

/* Of a card that is gone from one of the slots; NULL where nothing is. */
static char *what_is_left(const Plan *p) {
        for (size_t i = 0; i < plan_n_slots(p); i++) {
                const char *name = json_str(plan_slot(p, i), "name");
                _cleanup_free_ char *left = last_seen_left(last_seen_key(json_str(plan_slot(p, i), "port"), name));
                if (left)
                        return strf("the card of slot %s was pulled or lost its power, and not all of it is gone (%s)", name ?: "?", left);
        }
        return NULL;
}

char *removal_stale(const Removal *m) {
        const char *digest = json_str(json_get(m->request.doc, "options"), "digest");

        if (!digest || digest_is_meant(digest, plan_digest(m->plan)))
                return NULL;
        return strf("the machine has changed since the plan was shown: its digest is now %s, not %s", plan_digest(m->plan), digest);
}

char *removal_objection(const Removal *m, const char **ret_code) {
        json_object *blockers = json_array(m->plan->doc, "blockers");
        _cleanup_free_ char *slots = plan_slot_words(m->plan);

        switch (plan_verdict(m->plan)) {
        case PLAN_NOTHING: {
                _cleanup_free_ char *left = what_is_left(m->plan);
                *ret_code = left ? "blocked" : "empty-slot";
                return left ? TAKE_PTR(left) : strf("there is no card with power in slot %s", slots);
        }
        case PLAN_BLOCKED: {
                json_object *first = json_at(blockers, 0);
                *ret_code = blockers_are_vetoes(blockers) ? "vetoed" : "blocked";
                return strf("%s: %s%s%s%s", json_str(first, "code") ?: "?", json_str(first, "what") ?: "",
                            json_str(first, "evidence") ? " (" : "", json_str(first, "evidence") ?: "",
                            json_str(first, "evidence") ? ")" : "");
        }
        default:
                break;
        }

        *ret_code = "stale";
        return removal_stale(m);
}

/* The slot is held, so there is time to look once more at what could not be looked at: what was odd may have been on its way. */
static int look_held(Removal *m, Plan **ret) {
        uint64_t deadline = now_monotonic() + LOOK_USEC;

        for (;;) {
                int r = request_look_again(&m->request);
                const char *what = r < 0 ? "the machine cannot be looked at" : "no plan can be made";

                if (r >= 0)
                        r = request_plan_removal(&m->request, ret);
                if (r >= 0)
                        return 0;
                if (r == -ECANCELED)
                        return step_fail(&m->engine.run, r, "cancelled while hooks were asked");
                if (r == -ENODEV || now_monotonic() >= deadline)
                        return step_fail(&m->engine.run, r, "%s: %s", what, strerror(-r));
                step_pause(&m->engine.run, LOOK_AGAIN_MSEC);
                if (step_cancelled(&m->engine.run))
                        return step_fail(&m->engine.run, -ECANCELED, "cancelled while the machine could not be looked at");
        }
}

/* Plans anew with the slot held (a button's removal). The hold stays the first step, so the journal stays true. */
static int plan_held(Removal *m) {
        Plan *plan = NULL;

        tell_state(m, "planning");
        int r = removal_take_machine(m);
        if (r == -ECANCELED)
                return step_fail(&m->engine.run, r, "cancelled while another removal was running");
        if (r < 0)
                return step_fail(&m->engine.run, r, "the lock of the machine cannot be taken: %s", strerror(-r));
        if (r > 0)
                tell_state(m, "planning"); /* it was waiting */
        r = look_held(m, &plan);
        if (r < 0)
                return r;

        plan_free(m->plan);
        m->plan = m->engine.plan = plan;
        tell_plan(m);
        r = journal_replace_plan(m->journal, plan);
        return r < 0 ? step_fail(&m->engine.run, r, "the plan cannot be written down: %s", strerror(-r)) : 0;
}

int removal_run_held(Removal *m) {
        const char *code = NULL;

        int r = plan_held(m);
        if (r < 0)
                return removal_go_back(m, r == -ECANCELED ? "cancelled" : "failed", m->engine.run.why);
        _cleanup_free_ char *why = removal_objection(m, &code);
        return why ? removal_go_back(m, code, why) : removal_go_forward(m);
}

static int run_button(Removal *m) {
        PlanRequest request = request_for_planner(&m->request);

        int r = plan_hold(m->request.slot, &request, &m->plan);
        if (r < 0)
                return r;
        r = removal_begin(m);
        if (r < 0) {
                press_call_off(&m->plan->steps[0], &m->request.policy.limits);
                return removal_end_unwritable(m, r);
        }
        r = engine_forward(&m->engine);
        if (r < 0)
                return removal_go_back(m, r == -ECANCELED ? "cancelled" : "failed", m->engine.run.why);
        if (m->io->refuse)
                return removal_go_back(m, "blocked", m->io->refuse);
        tell_led(m, LED_WORKING);
        return removal_run_held(m);
}

static bool is_late(const Removal *m) {
        return streq_ptr(json_str(m->request.doc, "trigger"), "late");
}

static int run_command(Removal *m) {
        const char *code = NULL;

        m->request.spares_hooks = m->request.spares_hooks || is_late(m);
        int r = removal_take_machine(m);
        if (r == -ECANCELED)
                return removal_end(m, OUTCOME_RESTORED, "cancelled", "cancelled while another removal was running", NULL);
        if (r > 0)
                r = request_look_again(&m->request);
        if (r >= 0)
                r = request_plan_removal(&m->request, &m->plan);
        if (r == -ECANCELED)
                return removal_end(m, OUTCOME_RESTORED, "cancelled", "cancelled while hooks were asked", NULL);
        if (r < 0)
                return removal_end(m, OUTCOME_REFUSED, "failed", strerror(-r), NULL);

        tell_plan(m);
        /* Nobody has asked for more than for the rest of an earlier one. */
        if (is_late(m) && !plan_is_finish(m->plan))
                return removal_end(m, OUTCOME_NOTHING, "empty-slot", "nothing is left to be finished", NULL);
        _cleanup_free_ char *why = removal_objection(m, &code);
        if (streq_ptr(code, "empty-slot"))
                return removal_end(m, OUTCOME_NOTHING, code, why, NULL);
        r = removal_begin(m);
        if (r < 0)
                return removal_end_unwritable(m, r);
        return why ? removal_end(m, OUTCOME_REFUSED, code, why, removal_first_remedy(m)) : removal_go_forward(m);
}

int worker_run(WorkerIo *io, json_object *request) {
        _cleanup_(removal_done) Removal m = { .io = io, .lock = -EBADF, .started = now_monotonic() };
        bool press = streq_ptr(json_str(request, "trigger"), "button");

        apart_make_ready();
        library_set_listener(tell_said, &m);

        /* A press needs no look to be held and written down: that could fail, or take longer than the kernel waits. */
        const char *target = json_str(request, "target"), *port = press && target ? startswith(target, "port:") : NULL;
        int r = port ? request_understand_press(io, request, port, &m.request) : request_understand_removal(io, request, &m.request);
        if (r >= 0)
                r = removal_take_number(&m);
        if (r < 0)
                return r;
        tell_target(&m);
        StepRun run = tell_step_run(&m);
        m.request.cancelled = run.cancelled;
        m.request.userdata = run.userdata;

        if (!removal_may_go(&m))
                return 0;

        return press && m.request.slot->service ? run_button(&m) : run_command(&m);
}
