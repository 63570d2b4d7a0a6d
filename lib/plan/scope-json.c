/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/scope.h"

json_object *scope_slot_json(const Slot *slot) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", slot->name);
        json_set_str(o, "port", slot->port);
        json_set_str(o, "service", slot->service);
        json_set_bool(o, "power_controller", slot->has_registers && slot->registers.has_power_controller);
        return o;
}

/* The identity that is checked again before every write. A card without a memdev is known by its ids alone. */
json_object *scope_card_json(const Scope *s) {
        if (s->n_functions == 0)
                return NULL;

        const PciFunction *f = s->functions[0];
        for (size_t i = 0; i < s->n_functions && s->n_memdevs > 0; i++)
                if (streq(s->functions[i]->bdf, s->memdevs[0]->bdf))
                        f = s->functions[i];

        json_object *o = json_object_new_object();
        json_set_str(o, "bdf", f->bdf);
        json_set_strf(o, "vendor", "0x%04x", f->vendor);
        json_set_strf(o, "device", "0x%04x", f->device);
        json_set_str(o, "memdev", s->n_memdevs > 0 ? s->memdevs[0]->name : NULL);
        if (s->n_memdevs > 0)
                json_set_strf(o, "serial", "0x%jx", (uintmax_t) s->memdevs[0]->serial);
        else
                json_set_str(o, "serial", NULL);
        return o;
}

json_object *scope_probe_json(const Scope *s) {
        const Slot *slot = s->slot;
        const SlotRegisters *regs = slot->has_registers ? &slot->registers : NULL;
        json_object *o = scope_slot_json(slot);
        json_object *functions = json_object_new_array(), *memdevs = json_object_new_array(), *ranges = json_object_new_array();

        /* The probes know the slot by this key; everything else is as in the plan's "slot". */
        json_set_str(o, "slot", slot->name);
        json_set_str(o, "address", slot->address);
        json_set_bool(o, "power_indicator", regs && regs->has_power_indicator);
        json_set_bool(o, "attention_indicator", regs && regs->has_attention_indicator);
        for (size_t i = 0; i < s->n_functions; i++)
                json_append_str(functions, s->functions[i]->bdf);
        for (size_t i = 0; i < s->n_memdevs; i++) {
                json_object *m = json_object_new_object();
                json_set_str(m, "name", s->memdevs[i]->name);
                json_set_strf(m, "serial", "0x%jx", (uintmax_t) s->memdevs[i]->serial);
                json_object_array_add(memdevs, m);
        }
        for (size_t i = 0; i < s->n_regions; i++) {
                json_object *range = json_object_new_object();
                json_set_u64(range, "start", s->regions[i]->start);
                json_set_u64(range, "size", s->regions[i]->size);
                json_object_array_add(ranges, range);
        }
        json_set(o, "functions", functions);
        json_set(o, "memdevs", memdevs);
        json_set(o, "ranges", ranges);
        return o;
}

static json_object *target_json(const RegionTarget *t) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "position", t->position);
        json_set_str(o, "memdev", t->memdev);
        json_set_u64(o, "index", t->decoder_index);
        json_set_u64(o, "dpa_start", t->dpa_start);
        json_set_u64(o, "dpa_size", t->dpa_size);
        json_set_str(o, "mode", t->mode);
        return o;
}

json_object *region_step_json(const Region *r) {
        if (!r)
                return NULL;

        json_object *o = json_object_new_object(), *targets = json_object_new_array();

        json_set_str(o, "name", r->name);
        json_set_str(o, "root", r->root_decoder);
        json_set_u64(o, "start", r->start);
        json_set_u64(o, "size", r->size);
        json_set_u64(o, "ways", r->ways);
        json_set_u64(o, "granularity", r->granularity);
        json_set_str(o, "mode", r->mode);
        json_set_str(o, "uuid", r->uuid);
        for (size_t i = 0; i < r->n_targets; i++)
                json_object_array_add(targets, target_json(&r->targets[i]));
        json_set(o, "targets", targets);
        return o;
}
