/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory says where it is and not whose. What leads to a card is, from the surest to the least sure: a decoder of its own, a decoder of a
 * host bridge or switch above it, the platform's window. */
#include "base/span.h"
#include "topology/topology.h"

enum {
        PCI_CLASS_MEMORY_CXL = 0x0502,
};

bool function_is_below(const PciFunction *f, const char *ancestor) {
        size_t n = strlen(ancestor);

        for (const char *p = f->path; p && (p = strstr(p, ancestor)); p += n)
                if (p > f->path && p[-1] == '/' && p[n] == '/')
                        return true;
        return false;
}

static const Memdev *memdev_of(const Topology *t, const PciFunction *f) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                if (streq_ptr(t->memdevs[i].bdf, f->bdf))
                        return &t->memdevs[i];
        return NULL;
}

bool topology_is_memory(const Topology *t, const PciFunction *f) {
        return f->class >> 8 == PCI_CLASS_MEMORY_CXL || memdev_of(t, f);
}

bool decoder_leads_to(const Decoder *d, const PciFunction *f) {
        for (size_t i = 0; i < d->n_targets; i++)
                if (function_is_below(f, d->targets[i]))
                        return true;
        return false;
}

static bool is_asked(const Decoder *d, DecoderKind kind) {
        return d->kind == kind && !d->unreadable && d->committed;
}

/* Do decoders of one kind decode all of it, each a part? */
static bool is_decoded(const Topology *t, DecoderKind kind, uint64_t start, uint64_t size) {
        uint64_t last = span_last(start, size);
        bool further = true;

        while (further) {
                further = false;
                for (size_t i = 0; i < t->n_decoders; i++) {
                        const Decoder *d = &t->decoders[i];
                        if (!is_asked(d, kind) || !span_overlaps(start, 1, d->start, d->size))
                                continue;
                        if (span_last(d->start, d->size) >= last)
                                return true;
                        start = span_last(d->start, d->size) + 1;
                        further = true;
                }
        }
        return false;
}

/* Does a decoder of that kind which is the card's, or leads to it, decode something of these addresses? */
static bool is_ours(const Topology *t, DecoderKind kind, const PciFunction *f, uint64_t start, uint64_t size) {
        const Memdev *m = memdev_of(t, f);

        for (size_t i = 0; i < t->n_decoders; i++) {
                const Decoder *d = &t->decoders[i];
                if (!is_asked(d, kind) || !span_overlaps(start, size, d->start, d->size))
                        continue;
                if (kind == DECODER_ENDPOINT ? m && streq_ptr(d->memdev, m->name) : decoder_leads_to(d, f))
                        return true;
        }
        return false;
}

bool topology_in_window(const Topology *t, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < t->n_decoders; i++) {
                const Decoder *d = &t->decoders[i];
                if (!d->unreadable && d->committed && span_within(start, size, d->start, d->size))
                        return true;
        }
        for (size_t i = 0; t->iomem && i < t->iomem->n_ranges; i++) {
                const IomemRange *w = &t->iomem->ranges[i];
                if (startswith(w->name, "CXL Window") && span_within(start, size, w->start, span_size(w->start, w->end)))
                        return true;
        }
        return false;
}

/* All that it has is decoded somewhere. */
static bool is_accounted_for(const Topology *t, const PciFunction *f) {
        const Memdev *m = memdev_of(t, f);
        uint64_t left;

        if (!m || !m->ram_known || !m->pmem_known || __builtin_add_overflow(m->ram_size, m->pmem_size, &left) || left == 0)
                return false;
        for (size_t i = 0; i < t->n_decoders; i++) {
                const Decoder *d = &t->decoders[i];
                if (d->kind == DECODER_ENDPOINT && d->committed && streq_ptr(d->memdev, m->name))
                        left -= d->dpa_size < left ? d->dpa_size : left;
        }
        return left == 0;
}

/* What another card's decoders have of it says nothing about the rest. */
bool topology_may_be_on(const Topology *t, const PciFunction *f, uint64_t start, uint64_t size) {
        static const DecoderKind surest_first[] = { DECODER_ENDPOINT, DECODER_SWITCH };

        for (size_t i = 0; i < ELEMENTSOF(surest_first) && size > 0; i++) {
                if (is_ours(t, surest_first[i], f, start, size))
                        return true;
                if (is_decoded(t, surest_first[i], start, size))
                        return false;
        }
        if (!topology_is_memory(t, f) || is_accounted_for(t, f))
                return false;
        /* A machine whose windows nobody knows leads from anywhere to anywhere. */
        bool in_window = false;
        for (size_t i = 0; i < t->n_decoders && !in_window; i++) {
                const Decoder *d = &t->decoders[i];
                in_window = is_asked(d, DECODER_ROOT) && span_overlaps(start, size, d->start, d->size);
        }
        return !in_window || is_ours(t, DECODER_ROOT, f, start, size);
}
