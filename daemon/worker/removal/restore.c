/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Putting back what a removal took down, once its card is there again: the newest removal of this card is looked up, its steps
 * are reverted. It ends rebuilt, or incomplete where it had to stop; either way it can be asked for again, and goes on from
 * what the kernel shows. */
#include <errno.h>

#include "base/clock.h"
#include "base/format.h"
#include "daemon/worker/page.h"
#include "daemon/worker/verbs.h"
#include "daemon/worker/view.h"
#include "engine/records.h"
#include "engine/state-dir.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "plan/restore.h"
#include "plan/scope/scope.h"
#include "removal.h"

typedef struct Wanted {
        const Request *request;
        json_object *card;      /* that is in the slot now */
} Wanted;

static bool is_of_card(const Record *r, void *userdata) {
        const Wanted *w = userdata;

        return restore_is_same_card(r->plan, w->card, w->request->slot);
}

static bool is_of_slot(const Record *r, void *userdata) {
        const Wanted *w = userdata;

        return restore_is_same_slot(r->plan, w->request->topology, w->request->slot);
}

/* *ret is NULL where there is none. */
static int find_record(const Request *request, Record **ret) {
        _cleanup_(scope_done) Scope scope = { 0 };

        int r = scope_find(request->topology, request->slot, &scope);
        if (r < 0)
                return r;
        _cleanup_json_ json_object *card = scope_card_json(&scope);
        Wanted wanted = { .request = request, .card = card };

        r = record_find(&(RecordQuestion) { .fits = is_of_card, .userdata = &wanted }, ret, NULL);
        if (r == -ENOENT)
                r = record_find(&(RecordQuestion) { .fits = is_of_slot, .userdata = &wanted }, ret, NULL);
        return r == -ENOENT ? 0 : r;
}

/* Why there is no plan; newly allocated. */
static char *unplanned_text(int error) {
        if (error != -EPROTONOSUPPORT)
                return strdup(strerror(-error));
        return strf("a later removal is on record in %s, and %s: install that version again, which knows what is to be put back", state_dir(), format_strerror(error));
}

/* Cards that were removed together come back together: their slots are this restoration's too. */
static int add_others(Request *request, const Plan *removal) {
        int r = 0;

        request_drop_others(request);
        for (size_t i = 0; i < plan_n_slots(removal) && plan_n_slots(removal) > 1 && r >= 0; i++) {
                const Slot *slot = restore_slot_now(removal, request->topology, i);
                if (slot && slot != request->slot)
                        r = request_add_slot(request, slot);
        }
        return r;
}

static int restoration_understand(WorkerIo *io, json_object *doc, Request *request) {
        _cleanup_(record_freep) Record *record = NULL;

        int r = request_understand(io, doc, request);
        if (r < 0)
                return r;
        r = find_record(request, &record);
        if (r >= 0 && record)
                r = add_others(request, record->plan);
        if (r < 0) {
                _cleanup_free_ char *why = unplanned_text(r);
                worker_send_error(io, "internal", why ?: strerror(ENOMEM));
        }
        return r;
}

int restoration_plan(Request *request, Plan **ret) {
        _cleanup_(record_freep) Record *record = NULL;

        int r = find_record(request, &record);
        if (r >= 0 && record)
                r = add_others(request, record->plan);
        if (r >= 0)
                r = request_find_under_way(request);
        if (r < 0)
                return r;
        PlanRequest planner = request_for_planner(request);
        bool turned_back = record && record_is_left_down(record);
        const RestoreSource source = {
                .id = record ? record->id : NULL,
                .plan = record ? record->plan : NULL,
                .notes = record ? record->journal->notes : NULL,
                .stuck = record && outcome_from_string(json_str(record->journal->end, "outcome")) == OUTCOME_STUCK,
                .turned_back = turned_back,
                .n_begun = turned_back ? record->journal->last_do + 1 : 0,
                .undone = turned_back ? record->journal->undone : NULL,
        };
        return plan_restoration(request->topology, request->slot, &planner, record ? &source : NULL, ret);
}

/* A restoration that could do without its slot being held is none that was refused: it says so in the same words as a removal. */
static int end_refused(Removal *m) {
        json_object *first = json_at(json_array(m->plan->doc, "blockers"), 0);
        const char *evidence = json_str(first, "evidence");
        _cleanup_free_ char *why = strf("%s: %s%s%s%s", json_str(first, "code") ?: "?", json_str(first, "what") ?: "",
                                        evidence ? " (" : "", evidence ?: "", evidence ? ")" : "");

        return removal_end(m, OUTCOME_REFUSED, "blocked", why, removal_first_remedy(m));
}

static int end_rebuilt(Removal *m, const char *code, const char *how) {
        _cleanup_free_ char *compared = restoration_compare(m);
        _cleanup_free_ char *message = strf("what removal %s took down is there %s%s%s", json_str(m->plan->doc, "of"), how,
                                            json_flag(m->plan->doc, "erased") ? ", but for what it erased" : "", compared ?: "");

        return removal_tell_hooks(m, HOOK_RESTORE, removal_end(m, OUTCOME_REBUILT, code, message, NULL));
}

/* Is an attention LED on for a removal that got stuck, and is to be as before that (plan/restore.c)? It takes the frame around the steps. */
static bool shows_a_fault(const Plan *p) {
        for (size_t n = 0; n < p->n_steps; n++) {
                json_object *args = p->steps[n].args;
                const char *port = json_str(args, "port"), *wanted = json_str(args, "attention_led");
                SlotRegisters s;
                if (p->steps[n].type == STEP_HOLD && port && wanted && !streq(wanted, "on") && slot_registers_read(port, &s) >= 0 &&
                    s.has_attention_indicator && s.attention == INDICATOR_ON)
                        return true;
        }
        return false;
}

static int restoration_go(Removal *m) {
        (void) removal_picture(m); /* without one nothing is compared, and nobody says that all is as it was */
        if (!m->engine.resumed && !engine_restore_needed(&m->engine) && !shows_a_fault(m->plan))
                return end_rebuilt(m, "as-it-was", "already");
        int r = engine_restore(&m->engine);
        if (r >= 0)
                return end_rebuilt(m, "done", "again");
        _cleanup_free_ char *slot = slot_word(plan_slot_name(m->plan)); /* of several, any names the restoration */
        _cleanup_free_ char *message = strf("%s; what is listed is not put back", m->engine.stuck_why ?: strerror(-r));
        _cleanup_free_ char *again = strf("safe-remove restore %s  # goes on from there", slot);
        return removal_end(m, OUTCOME_INCOMPLETE, r == -ECANCELED ? "cancelled" : "failed", message, m->engine.stuck_remedy ?: again);
}

int restoration_resume(Removal *m, bool back) {
        if (plan_verdict(m->plan) != PLAN_READY)
                return end_refused(m);
        if (back && !m->journal->backwards)
                (void) journal_back(m->journal, "cancelled", "the worker or the service ended in the middle of it");
        return restoration_go(m);
}

int worker_restore(WorkerIo *io, json_object *request) {
        _cleanup_(removal_done) Removal m = { .io = io, .lock = -EBADF, .started = now_monotonic() };

        apart_make_ready();
        library_set_listener(tell_said, &m);
        int r = restoration_understand(io, request, &m.request);
        if (r >= 0)
                r = removal_take_number(&m);
        if (r < 0)
                return r;
        tell_target(&m);
        if (!removal_may_go(&m))
                return 0;

        r = removal_take_machine(&m);
        if (r == -ECANCELED)
                return removal_end(&m, OUTCOME_REFUSED, "cancelled", "cancelled while a removal was running", NULL);
        if (r > 0)
                r = request_look_again(&m.request);
        if (r >= 0)
                r = restoration_plan(&m.request, &m.plan);
        if (r < 0) {
                _cleanup_free_ char *why = unplanned_text(r);
                return removal_end(&m, OUTCOME_REFUSED, "failed", why ?: strerror(ENOMEM), NULL);
        }

        tell_plan(&m);
        if (plan_verdict(m.plan) == PLAN_NOTHING)
                return removal_end(&m, OUTCOME_NOTHING, json_str(m.plan->doc, "code"), json_str(m.plan->doc, "message"), NULL);
        _cleanup_free_ char *stale = removal_stale(&m);
        if (stale)
                return removal_end(&m, OUTCOME_REFUSED, "stale", stale, NULL);
        r = removal_begin(&m);
        if (r < 0)
                return removal_end_unwritable(&m, r);
        return plan_verdict(m.plan) == PLAN_READY ? restoration_go(&m) : end_refused(&m);
}

int worker_plan_restore(WorkerIo *io, json_object *request) {
        _cleanup_(request_done) Request understood = { 0 };
        _cleanup_(plan_freep) Plan *plan = NULL;

        int r = request_understand(io, request, &understood);
        if (r < 0)
                return r;
        r = restoration_plan(&understood, &plan);
        if (r < 0) {
                _cleanup_free_ char *why = unplanned_text(r);
                worker_send_error(io, "internal", why ?: strerror(ENOMEM));
                return r;
        }
        view_restrict(plan->doc, json_get(request, "by"));
        worker_send_pages(io, request, plan->doc);
        return 0;
}
