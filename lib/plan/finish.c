/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal that got stuck at the proof has done everything but the light. Once its reason is gone nobody has to do more than ask
 * again: what the steps are asked about is what that removal wrote down while the card was there. */
#include <errno.h>

#include "plan/find/blockers.h"
#include "plan/finish.h"
#include "plan/planner.h"

/* What the removal wrote down of this slot; a removal of one slot has nothing about another. */
static json_object *scope_of(const Plan *removal, const Slot *slot) {
        for (size_t i = removal->n_steps; i-- > 0;) {
                json_object *scope = json_get(removal->steps[i].args, "scope");
                if (removal->steps[i].type == STEP_SHOW_SAFE && (plan_n_slots(removal) == 1 || streq_ptr(json_str(scope, "port"), slot->port)))
                        return scope;
        }
        return NULL;
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

/* The last answer of the probe among these notes, newest last. 1: there is one; *ret is what a library had against the card then, or NULL. */
static int libraries_in(json_object *notes, const char **ret) {
        for (size_t i = json_len(notes); i-- > 0;) {
                json_object *note = json_at(notes, i), *probes = json_array(note, "probes");
                *ret = json_flag(note, "contradicts") ? json_str(note, "later") : NULL;
                if (*ret)
                        return 1;
                for (size_t k = 0; k < json_len(probes); k++) {
                        json_object *probe = json_at(probes, k);
                        if (!streq_ptr(json_str(probe, "name"), "libraries"))
                                continue;
                        *ret = json_flag(probe, "holds") ? NULL : json_str(probe, "answer");
                        return 1;
                }
        }
        return 0;
}

/* What that removal asked about, and what a library said then: it stands here too, until that library takes it back. *ret is the caller's. */
static int scope_again(const FinishSource *source, const Slot *slot, json_object **ret) {
        json_object *was = scope_of(source->plan, slot), *scope = NULL;
        const char *said = NULL;
        int found = 0;

        if (!was || json_object_deep_copy(was, &scope, NULL) < 0)
                return was ? -ENOMEM : -ENOENT;
        for (size_t n = source->plan->n_steps; n-- > 0 && found == 0;) {
                char number[24];
                snprintf(number, sizeof(number), "%zu", n);
                json_object *of = json_get(source->plan->steps[n].args, "scope");
                if (of && streq_ptr(json_str(of, "port"), json_str(was, "port")))
                        found = libraries_in(json_array(source->notes, number), &said);
        }
        if (said)
                json_set_str(scope, "libraries_against", said);
        else if (found)
                json_object_object_del(scope, "libraries_against");
        *ret = scope;
        return 0;
}

static int add_steps(Plan *p, const FinishSource *source, const Slot *slot, const PlanRequest *request) {
        static const StepType types[] = { STEP_PROVE_SAFE, STEP_SHOW_SAFE };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                for (size_t k = 0; k <= request->n_others; k++) {
                        _cleanup_json_ json_object *scope = NULL;
                        int r = scope_again(source, k == 0 ? slot : request->others[k - 1], &scope);
                        if (r >= 0)
                                r = plan_add_about_scope(p, types[i], scope);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* As far as it wrote down that all of it was. */
static bool was_erased(const FinishSource *source) {
        bool any = false;

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                bool sanitized = false;
                char number[24];

                if (source->plan->steps[n].type != STEP_SANITIZE)
                        continue;
                snprintf(number, sizeof(number), "%zu", n);
                json_object *notes = json_array(source->notes, number);
                for (size_t i = 0; i < json_len(notes); i++)
                        sanitized = sanitized || json_str(json_at(notes, i), "sanitized");
                if (!sanitized)
                        return false;
                any = true;
        }
        return any;
}

/* Its power is off: a card that has not erased itself by then does not do it for a request that comes behind. */
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
