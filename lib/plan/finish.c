/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal that got stuck at the proof has done everything but the light. Once its reason is gone nobody has to do more than ask
 * again: what the steps are asked about is what that removal wrote down while the card was there. */
#include <errno.h>

#include "plan/find/blockers.h"
#include "plan/finish.h"
#include "plan/planner.h"
#include "plan/restore.h"

/* What the removal wrote down of this slot for a step; a removal of one slot has nothing about another. NULL: the step is about something else. */
static json_object *scope_in(const Plan *removal, size_t n, const Slot *slot) {
        json_object *scope = json_get(removal->steps[n].args, "scope");

        return scope && (plan_n_slots(removal) == 1 || restore_is_same_place(scope, slot)) ? scope : NULL;
}

static json_object *scope_of(const Plan *removal, const Slot *slot) {
        for (size_t n = removal->n_steps; n-- > 0;)
                if (removal->steps[n].type == STEP_SHOW_SAFE && scope_in(removal, n, slot))
                        return scope_in(removal, n, slot);
        return NULL;
}

static json_object *notes_of(const FinishSource *source, size_t n) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", n);
        return json_array(source->notes, number);
}

/* Somebody must have left the light as it was: over a slot that says "safe to pull" there is nothing to finish. */
static bool has_power_or_light(const Slot *slot) {
        const SlotRegisters *s = &slot->registers;
        bool says_safe = s->has_attention_indicator && s->attention == INDICATOR_OFF;

        return !slot->has_registers || slot->held || says_safe || (s->has_power_controller && s->power_on);
}

bool finish_is_due(const Plan *removal, const Slot *slot) {
        return !has_power_or_light(slot) && scope_of(removal, slot);
}

/* What the libraries had against the card when they were asked last; an empty array: nothing. NULL: that is not on record. Borrowed. */
static json_object *against_of(const FinishSource *source, const Slot *slot) {
        json_object *against = NULL;

        for (size_t n = source->plan->n_steps; n-- > 0 && !against;) {
                json_object *notes = scope_in(source->plan, n, slot) ? notes_of(source, n) : NULL;
                for (size_t i = json_len(notes); i-- > 0 && !against;)
                        against = json_array(json_at(notes, i), "libraries_against");
        }
        return against;
}

/* What that removal asked about, and what the libraries said then: it stands here too, until they take it back. *ret is the caller's. */
static int scope_again(const FinishSource *source, const Slot *slot, json_object **ret) {
        json_object *was = scope_of(source->plan, slot), *against = against_of(source, slot), *scope = NULL;

        if (!was || json_object_deep_copy(was, &scope, NULL) < 0)
                return was ? -ENOMEM : -ENOENT;
        if (json_len(against) > 0)
                json_set(scope, "libraries_against", json_ref(against));
        else if (against)
                json_object_object_del(scope, "libraries_against");
        *ret = scope;
        return 0;
}

static int add_steps(Plan *p, const FinishSource *source, const Slot *slot, const PlanRequest *request) {
        static const StepType types[] = { STEP_PROVE_SAFE, STEP_SHOW_SAFE };
        _cleanup_json_ json_object *scopes = json_object_new_array();

        for (size_t k = 0; k <= request->n_others; k++) {
                json_object *scope = NULL;
                int r = scope_again(source, k == 0 ? slot : request->others[k - 1], &scope);
                if (r < 0)
                        return r;
                json_object_array_add(scopes, scope);
        }
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                for (size_t k = 0; k < json_len(scopes); k++) {
                        int r = plan_add_about_scope(p, types[i], json_at(scopes, k));
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* As far as it wrote down that all of it was. */
static bool was_erased(const FinishSource *source) {
        bool any = false;

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                json_object *notes = notes_of(source, n);
                bool sanitized = false;

                if (source->plan->steps[n].type != STEP_SANITIZE)
                        continue;
                for (size_t i = 0; i < json_len(notes); i++)
                        sanitized = sanitized || json_str(json_at(notes, i), "sanitized");
                if (!sanitized)
                        return false;
                any = true;
        }
        return any;
}

/* Its power is off: a card that has not erased itself by then does not do it for a request that comes after that. */
static void find_not_erased(Findings *f, const FinishSource *source, const Slot *slot) {
        if (!f->request->policy->sanitize || was_erased(source))
                return;
        json_object *o = finding(f, BLOCKER_NO_SANITIZE, true, "the card in slot %s has no power any more, and was not erased", slot->name);
        json_set_strf(o, "evidence", "removal %s, which this would finish, did not do that", source->id);
        finding_remedy(o, "safe-remove remove %s  # without --sanitize: the card keeps its data", slot->word);
}

static json_object *slots_json(const Slot *slot, const PlanRequest *request) {
        json_object *array = json_object_new_array();

        json_object_array_add(array, scope_slot_json(slot));
        for (size_t i = 0; i < request->n_others; i++)
                json_object_array_add(array, scope_slot_json(request->others[i]));
        return array;
}

int plan_finish(const Slot *slot, const PlanRequest *request, const FinishSource *source, Plan **ret) {
        Findings f = { .request = request, .blockers = json_object_new_array(), .warnings = json_object_new_array() };
        _cleanup_(plan_freep) Plan *p = NULL;

        int r = plan_new(&p);
        if (r < 0) {
                json_object_put(f.blockers);
                json_object_put(f.warnings);
                return r;
        }
        find_writers(&f);
        find_unread(&f);
        find_not_erased(&f, source, slot);
        json_set_str(p->doc, "verdict", plan_verdict_to_string(json_len(f.blockers) > 0 ? PLAN_BLOCKED : PLAN_READY));
        json_set_str(p->doc, "target", request->target);
        json_set_str(p->doc, "trigger", request->trigger);
        json_set_str(p->doc, "kind", "finish");
        json_set_str(p->doc, "of", source->id);
        json_set(p->doc, "since", json_ref(source->since));
        json_set(p->doc, "slot", scope_slot_json(slot));
        if (request->n_others > 0) {
                json_set(p->doc, "targets", json_ref(request->targets));
                json_set(p->doc, "slots", slots_json(slot, request));
        }
        json_set(p->doc, "card", json_ref(json_get(source->plan->doc, "card")));
        json_set(p->doc, "takes_down", json_object_new_object());
        json_set(p->doc, "blockers", f.blockers);
        json_set(p->doc, "warnings", f.warnings);
        json_set(p->doc, "holders", json_object_new_array());
        json_set_bool(p->doc, "holders_complete", true);
        r = add_steps(p, source, slot, request);
        if (r >= 0)
                r = plan_seal(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}
