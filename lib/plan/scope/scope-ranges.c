/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which physical addresses lead to the card: what it decodes for memory (regions, its decoders, those above it that send to it, dax
 * devices that only it can carry), and what its functions decode themselves (BARs, the memory of virtio-mem). */
#include <errno.h>

#include "base/span.h"
#include "plan/scope/scope-internal.h"

static int add(Scope *s, uint64_t start, uint64_t size, bool goes_with_power, char *why) {
        _cleanup_free_ char *owned = why;

        if (!why)
                return -ENOMEM;
        int r = SCOPE_ADD(s, ranges, ((ScopeRange) { .start = start, .size = size, .why = why, .goes_with_power = goes_with_power }));
        if (r >= 0)
                (void) TAKE_PTR(owned);
        return r;
}

/* Once, whoever names it first. */
static int add_memory(Scope *s, uint64_t start, uint64_t size, const char *why) {
        for (size_t i = 0; i < s->n_ranges; i++)
                if (span_within(start, size, s->ranges[i].start, s->ranges[i].size))
                        return 0;
        return size > 0 ? add(s, start, size, false, strdup(why)) : 0;
}

static bool may_be_on_card(const Topology *t, const Scope *s, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < s->n_functions; i++)
                if (topology_may_be_on(t, s->functions[i], start, size))
                        return true;
        return false;
}

bool scope_may_have(const Scope *s, const Topology *t, uint64_t start, uint64_t size) {
        return topology_in_window(t, start, size) && may_be_on_card(t, s, start, size);
}

bool scope_has_function(const Scope *s, const char *bdf) {
        for (size_t i = 0; i < s->n_functions; i++)
                if (streq_ptr(s->functions[i]->bdf, bdf))
                        return true;
        return false;
}

/* Nobody else's. */
static bool is_on_card_only(const Topology *t, const Scope *s, uint64_t start, uint64_t size) {
        if (!scope_may_have(s, t, start, size))
                return false;
        for (size_t i = 0; i < t->n_functions; i++)
                if (!scope_has_function(s, t->functions[i].bdf) && topology_may_be_on(t, &t->functions[i], start, size))
                        return false;
        return true;
}

bool scope_has_memdev(const Scope *s, const char *name) {
        for (size_t i = 0; name && i < s->n_memdevs; i++)
                if (streq(s->memdevs[i]->name, name))
                        return true;
        return false;
}

static bool decodes_for_card(const Topology *t, const Scope *s, const Decoder *d) {
        if (d->kind == DECODER_ENDPOINT)
                return scope_has_memdev(s, d->memdev);
        return d->kind == DECODER_SWITCH && may_be_on_card(t, s, d->start, d->size);
}

/* The card's own first: they are named where several decode the same. */
static int add_decoders(const Topology *t, Scope *s) {
        static const DecoderKind kinds[] = { DECODER_ENDPOINT, DECODER_SWITCH };

        for (size_t k = 0; k < ELEMENTSOF(kinds); k++)
                for (size_t i = 0; i < t->n_decoders; i++) {
                        const Decoder *d = &t->decoders[i];
                        if (d->kind != kinds[k] || d->unreadable || !d->committed || d->size == 0 || !decodes_for_card(t, s, d))
                                continue;
                        int r = add_memory(s, d->start, d->size, d->name);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static bool has_dax(const Scope *s, const DaxDevice *d) {
        for (size_t i = 0; i < s->n_daxes; i++)
                if (s->daxes[i] == d)
                        return true;
        return false;
}

/* A device that stands on no region, as hmem makes it of memory that the firmware set aside. */
static int add_daxes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                if (d->region || d->nd_region || has_dax(s, d) || !is_on_card_only(t, s, d->start, d->size))
                        continue;
                int r = SCOPE_ADD(s, daxes, d);
                if (r >= 0)
                        r = add_memory(s, d->start, d->size, d->name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_bars(Scope *s, const PciFunction *f) {
        for (size_t i = 0; i < f->n_resources; i++) {
                const PciResource *b = &f->resources[i];
                char *why = b->index == PCI_RESOURCE_ROM ? strf("%s ROM", f->bdf) : strf("%s BAR %u", f->bdf, b->index);

                int r = add(s, b->start, b->size, true, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_on_function(const Scope *s, const char *bdf) {
        for (size_t i = 0; i < s->n_functions; i++)
                if (streq(s->functions[i]->bdf, bdf))
                        return true;
        return false;
}

/* The memory of virtio-mem is in no BAR: the host says where it is, and the driver claims all of it in the device's name
 * (drivers/virtio/virtio_mem.c:virtio_mem_create_resource). */
static int add_virtio_mem(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_foreign; i++) {
                const ForeignChild *c = &t->foreign[i];
                if (!streq(c->subsystem, "virtio") || !streq_ptr(c->driver, "virtio_mem") || !c->bdf || !is_on_function(s, c->bdf))
                        continue;
                s->has_virtio_mem = true;
                for (size_t j = 0; t->iomem && j < t->iomem->n_ranges; j++) {
                        const IomemRange *m = &t->iomem->ranges[j];
                        int r = streq(m->name, c->name) ? add(s, m->start, span_size(m->start, m->end), true, strdup(c->name)) : 0;
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int scope_find_ranges(const Topology *t, Scope *s) {
        int r = 0;

        for (size_t i = 0; i < s->n_functions; i++)
                s->is_memory = s->is_memory || topology_is_memory(t, s->functions[i]);
        s->is_memory = s->is_memory || s->n_memdevs > 0 || s->n_nmems > 0;
        for (size_t i = 0; i < s->n_regions && r >= 0; i++)
                r = add_memory(s, s->regions[i]->start, s->regions[i]->size, s->regions[i]->name);
        for (size_t i = 0; i < s->n_nd_regions && r >= 0; i++)
                r = add_memory(s, s->nd_regions[i]->start, s->nd_regions[i]->size, s->nd_regions[i]->name);
        if (r >= 0)
                r = add_decoders(t, s);
        if (r >= 0)
                r = add_daxes(t, s);
        for (size_t i = 0; i < s->n_functions && r >= 0; i++)
                r = add_bars(s, s->functions[i]);
        return r < 0 ? r : add_virtio_mem(t, s);
}

/* Two regions side by side may share a block that the firmware gave to the kernel, so it is all of them together that count. */
bool scope_has_span(const Scope *s, uint64_t start, uint64_t size) {
        uint64_t last = span_last(start, size);
        bool further = true;

        while (size > 0 && further) {
                further = false;
                for (size_t i = 0; i < s->n_ranges; i++) {
                        const ScopeRange *r = &s->ranges[i];
                        if (!span_overlaps(start, 1, r->start, r->size))
                                continue;
                        if (span_last(r->start, r->size) >= last)
                                return true;
                        start = span_last(r->start, r->size) + 1;
                        further = true;
                }
        }
        return false;
}

const ScopeRange *scope_range_at(const Scope *s, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < s->n_ranges; i++)
                if (span_overlaps(start, size, s->ranges[i].start, s->ranges[i].size))
                        return &s->ranges[i];
        return NULL;
}

bool scope_has_block(const Scope *s, const Topology *t, const MemoryBlock *b) {
        return scope_has_span(s, b->start, t->block_size);
}

json_object *scope_ranges_json(const Scope *s) {
        json_object *ranges = json_object_new_array();

        for (size_t i = 0; i < s->n_ranges; i++) {
                json_object *range = json_object_new_object();
                json_set_u64(range, "start", s->ranges[i].start);
                json_set_u64(range, "size", s->ranges[i].size);
                json_set_str(range, "why", s->ranges[i].why);
                if (s->ranges[i].goes_with_power)
                        json_set_bool(range, "goes_with_power", true);
                json_object_array_add(ranges, range);
        }
        return ranges;
}
