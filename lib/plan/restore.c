/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order is the removal's, backwards, with a frame of its own: the slot is held (a press of its button must not power off what
 * is half made; the light blinks), and the kernel's policy for new memory blocks is off, so that each goes into the zone it was
 * in. Both are what a removal does too, seen from its end: reverting `release` holds the slot, reverting `hold` gives it back. */
#include <errno.h>

#include "plan/find/blockers.h"
#include "plan/planner.h"
#include "plan/restore.h"
#include "step/undo/region-moves.h"

/* Everything that has a name of a memory device in it is found by the key; its serial number, where it stands beside, with it. */
static void rename_memdevs(json_object *o, json_object *memdevs) {
        if (json_object_is_type(o, json_type_array))
                for (size_t i = 0; i < json_len(o); i++)
                        rename_memdevs(json_at(o, i), memdevs);
        if (!json_object_is_type(o, json_type_object))
                return;

        json_object_object_foreach(o, key, value) {
                (void) key;
                rename_memdevs(value, memdevs);
        }
        const char *was = json_str(o, "memdev");
        json_object *now = was ? json_get(memdevs, was) : NULL;
        if (!now)
                return;
        if (json_has(o, "serial"))
                json_set(o, "serial", json_ref(json_get(now, "serial")));
        json_set(o, "memdev", json_ref(json_get(now, "memdev")));
}

/* The slot's and the machine's are the frame's. A fence is gone with the device it stood around; who was frozen was thawed by the
 * removal itself, and is somebody else's if it is frozen now. A claim ended with its worker. */
static bool is_put_back(StepType type) {
        const StepOps *ops = step_ops(type);

        switch (type) {
        case STEP_HOLD:
        case STEP_TEST_LIGHTS:
        case STEP_RELEASE:
        case STEP_ANNOUNCE:
        case STEP_RUN_HOOKS:
        case STEP_AUTO_ONLINE:
        case STEP_FENCE_DAX:
        case STEP_FREEZE_HOLDERS:
        case STEP_CLAIM_DEVICES:
                return false;
        default:
                return ops && !ops->irreversible && ops->revert;
        }
}

static json_object *notes_of(const RestoreSource *source, size_t n) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", n);
        return json_array(source->notes, number);
}

static bool has_note(json_object *notes, const char *key) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_str(json_at(notes, i), key))
                        return true;
        return false;
}

/* Did step n have persistent data erased, as far as `key` of its notes: "began", "sanitized"? */
static bool has_erased(const RestoreSource *source, size_t n, const char *key) {
        const Step *step = &source->plan->steps[n];

        return step->type == STEP_SANITIZE && json_flag(step->args, "persistent") && has_note(notes_of(source, n), key);
}

/* Of any card. */
static bool was_erased(const RestoreSource *source, const char *key) {
        for (size_t n = 0; n < source->plan->n_steps; n++)
                if (has_erased(source, n, key))
                        return true;
        return false;
}

/* Was a card erased that this slot's power took along? `scope` is what the removal wrote down of the slot. */
static bool is_erased(const RestoreSource *source, json_object *scope) {
        json_object *memdevs = json_array(scope, "memdevs");

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                json_object *args = source->plan->steps[n].args;
                const char *memdev = json_str(args, "memdev"), *nmem = json_str(args, "nmem");

                if (!has_erased(source, n, "sanitized"))
                        continue;
                if (nmem && streq_ptr(nmem, json_str(scope, "slot")))
                        return true;
                for (size_t i = 0; memdev && i < json_len(memdevs); i++)
                        if (streq_ptr(memdev, json_str(json_at(memdevs, i), "name")) &&
                            streq_ptr(json_str(args, "serial"), json_str(json_at(memdevs, i), "serial")))
                                return true;
        }
        return false;
}

static bool has_dev(json_object *scope, const char *list, const char *dev) {
        return json_find(json_array(scope, list), "dev", dev);
}

static bool has_address(json_object *scope, json_object *of) {
        json_object *ranges = json_array(scope, "ranges");
        uint64_t start = json_u64(of, "start");

        for (size_t i = 0; of && i < json_len(ranges); i++)
                if (start >= json_u64(json_at(ranges, i), "start") && start - json_u64(json_at(ranges, i), "start") < json_u64(json_at(ranges, i), "size"))
                        return true;
        return false;
}

/* The numbers of character devices are others than those of block devices. */
static bool has_target(json_object *scope, json_object *target) {
        const char *kind = json_str(target, "kind"), *dev = json_str(target, "dev");

        return streq_ptr(kind, "fs") ? has_dev(scope, "file_systems", dev) :
               streq_ptr(kind, "block") ? has_dev(scope, "block_devices", dev) : has_dev(scope, "dax_devices", dev);
}

/* Does what the step takes down stand on the card of this slot, by whatever it is known by? */
static bool stands_on(json_object *args, json_object *scope) {
        static const char *const numbers[] = { "dev", "block_dev", "member_dev" };
        json_object *targets = json_array(args, "targets"), *ranges = json_array(args, "ranges");

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (has_dev(scope, "block_devices", json_str(args, numbers[i])) || has_dev(scope, "file_systems", json_str(args, numbers[i])))
                        return true;
        for (size_t i = 0; i < json_len(targets); i++)
                if (has_target(scope, json_at(targets, i)))
                        return true;
        for (size_t i = 0; i < json_len(ranges); i++)
                if (has_address(scope, json_at(ranges, i)))
                        return true;
        return has_dev(scope, "file_systems", json_str(json_get(args, "fs"), "dev")) || has_address(scope, json_get(args, "region")) ||
               has_address(scope, json_get(args, "nd_region"));
}

/* What stood on several cards is gone with one of them; so is what is nobody's by what was written down. */
static bool is_lost(const RestoreSource *source, const Step *step) {
        bool of_any = false;

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                json_object *scope = json_get(source->plan->steps[n].args, "scope");

                if (source->plan->steps[n].type != STEP_PROVE_SAFE || !stands_on(step->args, scope))
                        continue;
                if (is_erased(source, scope))
                        return true;
                of_any = true;
        }
        return !of_any;
}

/* Memory without content is there again after an erasure as well. What stood on content is not, nor does anybody start who used it: he would
 * find an empty folder, and begin anew in it. */
static bool outlives_erasure(const RestoreSource *source, const Step *step) {
        switch (step->type) {
        case STEP_OFFLINE_MEMORY:
        case STEP_UNPLUG_MEMORY:
        case STEP_DISABLE_DAX:
        case STEP_DISABLE_REGION:
        case STEP_DECOMMIT_REGION:
        case STEP_DELETE_REGION:
                return !streq_ptr(json_str(json_get(step->args, "region"), "mode"), "pmem") || !is_lost(source, step);
        case STEP_DISABLE_MEMDEV:
                return true;
        default:
                return !is_lost(source, step);
        }
}

/* What the removal has not come to, or has put back itself, may be another thing by now: who is stopped since may have been stopped by somebody. */
static bool is_down(const RestoreSource *source, size_t n) {
        char number[24];

        snprintf(number, sizeof(number), "%zu", n);
        return !source->turned_back || (n < source->n_begun && !json_flag(source->undone, number));
}

/* Whether step n is one that the restoration reverts. */
static bool is_taken(const RestoreSource *source, size_t n) {
        const Step *step = &source->plan->steps[n];

        return is_put_back(step->type) && is_down(source, n) && (!was_erased(source, "sanitized") || outlives_erasure(source, step));
}

static bool is_nothing_left(const RestoreSource *source) {
        for (size_t n = 0; n < source->plan->n_steps; n++)
                if (is_taken(source, n) && source->plan->steps[n].type != STEP_DISABLE_MEMDEV)
                        return false;
        return true;
}

/* "0x1, 0x2": the cards that began to erase themselves and, as far as is known, have `ended` it. NULL: none. */
static char *serials_of(const RestoreSource *source, bool ended) {
        char *all = NULL;

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                if (!has_erased(source, n, ended ? "sanitized" : "began") || (!ended && has_erased(source, n, "sanitized")))
                        continue;
                (void) text_add(&all, ", ", "%s", json_str(source->plan->steps[n].args, "serial") ?: "?");
        }
        return all;
}

static char *left_out(const RestoreSource *source) {
        char *all = NULL;

        for (size_t n = 0; n < source->plan->n_steps; n++) {
                const Step *step = &source->plan->steps[n];
                _cleanup_free_ char *does = NULL, *undo = NULL;
                if (!is_put_back(step->type) || is_taken(source, n))
                        continue;
                step_ops(step->type)->describe(step->args, &does, &undo);
                (void) text_add(&all, "; ", "%s (%s)", step_type_to_string(step->type), undo ?: "?");
        }
        return all;
}

/* What is not put back, and why. */
static void find_erased(Findings *f, const RestoreSource *source) {
        _cleanup_free_ char *ended = serials_of(source, true), *begun = serials_of(source, false), *out = ended ? left_out(source) : NULL;
        json_object *o;

        if (ended) {
                o = finding(f, BLOCKER_ERASED, false, "removal %s erased what was on the card (serial number %s): that is not put back", source->id, ended);
                json_set_strf(o, "evidence", "left out: %s", out ?: "nothing");
                finding_remedy(o, "safe-remove certificate %s  # says what was erased, and how that was seen", source->id);
        }
        if (begun) {
                o = finding(f, BLOCKER_ERASED, false, "removal %s had the card erase itself (serial number %s), and nobody knows how far it got", source->id,
                            begun);
                json_set_str(o, "evidence", "what is still there is put back");
                finding_remedy(o, "safe-remove certificate %s  # says what was erased, and how that was seen", source->id);
        }
}

static int add_step(Plan *p, const RestoreSource *source, size_t n, json_object *memdevs) {
        const Step *step = &source->plan->steps[n];
        json_object *args = NULL;

        if (json_object_deep_copy(step->args, &args, NULL) < 0)
                return -ENOMEM;
        rename_memdevs(args, memdevs);
        int r = plan_add_step(p, step->type, args);
        if (r < 0)
                return r;
        p->steps[p->n_steps - 1].notes = json_ref(notes_of(source, n));
        return 0;
}

static bool brings_memory(const Plan *removal) {
        for (size_t i = 0; i < removal->n_steps; i++)
                if (removal->steps[i].type == STEP_DISABLE_DAX || removal->steps[i].type == STEP_OFFLINE_MEMORY ||
                    removal->steps[i].type == STEP_UNPLUG_MEMORY)
                        return true;
        return false;
}

static int add_slots(Plan *p, const Scope *s, StepType type) {
        int r = 0;

        for (size_t i = 0; i < scope_n_slots(s) && r >= 0; i++)
                r = plan_add_slot_service(p, scope_slot(s, i), type);
        return r;
}

/* [[first, last], ...] of the card's memory blocks: whoever turns the policy on again takes others that have come meanwhile for somebody
 * else's, and these are as they were. */
static json_object *own_blocks(const Plan *removal) {
        json_object *blocks = json_array(json_get(removal->doc, "takes_down"), "blocks"), *runs = json_object_new_array(), *run = NULL;

        for (size_t i = 0; i < json_len(blocks); i++) {
                uint64_t id = json_u64(json_at(blocks, i), "id");
                if (!run || json_object_get_uint64(json_at(run, 1)) + 1 != id) {
                        run = json_object_new_array();
                        json_object_array_add(run, json_object_new_uint64(id));
                        json_object_array_add(runs, run);
                }
                json_object_array_put_idx(run, 1, json_object_new_uint64(id));
        }
        return runs;
}

/* The attention LED is on for the removal that got stuck, which is over with this. As it was before is as that removal has it. */
static void light_as_before(Step *hold, const Plan *removal) {
        for (size_t n = 0; n < removal->n_steps; n++) {
                json_object *was = removal->steps[n].args;
                if (removal->steps[n].type == STEP_HOLD && streq_ptr(json_str(was, "port"), json_str(hold->args, "port")))
                        json_set_str(hold->args, "attention_led", json_str(was, "attention_led"));
        }
}

/* Where a region stands elsewhere already, the plan says so. */
static int move_steps(Plan *p) {
        _cleanup_(region_moves_done) RegionMoves moves = { 0 };

        int r = region_moves_find(p->steps, p->n_steps, false, &moves);
        for (size_t i = 0; i < p->n_steps && r >= 0; i++) {
                json_object *args = p->steps[i].args, *notes = p->steps[i].notes;
                p->steps[i].args = region_moves_apply(&moves, args);
                p->steps[i].notes = region_moves_apply(&moves, notes);
                json_object_put(args);
                json_object_put(notes);
        }
        return r;
}

static int add_steps(Plan *p, const Topology *t, const Scope *s, const RestoreSource *source, json_object *memdevs) {
        const char *policy = brings_memory(source->plan) ? t->auto_online : NULL;
        size_t opened, closing;

        int r = add_slots(p, s, STEP_RELEASE);
        if (r >= 0)
                r = plan_add_auto_online(p, policy, "offline");
        opened = p->n_steps;
        for (size_t n = source->plan->n_steps; n > 0 && r >= 0; n--)
                if (is_taken(source, n - 1))
                        r = add_step(p, source, n - 1, memdevs);
        closing = p->n_steps;
        if (r >= 0)
                r = plan_add_auto_online(p, "offline", policy);
        if (r >= 0 && p->n_steps > closing)
                json_set(p->steps[closing].args, "own", own_blocks(source->plan));
        size_t holds = p->n_steps;
        if (r >= 0)
                r = add_slots(p, s, STEP_HOLD);
        for (size_t i = holds; i < p->n_steps && source->stuck; i++)
                light_as_before(&p->steps[i], source->plan);
        for (size_t i = 0; i < p->n_steps; i++)
                p->steps[i].frame = i < opened || i >= closing;
        return r < 0 ? r : move_steps(p);
}

static void add_head(Plan *p, const Slot *slot, const Scope *s, const PlanRequest *request, const RestoreSource *source) {
        json_set_str(p->doc, "kind", "restore");
        json_set_str(p->doc, "of", source ? source->id : NULL);
        json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_READY));
        json_set_str(p->doc, "target", request->target);
        json_set_str(p->doc, "trigger", request->trigger);
        json_set(p->doc, "slot", scope_slot_json(slot));
        if (s->n_others > 0)
                json_set(p->doc, "slots", scope_slots_json(s));
        json_set(p->doc, "card", scope_card_json(s));
        json_set(p->doc, "brings_back", source ? json_ref(json_get(source->plan->doc, "takes_down")) : NULL);
}

/* Why there is nothing to be put back, for a person; NULL when there is. */
static char *nothing(const Slot *slot, const Scope *s, const RestoreSource *source, const char **ret_code) {
        bool erased = !scope_is_empty(s) && source && was_erased(source, "sanitized") && is_nothing_left(source);

        *ret_code = scope_is_empty(s) ? "empty-slot" : erased ? "erased" : "no-removal";
        if (scope_is_empty(s))
                return strf("there is no card with power in slot %s", slot->name);
        if (erased)
                return strf("removal %s erased what was on the card: nothing of it can be put back", source->id);
        return source ? NULL : strf("no removal of the card in slot %s is on record", slot->name);
}

static int fill(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request, const RestoreSource *source) {
        Findings f = {
                .t = t, .s = s, .request = request,
                .blockers = json_object_new_array(), .warnings = json_object_new_array(),
        };
        const char *code = NULL;
        _cleanup_free_ char *why = nothing(s->slot, s, source, &code);
        int r = 0;

        json_set(p->doc, "blockers", f.blockers);
        json_set(p->doc, "warnings", f.warnings);
        find_policy_warnings(&f);
        if (why) {
                json_set_str(p->doc, "code", code);
                json_set_str(p->doc, "message", why);
                json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_NOTHING));
                return 0;
        }

        _cleanup_json_ json_object *memdevs = restore_memdevs(source->plan, t, s->slot);
        find_writers(&f);
        find_unread(&f);
        restore_find_blockers(&f, source->plan, json_get(p->doc, "card"), memdevs);
        restore_find_windows(&f, source->plan, memdevs);
        find_erased(&f, source);
        if (was_erased(source, "sanitized"))
                json_set_bool(p->doc, "erased", true);
        r = add_steps(p, t, s, source, memdevs);
        if (json_len(f.blockers) > 0)
                json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_BLOCKED));
        return r;
}

int plan_restoration(const Topology *t, const Slot *slot, const PlanRequest *request, const RestoreSource *source, Plan **ret) {
        _cleanup_(scope_done) Scope s = { 0 };
        _cleanup_(plan_freep) Plan *p = NULL;

        int r = scope_find_all(t, slot, request->others, request->n_others, &s);
        if (r >= 0)
                r = plan_new(&p);
        if (r < 0)
                return r;

        add_head(p, slot, &s, request, source);
        r = fill(p, t, &s, request, source);
        if (r >= 0)
                r = plan_seal(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}
