/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/span.h"
#include "kernel/memory/memory-block.h"
#include "kernel/process/command.h"
#include "plan/find/blockers.h"

static bool decodes_for(const Region *r, const Decoder *d) {
        if (d->kind == DECODER_ROOT)
                return streq(d->name, r->root_decoder);
        if (d->kind == DECODER_SWITCH)
                return d->committed && span_overlaps(r->start, r->size, d->start, d->size);
        for (size_t i = 0; i < r->n_targets; i++)
                if (streq(d->name, r->targets[i].decoder))
                        return true;
        return false;
}

/* drivers/cxl/core/region.c:cxl_extended_linear_cache_resize: such a region is the firmware's, whose halves change places with each other in
 * the hardware. It goes with memory that is not the card's, and nobody can make it again. */
static void find_cached(Findings *f, const Region *r) {
        if (r->cache_size == 0)
                return;
        json_object *o = finding(f, BLOCKER_LOCKED, true, "%s has a cache in the machine's own memory, which the firmware set up and the kernel "
                                 "cannot take apart", r->name);
        json_set_strf(o, "evidence", "/sys/bus/cxl/devices/%s/extended_linear_cache_size: %ju MiB", r->name, (uintmax_t) (r->cache_size >> 20));
        finding_remedy(o, "systemctl poweroff  # this card can only be taken out while the machine is off");
}

/* One that is locked locks all of the region: newer kernels refuse to take it back, older ones believe that they did. */
static void find_locked(Findings *f, const Region *r) {
        const char *by = r->locked ? r->name : NULL;

        for (size_t i = 0; i < f->t->n_decoders && !by; i++)
                if (f->t->decoders[i].locked && decodes_for(r, &f->t->decoders[i]))
                        by = f->t->decoders[i].name;
        if (!by)
                return;
        json_object *o = finding(f, BLOCKER_LOCKED, true, "%s has decoders that the firmware has locked", r->name);
        json_set_strf(o, "evidence", "/sys/bus/cxl/devices/%s/locked reads 1", by);
        finding_remedy(o, "systemctl poweroff  # this card can only be taken out while the machine is off");
}

/* A region that cannot be followed to its cards could stand on this one: better no removal than half of one. */
static void find_unknown_targets(Findings *f) {
        for (size_t i = 0; i < f->t->n_regions; i++) {
                const Region *r = &f->t->regions[i];
                size_t known = 0;

                for (size_t j = 0; j < r->n_targets; j++)
                        known += r->targets[j].memdev && topology_memdev(f->t, r->targets[j].memdev);
                bool idle = !r->committed && !SCOPE_HAS(f->s, regions, r);
                if (idle || known == r->ways)
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "%s has targets that cannot be followed to a card", r->name);
                json_set_strf(o, "evidence", "%zu of %u targets in /sys/bus/cxl/devices/%s belong to a known memdev", known, r->ways, r->name);
                finding_remedy(o, "cxl list -R -r %s -T  # its cards; one without a memory device needs its driver (cxl_pci)", r->name);
        }
}

void find_policy_warnings(Findings *f) {
        json_object *lines = f->request->policy_warnings;

        for (size_t i = 0; i < json_len(lines); i++)
                (void) finding(f, BLOCKER_POLICY, false, "%s", json_object_get_string(json_at(lines, i)));
}

static bool asked_before(const Plan *p, size_t n, const char *program) {
        for (size_t i = 0; i < n; i++) {
                const StepOps *ops = step_ops(p->steps[i].type);
                if (ops->program && streq_ptr(ops->program(p->steps[i].args), program))
                        return true;
        }
        return false;
}

/* The system's programs that steps are done with: one that is not installed is told before anybody is ended for the sake of a removal that would
 * fail there. */
static void find_programs(Findings *f, const Plan *p) {
        for (size_t i = 0; i < p->n_steps; i++) {
                const StepOps *ops = step_ops(p->steps[i].type);
                const char *program = ops->program ? ops->program(p->steps[i].args) : NULL;
                if (!program || asked_before(p, i, program) || command_exists(program))
                        continue;

                _cleanup_free_ char *does = NULL, *undo = NULL;
                ops->describe(p->steps[i].args, &does, &undo);
                json_object *o = finding(f, BLOCKER_NO_PROGRAM, true, "the step %s needs %s, which is not installed",
                                         step_type_to_string(p->steps[i].type), program);
                json_set_strf(o, "evidence", "step %zu: %s", i + 1, does ?: "?");
                /* As Debian calls the package, where that has another name. */
                finding_remedy(o, "apt-get install %s  # on Debian; elsewhere the package that has %s", streq(program, "lvchange") ? "lvm2" : program,
                               program);
        }
}

static int find_all(Findings *f, Plan *p) {
        find_writers(f);
        find_unread(f);
        if (!scope_is_empty(f->s)) {
                find_inhibitors(f);
                /* First, since what is said about kernel zones could be forced. */
                int r = find_foreign_memmap(f);
                find_kernel_zone(f);
                if (r >= 0)
                        r = find_room(f);
                if (r >= 0)
                        r = find_memory_use(f, p->doc);
                if (r >= 0)
                        r = find_under_way(f);
                if (r < 0)
                        return r;
                find_addresses(f);
                find_stray_memory(f);
                for (size_t i = 0; i < f->s->n_regions; i++) {
                        find_locked(f, f->s->regions[i]);
                        find_cached(f, f->s->regions[i]);
                }
                find_unknown_targets(f);
                find_drivers(f);
                find_slot(f);
                r = find_storage(f);
                if (r < 0)
                        return r;
                find_kernel_users(f);
                find_card(f);
                find_shutdown(f);
                find_sanitize(f);
                find_programs(f, p);
                find_hooks(f);
                find_libraries(f);
        }
        find_odd(f);
        find_policy_warnings(f);
        int r = find_holders(f, p->doc);
        if (r >= 0 && f->request->policy->self_test)
                find_idle(f, p);
        return r;
}

int plan_add_blockers(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request, bool *ret_blocked) {
        _cleanup_(scope_done) Scope all = { 0 };
        Findings f = {
                .t = t, .s = s, .request = request,
                .blockers = json_object_new_array(), .warnings = json_object_new_array(),
        };

        json_set(p->doc, "blockers", f.blockers);
        json_set(p->doc, "warnings", f.warnings);

        int r = request->n_under_way > 0 ? scope_find_with_under_way(t, s, request, &all) : 0;
        if (r < 0)
                return r;
        f.all = request->n_under_way > 0 ? &all : NULL;
        find_holders_begin(&f);
        r = find_all(&f, p);
        find_holders_end(&f);
        if (r < 0)
                return r;
        *ret_blocked = json_len(f.blockers) > 0;
        return 0;
}

/* None of the card's memory is there yet: which zone it will be in. */
static void find_zone_to_come(Findings *f) {
        const char *policy = f->t->auto_online;
        uint64_t ram = 0;

        for (size_t i = 0; i < f->s->n_memdevs; i++)
                ram += f->s->memdevs[i]->ram_size;
        if (ram == 0 || findings_bytes_going(f) > 0 || !policy || streq(policy, "offline") || streq(policy, "online_movable"))
                return;
        json_object *o = finding(f, BLOCKER_ZONE_NORMAL, false, "memory that is added comes up in a kernel zone, and so will the card's");
        json_set_strf(o, "evidence", AUTO_ONLINE_PATH " reads %s", policy);
        finding_remedy(o, "echo online_movable > " AUTO_ONLINE_PATH "  # before a region is made on it");
}

/* Those of them that are about memory which nobody can take back, whatever its users do. */
static void take_stays(json_object *from, bool hard, json_object *to) {
        static const BlockerCode codes[] = { BLOCKER_ZONE_NORMAL, BLOCKER_SYSTEM_RAM, BLOCKER_LOCKED, BLOCKER_FOREIGN_MEMMAP };

        for (size_t i = 0; i < json_len(from); i++)
                for (size_t k = 0; k < ELEMENTSOF(codes); k++)
                        if (streq_ptr(json_str(json_at(from, i), "code"), blocker_code_to_string(codes[k])) && (hard || codes[k] == BLOCKER_ZONE_NORMAL))
                                json_object_array_add(to, json_ref(json_at(from, i)));
}

int plan_find_stays(const Topology *t, const Slot *slot, json_object **ret) {
        const Policy policy = policy_default();
        const PlanRequest request = { .target = slot->name, .trigger = "look", .policy = &policy };
        _cleanup_json_ json_object *blockers = json_object_new_array(), *warnings = json_object_new_array(), *stays = json_object_new_array();
        _cleanup_(scope_done) Scope scope = { 0 };

        int r = scope_find(t, slot, &scope);
        if (r < 0)
                return r;
        Findings f = { .t = t, .s = &scope, .request = &request, .blockers = blockers, .warnings = warnings };
        r = find_foreign_memmap(&f);
        if (r < 0)
                return r;
        find_kernel_zone(&f);
        find_zone_to_come(&f);
        find_addresses(&f);
        for (size_t i = 0; i < scope.n_regions; i++) {
                find_locked(&f, scope.regions[i]);
                find_cached(&f, scope.regions[i]);
        }
        take_stays(blockers, true, stays);
        take_stays(warnings, false, stays);
        *ret = TAKE_PTR(stays);
        return 0;
}
