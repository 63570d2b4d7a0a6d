/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/span.h"
#include "plan/scope/scope.h"

void scope_done(Scope *s) {
        free(s->others);
        free(s->words);
        free(s->inner);
        free(s->functions);
        free(s->memdevs);
        free(s->regions);
        free(s->daxes);
        free(s->peers);
        free(s->nodes);
        free(s->nmems);
        free(s->nmem_peers);
        free(s->nd_regions);
        free(s->namespaces);
        free(s->blocks);
        free(s->mounts);
        free(s->mount_goes);
        free(s->swaps);
        for (size_t i = 0; i < s->n_ranges; i++)
                free(s->ranges[i].why);
        free(s->ranges);
}

/* The slot of the removal that one with this name is, or is inside of; NULL: none. */
static const Slot *outermost(const Scope *s, const char *name) {
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (topology_slot_is_within(s->t, name, scope_slot(s, i)))
                        return scope_slot(s, i);
        return NULL;
}

static int find_inner(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_slots; i++) {
                const Slot *inner = &t->slots[i], *outer = outermost(s, inner->name);
                int r = outer && inner != outer ? SCOPE_ADD(s, inner, inner) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The function's card is in one of the removal's very slots and not in one inside of it. */
static bool scope_is_outermost(const Scope *s, const PciFunction *f) {
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (streq_ptr(f->slot, scope_slot(s, i)->name))
                        return true;
        return false;
}

const Slot *scope_slot_of(const Scope *s, const PciFunction *f) {
        return f->slot ? outermost(s, f->slot) : NULL;
}

/* Those of the slots' own cards first: the card is called after them. */
static int find_functions(const Topology *t, Scope *s) {
        for (size_t pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < t->n_functions; i++) {
                        const PciFunction *f = &t->functions[i];
                        bool own = scope_is_outermost(s, f), wanted = pass == 0 ? own : !own && SCOPE_NAMED(s, inner, f->slot);
                        int r = wanted ? SCOPE_ADD(s, functions, f) : 0;
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int find_memdevs(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                for (size_t j = 0; j < s->n_functions; j++)
                        if (streq_ptr(t->memdevs[i].bdf, s->functions[j]->bdf)) {
                                int r = SCOPE_ADD(s, memdevs, &t->memdevs[i]);
                                if (r < 0)
                                        return r;
                        }
        return 0;
}

static int higher_first(const void *a, const void *b) {
        const Region *x = *(const Region *const *) a, *y = *(const Region *const *) b;

        return x->start < y->start ? 1 : x->start > y->start ? -1 : 0;
}

static int find_regions(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_regions; i++) {
                bool ours = false;
                for (size_t j = 0; j < s->n_memdevs && !ours; j++)
                        ours = region_uses_memdev(&t->regions[i], s->memdevs[j]->name);
                if (!ours)
                        continue;
                int r = SCOPE_ADD(s, regions, &t->regions[i]);
                if (r < 0)
                        return r;
        }
        if (s->n_regions > 1)
                qsort(s->regions, s->n_regions, sizeof(*s->regions), higher_first);
        return 0;
}

static int find_daxes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                bool ours = SCOPE_NAMED(s, regions, d->region);
                for (size_t j = 0; j < s->n_namespaces && !ours; j++)
                        ours = streq_ptr(s->namespaces[j]->dax, d->name);
                int r = ours ? SCOPE_ADD(s, daxes, d) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_peers(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_memdevs; i++) {
                if (scope_has_memdev(s, t->memdevs[i].name))
                        continue;
                for (size_t j = 0; j < s->n_regions; j++)
                        if (region_uses_memdev(s->regions[j], t->memdevs[i].name)) {
                                int r = SCOPE_ADD(s, peers, &t->memdevs[i]);
                                if (r < 0)
                                        return r;
                                break;
                        }
        }
        return 0;
}

static int find_nodes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nodes; i++) {
                bool loses = false;
                for (size_t j = 0; j < t->n_blocks && !loses; j++)
                        loses = t->blocks[j].online && t->blocks[j].node == t->nodes[i].id && scope_has_block(s, t, &t->blocks[j]);
                if (!loses)
                        continue;
                int r = SCOPE_ADD(s, nodes, &t->nodes[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_nmems(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nmems; i++) {
                const Nmem *n = &t->nmems[i];
                bool ours = scope_has_memdev(s, n->memdev) || (s->slot->nmem && streq(s->slot->nmem, n->name));
                int r = ours ? SCOPE_ADD(s, nmems, n) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int higher_nd_first(const void *a, const void *b) {
        const NdRegion *x = *(const NdRegion *const *) a, *y = *(const NdRegion *const *) b;

        return x->start < y->start ? 1 : x->start > y->start ? -1 : 0;
}

static int find_nd_regions(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nd_regions; i++) {
                const NdRegion *g = &t->nd_regions[i];
                bool ours = SCOPE_NAMED(s, regions, g->cxl_region);
                for (size_t j = 0; j < s->n_nmems && !ours; j++)
                        ours = nd_region_uses_nmem(g, s->nmems[j]->name);
                int r = ours ? SCOPE_ADD(s, nd_regions, g) : 0;
                if (r < 0)
                        return r;
        }
        if (s->n_nd_regions > 1)
                qsort(s->nd_regions, s->n_nd_regions, sizeof(*s->nd_regions), higher_nd_first);
        return 0;
}

/* Modules in other sockets; those of other cards are known by their memdevs. */
static int find_nmem_peers(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nmems; i++) {
                const Nmem *n = &t->nmems[i];
                bool loses = false;
                for (size_t j = 0; j < s->n_nd_regions && !loses; j++)
                        loses = nd_region_uses_nmem(s->nd_regions[j], n->name);
                int r = loses && !n->memdev && !SCOPE_HAS(s, nmems, n) ? SCOPE_ADD(s, nmem_peers, n) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_namespaces(const Topology *t, Scope *s) {
        for (size_t j = 0; j < s->n_nd_regions; j++)
                for (size_t i = 0; i < t->n_namespaces; i++) {
                        bool ours = streq_ptr(t->namespaces[i].nd_region, s->nd_regions[j]->name);
                        int r = ours ? SCOPE_ADD(s, namespaces, &t->namespaces[i]) : 0;
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* Which physical addresses lead to the card: what it decodes for memory (regions, its decoders, those above it that send to it, dax
 * devices that only it can carry), and what its functions decode themselves (BARs, the memory of virtio-mem). */

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

/* Nobody else's. */
static bool is_on_card_only(const Topology *t, const Scope *s, uint64_t start, uint64_t size) {
        if (!scope_may_have(s, t, start, size))
                return false;
        for (size_t i = 0; i < t->n_functions; i++)
                if (!scope_has_function(s, t->functions[i].bdf) && topology_may_be_on(t, &t->functions[i], start, size))
                        return false;
        return true;
}

/* The card's own first: they are named where several decode the same. */
static int add_decoders(const Topology *t, Scope *s) {
        static const DecoderKind kinds[] = { DECODER_ENDPOINT, DECODER_SWITCH };

        for (size_t k = 0; k < ELEMENTSOF(kinds); k++)
                for (size_t i = 0; i < t->n_decoders; i++) {
                        const Decoder *d = &t->decoders[i];
                        if (d->kind != kinds[k] || d->unreadable || !d->committed || d->size == 0)
                                continue;
                        bool ours = d->kind == DECODER_ENDPOINT ? scope_has_memdev(s, d->memdev) : may_be_on_card(t, s, d->start, d->size);
                        int r = ours ? add_memory(s, d->start, d->size, d->name) : 0;
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* A device that stands on no region, as hmem makes it of memory that the firmware set aside. */
static int add_daxes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                bool all = d->n_ranges > 0;
                if (d->region || d->nd_region || SCOPE_HAS(s, daxes, d))
                        continue;
                for (size_t k = 0; k < d->n_ranges && all; k++)
                        all = is_on_card_only(t, s, d->ranges[k].start, d->ranges[k].size);
                if (!all)
                        continue;
                int r = SCOPE_ADD(s, daxes, d);
                for (size_t k = 0; k < d->n_ranges && r >= 0; k++)
                        r = add_memory(s, d->ranges[k].start, d->ranges[k].size, d->name);
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

/* The memory of virtio-mem is in no BAR: the host says where it is, and the driver claims all of it in the device's name
 * (drivers/virtio/virtio_mem.c:virtio_mem_create_resource). */
static int add_virtio_mem(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_foreign; i++) {
                const ForeignChild *c = &t->foreign[i];
                if (!streq(c->subsystem, "virtio") || !streq_ptr(c->driver, "virtio_mem") || !c->bdf || !scope_has_function(s, c->bdf))
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

static int find_ranges(const Topology *t, Scope *s) {
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
static bool scope_has_span(const Scope *s, uint64_t start, uint64_t size) {
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

bool scope_is_empty(const Scope *s) {
        return s->n_functions == 0 && s->n_nmems == 0;
}

static int set_slots(Scope *s, const Slot *const *others, size_t n) {
        int r = text_add(&s->words, " ", "%s", s->slot->word ?: s->slot->name);

        for (size_t i = 0; i < n && r >= 0; i++) {
                r = text_add(&s->words, " ", "%s", others[i]->word ?: others[i]->name);
                if (r >= 0)
                        r = SCOPE_ADD(s, others, others[i]);
        }
        return r;
}

int scope_find(const Topology *t, const Slot *slot, Scope *ret) {
        return scope_find_all(t, slot, NULL, 0, ret);
}

int scope_find_all(const Topology *t, const Slot *slot, const Slot *const *others, size_t n, Scope *ret) {
        static int (*const finders[])(const Topology *, Scope *) = {
                find_inner, find_functions, find_memdevs, find_regions, find_nmems, find_nd_regions, find_namespaces,
                find_daxes, find_ranges, find_peers, find_nmem_peers, find_nodes, scope_find_storage,
        };

        *ret = (Scope) { .t = t, .slot = slot };
        int r = set_slots(ret, others, n);
        for (size_t i = 0; i < ELEMENTSOF(finders) && r >= 0; i++)
                r = finders[i](t, ret);
        return r < 0 ? r : 0;
}
