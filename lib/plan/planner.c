/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order, and why. The kernel neither waits for users nor refuses to go on: removing a memdev under an active region
 * resets the decoders first and tells the driver of the memory afterwards, and kmem leaks what is still online. So, by the
 * time anything calls a driver's ->remove(), nothing of it may be in use:
 *
 *      hold            the kernel's own clock stops, the card stays up whatever the button does; then the slots inside of this
 *                      one: a press there would power a card off in the middle of it, a card put in would be nobody's. They
 *                      are not released: the power-off takes their ports away, and a port that waits for the kernel's lock on
 *                      the bus while another one takes it away would have both wait for ever
 *      test-lights     a self-test's alone: while nothing is taken down yet
 *      announce        listeners get their time while everything still works, and those who have asked for more (inhibitor.h)
 *      run-hooks       so do the administrator's programs, which may object
 *      fence-dax       nobody opens the memory device anew
 *      sets            a path or member out of what goes on without it, where a daemon has it open for as long as it is one
 *      holders         frozen, so that nothing new appears between look and act, then ended by policy
 *      proof           nobody has a page of a file, which would be given to another one
 *      storage         from the top: file systems, swap, loop devices, volumes, arrays (plan-storage.c)
 *      proof           no page of memory that processes could map or pin is referenced any more (plan-pins.c)
 *      claims          whoever else in the kernel has a disk of it is in the way; from here nobody gets one (plan-devices.c)
 *      namespaces      and the nvdimm bus's regions: the driver goes when nothing is mounted, mapped or open
 *      auto-online off so that a way back puts each block into its own zone
 *      memory offline  per dax device, while the addresses decode
 *      dax disabled    kmem removes the blocks; /proc/iomem is clean from here
 *      regions         per region, highest address first (decoders are reset last in, first out): driver off, commit 0,
 *                      deleted, device memory of every interleave target freed
 *      auto-online     the administrator's choice is back; nothing of the card can appear any more
 *      holders thawed  those that were only held up, their memory has moved
 *      sanitize        where that is asked for: nothing decodes the card any more, and its memory device is still there to be asked. From
 *                      here on there is no way back then; the slot stays held, since it may take hours and a press must not end it
 *      memdev off      nothing stands on it
 *      release         pciehp is needed for the power
 *      ----            no way back from here; everything is asked once more
 *      power-off, prove-safe, show-safe; and of a self-test with power power-on. One without ends after "memdev off" and is undone
 *
 * Several cards in one request go the same way together: all slots are held first, then whatever stands on any of them is taken down from
 * the top, and at the end all powers go, all are proved, all lights are shown.
 */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/card-state.h"
#include "plan/find/blockers.h"
#include "plan/plan-hooks.h"
#include "plan/find/inhibitor.h"
#include "plan/plan-storage.h"
#include "plan/planner.h"
#include "plan/scope/scope.h"
#include "step/evict/hotplug-service.h"

static int add_announce(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        const Policy *policy = request->policy;
        json_object *delays = policy->ignore_inhibitors ? NULL : inhibitors_that_delay(request->inhibitors, t, s);

        if (policy->grace_usec == 0 && !delays)
                return 0;

        json_object *args = json_object_new_object();
        json_set_u64(args, "grace_sec", policy->grace_usec / USEC_PER_SEC);
        if (delays) {
                json_set_u64(args, "delay_sec", policy->inhibit_delay_usec / USEC_PER_SEC);
                json_set(args, "inhibitors", delays);
        }
        return plan_add_step(p, STEP_ANNOUNCE, args);
}

/* Only blocks that are online: one that the administrator keeps offline stays so on the way back. */
static int add_offline_blocks(Plan *p, const Topology *t, const DaxDevice *d, const Policy *policy) {
        json_object *args = json_object_new_object(), *blocks = json_object_new_array();
        const Node *node = NULL;
        size_t n = 0;

        for (size_t i = t->n_blocks; i > 0; i--) {
                const MemoryBlock *b = &t->blocks[i - 1];
                if (!b->online || !dax_has_span(d, b->start, t->block_size))
                        continue;
                json_object *o = json_object_new_object();
                json_set_u64(o, "id", b->id);
                json_set_str(o, "zone", zone_to_string(b->zone));
                json_object_array_add(blocks, o);
                node = topology_node(t, b->node);
                n++;
        }

        json_set_str(args, "dax", d->name);
        json_set(args, "region", dax_region_json(t, d));
        json_set_u64(args, "node", node ? (uint64_t) node->id : 0);
        json_set_u64(args, "block_size", t->block_size);
        json_set(args, "blocks", blocks);
        if (policy->force_poison)
                json_set_bool(args, "poison", true);
        if (n == 0) {
                json_object_put(args);
                return 0;
        }
        return plan_add_step(p, STEP_OFFLINE_MEMORY, args);
}

static int add_unplug(Plan *p, const Topology *t, const DaxDevice *d, const Policy *policy) {
        if (streq(d->state, "unplugged"))
                return 0;

        json_object *args = json_object_new_object();
        json_set_str(args, "dax", d->name);
        json_set_u64(args, "start", d->start);
        json_set_str(args, "was", d->state);
        json_set(args, "region", dax_region_json(t, d));
        json_set_u64(args, "n_blocks", t->block_size ? d->size / t->block_size : 1);
        if (policy->force_poison)
                json_set_bool(args, "poison", true);
        return plan_add_step(p, STEP_UNPLUG_MEMORY, args);
}

static int add_disable_dax(Plan *p, const Topology *t, const DaxDevice *d, const Policy *policy) {
        if (!d->driver)
                return 0;

        json_object *args = json_object_new_object();
        json_set_str(args, "dax", d->name);
        json_set_str(args, "driver", d->driver);
        json_set_u64(args, "start", d->start);
        json_set_u64(args, "size", d->size);
        /* Of a device with one range its start and size say all. */
        if (d->n_ranges > 1)
                json_set(args, "ranges", dax_ranges_json(d));
        json_set(args, "region", dax_region_json(t, d));
        if (policy->force_unmap && dax_is_mapped(d))
                json_set_bool(args, "force", true);
        return plan_add_step(p, STEP_DISABLE_DAX, args);
}

static int add_daxes(Plan *p, const Topology *t, const Scope *s, const Policy *policy) {
        int r = 0;

        /* All memory first, then the drivers: a block may hold data about its siblings (memory cgroups, page extensions). */
        for (size_t i = 0; i < s->n_daxes && r >= 0; i++)
                r = s->daxes[i]->state ? add_unplug(p, t, s->daxes[i], policy) : add_offline_blocks(p, t, s->daxes[i], policy);
        /* Those of namespaces went with their namespace. */
        for (size_t i = 0; i < s->n_daxes && r >= 0; i++)
                r = s->daxes[i]->nd_region ? 0 : add_disable_dax(p, t, s->daxes[i], policy);
        return r;
}

static json_object *dax_json(const DaxDevice *d) {
        const char *id = strchr(d->name, '.');
        json_object *o = json_object_new_object();

        json_set_u64(o, "id", id ? strtoull(id + 1, NULL, 10) : 0);
        json_set_str(o, "driver", d->driver);
        json_set(o, "ranges", dax_ranges_json(d));
        if (d->align > 0)
                json_set_u64(o, "align", d->align);
        if (d->memmap_on_memory)
                json_set_bool(o, "memmap_on_memory", streq(d->memmap_on_memory, "1"));
        return o;
}

/* Those that somebody has made, which go with the region. */
static void set_daxes(json_object *args, const Topology *t, const Region *region) {
        json_object *daxes = json_object_new_array();
        bool all_the_kernels = true;

        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                if (!streq_ptr(d->region, region->name) || d->n_ranges == 0)
                        continue;
                json_object_array_add(daxes, dax_json(d));
                /* What the kernel makes of a region is one device with all of it, for kmem (drivers/dax/cxl.c:cxl_dax_region_probe). */
                if (d->n_ranges != 1 || d->start != region->start || d->size != region->size || !d->driver || d->align != 0 ||
                    streq_ptr(d->memmap_on_memory, "0"))
                        all_the_kernels = false;
        }
        if (all_the_kernels)
                json_object_put(daxes);
        else
                json_set(args, "daxes", daxes);
}

static int add_region(Plan *p, const Topology *t, const Region *region) {
        static const StepType types[] = { STEP_DISABLE_REGION, STEP_DECOMMIT_REGION, STEP_DELETE_REGION };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                if (types[i] == STEP_DISABLE_REGION && !region->driver)
                        continue;
                if (types[i] == STEP_DECOMMIT_REGION && !region->committed)
                        continue;
                json_object *args = json_object_new_object();
                json_set(args, "region", region_step_json(region));
                if (types[i] == STEP_DISABLE_REGION)
                        set_daxes(args, t, region);
                int r = plan_add_step(p, types[i], args);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Every memory device of the cards; where it has no command for it, find-sanitize.c says so. */
static int add_sanitize_one(Plan *p, const char *key, const char *device, const char *serial, const char *method, uint64_t bytes, bool persistent) {
        json_object *args = json_object_new_object();

        json_set_str(args, key, device);
        json_set_str(args, "serial", serial);
        json_set_str(args, "method", method);
        json_set_u64(args, "bytes", bytes);
        json_set_bool(args, "persistent", persistent);
        return plan_add_step(p, STEP_SANITIZE, args);
}

static int add_sanitize(Plan *p, const Scope *s, const Policy *policy) {
        int r = 0;

        for (size_t i = 0; policy->sanitize && i < s->n_memdevs && r >= 0; i++) {
                const Memdev *m = s->memdevs[i];
                _cleanup_free_ char *serial = strf("0x%jx", (uintmax_t) m->serial);
                r = add_sanitize_one(p, "memdev", m->name, serial, m->sanitizes || !m->erases ? "sanitize" : "secure-erase",
                                     m->ram_size + m->pmem_size, m->keeps_data);
        }
        for (size_t i = 0; policy->sanitize && i < s->n_nmems && r >= 0; i++)
                if (!s->nmems[i]->memdev)
                        r = add_sanitize_one(p, "nmem", s->nmems[i]->name, s->nmems[i]->id ?: "", "overwrite", 0, true);
        return r;
}

static int add_memdevs(Plan *p, const Scope *s) {
        for (size_t i = 0; i < s->n_memdevs; i++) {
                if (!s->memdevs[i]->driver)
                        continue;
                json_object *args = json_object_new_object();
                json_set_str(args, "memdev", s->memdevs[i]->name);
                json_set_strf(args, "serial", "0x%jx", (uintmax_t) s->memdevs[i]->serial);
                int r = plan_add_step(p, STEP_DISABLE_MEMDEV, args);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* After a step that cannot be undone a second press changes nobody's mind any more. */
static int add_releases(Plan *p, const Scope *s) {
        bool late = plan_first_irreversible(p) < p->n_steps;
        int r = 0;

        for (size_t i = 0; i < scope_n_slots(s) && r >= 0; i++) {
                size_t before = p->n_steps;
                r = plan_add_slot_service(p, scope_slot(s, i), STEP_RELEASE);
                if (r >= 0 && late && p->n_steps > before)
                        json_set_bool(p->steps[before].args, "no_way_back", true);
        }
        return r;
}

static const StepType tail[] = { STEP_POWER_OFF, STEP_PROVE_SAFE, STEP_SHOW_SAFE };

static int add_tail(Plan *p, const Topology *t, const Scope *s) {
        _cleanup_json_ json_object *scope = scope_probe_json(s, t);

        for (size_t i = 0; i < ELEMENTSOF(tail); i++) {
                /* An NVDIMM's socket has neither switch nor light: the proof is all there is to end with. */
                if (s->slot->nmem && tail[i] != STEP_PROVE_SAFE)
                        continue;
                int r = plan_add_about_scope(p, tail[i], scope);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* No light before all are proved: it was one request, and has one answer. */
static int add_tails(Plan *p, const Topology *t, const Scope *s) {
        _cleanup_json_ json_object *scopes = json_object_new_array();
        int r = 0;

        for (size_t i = 0; i < scope_n_slots(s) && r >= 0; i++) {
                _cleanup_(scope_done) Scope part = { 0 };
                r = scope_part(s, i, &part);
                if (r >= 0)
                        json_object_array_add(scopes, scope_probe_json(&part, t));
        }
        for (size_t i = 0; i < ELEMENTSOF(tail); i++)
                for (size_t k = 0; k < scope_n_slots(s) && r >= 0; k++)
                        r = plan_add_about_scope(p, tail[i], json_at(scopes, k));
        return r;
}

static int add_holds(Plan *p, const Topology *t, const Scope *s) {
        int r = 0;

        for (size_t i = 0; i < scope_n_slots(s) && r >= 0; i++) {
                r = plan_add_slot_service(p, scope_slot(s, i), STEP_HOLD);
                for (size_t k = 0; k < s->n_inner && r >= 0; k++)
                        if (topology_slot_is_within(t, s->inner[k]->name, scope_slot(s, i)))
                                r = plan_add_slot_service(p, s->inner[k], STEP_HOLD);
        }
        return r;
}

/* The slots that are shown safe from step i on, up to the plan's end: without power still when the first of them gets its own. */
static json_object *still_dark(const Plan *p, size_t i, size_t n) {
        static const char *const keys[] = { "slot", "port", "address" };
        json_object *slots = json_object_new_array();

        for (; i < n; i++) {
                json_object *slot = json_object_new_object();
                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        json_set_str(slot, keys[k], json_str(json_get(p->steps[i].args, "scope"), keys[k]));
                json_object_array_add(slots, slot);
        }
        return slots;
}

/* After all lights are shown. */
static int add_power_on(Plan *p) {
        size_t n = p->n_steps;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                if (p->steps[i].type != STEP_SHOW_SAFE)
                        continue;
                r = plan_add_about_scope(p, STEP_POWER_ON, json_get(p->steps[i].args, "scope"));
                if (r >= 0)
                        json_set(p->steps[p->n_steps - 1].args, "slots", still_dark(p, i, n));
        }
        return r;
}

/* What the slot has, for the report too. */
static int add_test_lights(Plan *p, const Slot *slot) {
        const SlotRegisters *s = &slot->registers;
        json_object *args;

        if (!slot->service || !slot->has_registers)
                return 0;
        args = hotplug_service_args(slot->port, slot->service, s);
        json_set_str(args, "slot", slot->name);
        json_set_u64(args, "number", s->number);
        json_set_bool(args, "attention_button", s->has_attention_button);
        json_set_bool(args, "power_controller", s->has_power_controller);
        json_set_bool(args, "power_indicator", s->has_power_indicator);
        json_set_bool(args, "attention_indicator", s->has_attention_indicator);
        json_set_bool(args, "link_reported", s->has_link_active);
        return plan_add_step(p, STEP_TEST_LIGHTS, args);
}

static int add_end(Plan *p, const Topology *t, const Scope *s, const Policy *policy) {
        if (policy->self_test && !policy->self_test_power)
                return 0;
        int r = add_releases(p, s);
        if (r >= 0)
                r = s->n_others > 0 ? add_tails(p, t, s) : add_tail(p, t, s);
        return r >= 0 && policy->self_test_power ? add_power_on(p) : r;
}

static int add_steps(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        const char *policy = NULL;

        /* Is anything of the card the kernel's own memory, or could become it? On a way back every device of a volatile region does for a
         * moment (step-disable-dax.c). */
        for (size_t i = 0; i < s->n_daxes; i++)
                if (!s->daxes[i]->nd_region)
                        policy = t->auto_online;
        int r = add_holds(p, t, s);
        for (size_t i = 0; i < scope_n_slots(s) && request->policy->self_test && r >= 0; i++)
                r = add_test_lights(p, scope_slot(s, i));
        if (r >= 0)
                r = add_announce(p, t, s, request);
        if (r >= 0)
                r = plan_add_hooks(p, request->policy);
        if (r >= 0)
                r = plan_add_storage(p, t, s, request);
        if (r >= 0)
                r = plan_add_proof(p, s, request);
        if (r >= 0)
                r = plan_add_claims(p, t, s, request);
        if (r >= 0)
                r = plan_add_namespaces(p, t, s, request);
        if (r >= 0)
                r = plan_add_auto_online(p, "offline", policy);
        if (r >= 0)
                r = add_daxes(p, t, s, request->policy);
        for (size_t i = 0; i < s->n_regions && r >= 0; i++)
                r = add_region(p, t, s->regions[i]);
        if (r >= 0)
                r = plan_add_auto_online(p, policy, "offline");
        if (r >= 0)
                r = plan_add_thaw(p);
        if (r >= 0)
                r = add_sanitize(p, s, request->policy);
        if (r >= 0)
                r = add_memdevs(p, s);
        return r < 0 ? r : add_end(p, t, s, request->policy);
}

static void add_head(Plan *p, const Slot *slot, const PlanRequest *request) {
        json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_READY));
        json_set_str(p->doc, "target", request->target);
        if (request->targets)
                json_set(p->doc, "targets", json_ref(request->targets));
        json_set_str(p->doc, "trigger", request->trigger);
        if (request->policy->self_test)
                json_set_str(p->doc, "self_test", request->policy->self_test_power ? "power" : "held");
        json_set(p->doc, "slot", scope_slot_json(slot));
}

/* What they say is no part of the plan: it may come late, or not at all. */
static void ask_card(const Scope *s, const PlanRequest *request) {
        _cleanup_json_ json_object *question = request->ask_card && !*request->ask_card ? scope_card_question(s) : NULL;

        if (question)
                (void) card_state_ask(question, request->ask_card);
}

int plan_removal(const Topology *t, const Slot *slot, const PlanRequest *request, Plan **ret) {
        _cleanup_(scope_done) Scope s = { 0 };
        _cleanup_(plan_freep) Plan *p = NULL;
        bool blocked = false;

        int r = scope_find_all(t, slot, request->others, request->n_others, &s);
        if (r >= 0)
                r = plan_new(&p);
        if (r < 0)
                return r;

        ask_card(&s, request);
        add_head(p, slot, request);
        if (s.n_others > 0)
                json_set(p->doc, "slots", scope_slots_json(&s));
        json_set(p->doc, "card", scope_card_json(&s));
        json_set(p->doc, "takes_down", scope_takes_down_json(&s, t));

        /* A button's removal holds an empty slot too, and then gives it back: so the steps of "nothing" are the hold alone. */
        bool empty = scope_is_empty(&s);
        r = empty ? plan_add_slot_service(p, slot, STEP_HOLD) : add_steps(p, t, &s, request);
        if (r >= 0)
                r = plan_add_blockers(p, t, &s, request, &blocked);
        if (r < 0)
                return r;

        json_set_str(p->doc, "verdict", plan_verdict_to_string(blocked ? PLAN_BLOCKED : empty ? PLAN_NOTHING : PLAN_READY));
        r = plan_seal(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int plan_hold(const Slot *slot, const PlanRequest *request, Plan **ret) {
        _cleanup_(plan_freep) Plan *p = NULL;

        int r = plan_new(&p);
        if (r < 0)
                return r;
        add_head(p, slot, request);
        r = plan_add_slot_service(p, slot, STEP_HOLD);
        if (r >= 0)
                r = plan_seal(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int plan_add_slot_service(Plan *p, const Slot *slot, StepType type) {
        if (!slot->service)
                return 0;

        return plan_add_step(p, type, hotplug_service_args(slot->port, slot->service, type == STEP_HOLD ? &slot->registers : NULL));
}

int plan_add_about_scope(Plan *p, StepType type, json_object *scope) {
        json_object *args = json_object_new_object();

        json_set(args, "scope", json_ref(scope));
        return plan_add_step(p, type, args);
}

int plan_add_auto_online(Plan *p, const char *value, const char *was) {
        if (streq_ptr(value, was) || !value || !was)
                return 0;

        json_object *args = json_object_new_object();
        json_set_str(args, "value", value);
        json_set_str(args, "was", was);
        /* Whoever turns it on again has to know what there was when it was turned off. */
        for (size_t i = 0; i < p->n_steps && !streq(value, "offline"); i++)
                if (p->steps[i].type == STEP_AUTO_ONLINE && streq_ptr(json_str(p->steps[i].args, "value"), was))
                        json_set_u64(args, "of", i);
        return plan_add_step(p, STEP_AUTO_ONLINE, args);
}
