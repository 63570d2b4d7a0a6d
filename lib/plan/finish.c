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

json_object *finish_scope(const Plan *plan, const Slot *slot) {
        for (size_t n = plan->n_steps; n-- > 0;)
                if (plan->steps[n].type == STEP_SHOW_SAFE && scope_in(plan, n, slot))
                        return scope_in(plan, n, slot);
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
        return !has_power_or_light(slot) && finish_scope(removal, slot);
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

/* Of a range nobody asks who says so ("why"): that is another one while the card goes. */
static bool is_same(json_object *a, json_object *b) {
        if (!json_has(a, "start") || !json_has(b, "start"))
                return json_object_equal(a, b);
        return json_u64(a, "start") == json_u64(b, "start") && json_u64(a, "size") == json_u64(b, "size") &&
               json_flag(a, "goes_with_power") == json_flag(b, "goes_with_power");
}

static bool has(json_object *array, json_object *item) {
        for (size_t i = 0; i < json_len(array); i++)
                if (is_same(json_at(array, i), item))
                        return true;
        return false;
}

/* The members of an array that another one has as well, or those that it has not. New reference. */
static json_object *members(json_object *array, json_object *other, bool in_both) {
        json_object *found = json_object_new_array();

        for (size_t i = 0; i < json_len(array); i++)
                if (has(other, json_at(array, i)) == in_both)
                        json_object_array_add(found, json_ref(json_at(array, i)));
        return found;
}

static void add_all(json_object *scope, const char *key, json_object *more) {
        _cleanup_json_ json_object *missing = members(more, json_array(scope, key), false);

        if (json_len(missing) > 0 && !json_array(scope, key))
                json_set(scope, key, json_object_new_array());
        for (size_t i = 0; i < json_len(missing); i++)
                json_object_array_add(json_array(scope, key), json_ref(json_at(missing, i)));
}

/* What a scope lists of its card. */
static const char *const lists[] = {
        "functions", "memdevs", "ranges", "dax_devices", "block_devices", "file_systems", "gone", "volumes", "goes_on", "inner",
};

bool finish_is_later(const Plan *plan, const Slot *slot, json_object *seen, uint64_t began_usec, uint64_t ended_usec) {
        json_object *was = finish_scope(plan, slot), *scope = json_get(seen, "scope");
        uint64_t usec = json_u64(seen, "seen_usec") ?: UINT64_MAX;
        bool all = true;

        for (size_t i = 0; i < ELEMENTSOF(lists) && all; i++) {
                _cleanup_json_ json_object *more = members(json_array(scope, lists[i]), json_array(was, lists[i]), false);
                all = json_len(more) == 0;
        }
        return usec > began_usec && (usec > ended_usec || !all);
}

static bool had_disks_perhaps(json_object *scope) {
        return json_len(json_array(scope, "functions")) > json_len(json_array(scope, "memdevs")) && !json_flag(scope, "without_disks");
}

/* A card that has been in the slot since has to be gone as the removal's has. What was gone before the removal, or was not understood then, is none
 * of the removal's card; of a later one it may be. */
static void add_seen(json_object *scope, json_object *seen) {
        /* Before the lists are one. */
        if (had_disks_perhaps(scope) || had_disks_perhaps(seen))
                json_set_bool(scope, "with_disks", true);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                add_all(scope, lists[i], json_array(seen, lists[i]));
        if (json_array(scope, "gone_before"))
                json_set(scope, "gone_before", members(json_array(scope, "gone_before"), json_array(seen, "gone"), false));
        if (json_array(scope, "not_understood"))
                json_set(scope, "not_understood", members(json_array(scope, "not_understood"), json_array(seen, "not_understood"), true));
        if (json_flag(seen, "memory_unknown"))
                json_set_bool(scope, "memory_unknown", true);
}

/* What that removal asked about, and what the libraries said then: it stands here too, until they take it back. *ret is the caller's. */
static int scope_again(const FinishSource *source, const Slot *slot, json_object **ret) {
        json_object *was = finish_scope(source->plan, slot), *against = against_of(source, slot), *scope = NULL;

        if (!was || json_object_deep_copy(was, &scope, NULL) < 0)
                return was ? -ENOMEM : -ENOENT;
        if (json_len(against) > 0)
                json_set(scope, "libraries_against", json_ref(against));
        else if (against)
                json_object_object_del(scope, "libraries_against");
        for (size_t i = 0; i < json_len(source->seen); i++)
                if (restore_is_same_place(json_at(source->seen, i), slot))
                        add_seen(scope, json_at(source->seen, i));
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

/* Closed world: of a card that may have been in the slot since, nobody can say that it is gone. */
static void find_seen_unread(Findings *f, const FinishSource *source) {
        for (size_t i = 0; i < json_len(source->unread); i++) {
                json_object *unread = json_at(source->unread, i), *o;
                const char *path = json_str(unread, "path") ?: "?";

                o = finding(f, BLOCKER_RECORD_UNREAD, true, "what was seen last in slot %s cannot be read, so whether another card has been in it is not "
                            "known", json_str(unread, "slot"));
                json_set_strf(o, "evidence", "%s: %s", path, json_str(unread, "why") ?: "?");
                finding_remedy(o, "rm %s  # what such a card has left is looked for without it", path);
        }
}

/* It left no address that could be asked about (lib/probe/scope.c: scope_is_blind()), and those of the removal's card would answer for it. */
static void find_seen_blind(Findings *f, const FinishSource *source) {
        for (size_t i = 0; i < json_len(source->seen); i++) {
                json_object *seen = json_at(source->seen, i), *ranges = json_array(seen, "ranges"), *o;
                bool memory = false;

                for (size_t k = 0; k < json_len(ranges); k++)
                        memory = memory || !json_flag(json_at(ranges, k), "goes_with_power");
                if (memory || (!json_flag(seen, "memory_unknown") && (json_len(ranges) > 0 || json_len(json_array(seen, "memdevs")) == 0)))
                        continue;
                o = finding(f, BLOCKER_MEMORY_UNKNOWN, true, "a memory card has been in slot %s since, and where its memory was is not known",
                            json_str(seen, "slot"));
                json_set_strf(o, "evidence", "it was in the slot after removal %s, which this would finish, had begun", source->id);
                finding_remedy(o, "shutdown -r now  # what is left of it cannot be found out; leave the card in until then");
        }
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
        find_seen_unread(&f, source);
        find_seen_blind(&f, source);
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
