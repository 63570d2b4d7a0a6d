/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Page structs of other memory that the kernel took from this card's. Whoever takes that memory away takes the kernel's knowledge of the
 * other memory with it: the next look at one of its pages is a crash. So nothing forces this one. */
#include <errno.h>

#include "kernel/memory/vmemmap.h"
#include "kernel/sysfs/attr.h"
#include "plan/find/blockers.h"

enum {
        PAGE_STRUCT = 64,
        PAGE = 4096,
};

/* Memory whose page structs may be anywhere. */
typedef struct Other {
        const char *name;       /* of a namespace, a dax device, or NULL: blocks of memory */
        const char *driver;     /* of a dax device, else NULL */
        uint64_t start, size;
        uint64_t id;            /* of the first block */
        bool may_be_here;       /* as far as can be told without looking */
} Other;

typedef struct Memmaps {
        Findings *f;
        PhysicalArea *areas;    /* the card's memory in kernel zones */
        size_t n_areas;
        Vmemmap *vmemmap;       /* NULL: this kernel does not let us look */
        char *why;
} Memmaps;

static int add_areas(Memmaps *m) {
        const Topology *t = m->f->t;
        size_t allocated = 0;

        for (size_t i = 0; i < t->n_blocks; i++) {
                const MemoryBlock *b = &t->blocks[i];
                if (!b->online || b->zone == ZONE_MOVABLE || !scope_has_block(m->f->s, t, b))
                        continue;
                PhysicalArea *last = m->n_areas > 0 ? &m->areas[m->n_areas - 1] : NULL;
                if (last && last->start + last->size == b->start) {
                        last->size += t->block_size;
                        continue;
                }
                int r = vec_grow((void **) &m->areas, m->n_areas, &allocated, sizeof(*m->areas));
                if (r < 0)
                        return r;
                m->areas[m->n_areas++] = (PhysicalArea) { .start = b->start, .size = t->block_size };
        }
        return 0;
}

static void remedy(json_object *o, const Other *other) {
        if (!other->name)
                finding_remedy(o, "systemctl reboot  # and write online_movable to /sys/devices/system/memory/auto_online_blocks before the "
                               "card's memory is onlined");
        else if (!other->driver)
                finding_remedy(o, "ndctl disable-namespace %s  # once nobody uses it; it may be enabled again when the card is out", other->name);
        else {
                if (streq(other->driver, "kmem"))
                        finding_remedy(o, "daxctl offline-memory %s", other->name);
                finding_remedy(o, "echo %s > /sys/bus/dax/drivers/%s/unbind  # once nobody uses it any more", other->name, other->driver);
        }
}

/* `bytes` of them were found there; 0: they may be, for all that can be told. */
static void tell(Memmaps *m, const Other *other, uint64_t bytes) {
        _cleanup_free_ char *name = other->name ? strdup(other->name) : strf("the memory from memory%ju on", (uintmax_t) other->id);
        uintmax_t kib = other->size / PAGE * PAGE_STRUCT >> 10;
        json_object *o = finding(m->f, BLOCKER_FOREIGN_MEMMAP, true, "page structs of %s %s in the memory of this card", name ?: "a device",
                                 bytes > 0 ? "lie" : "may lie");

        if (bytes > 0)
                json_set_strf(o, "evidence", "%ju KiB of %ju KiB (%u bytes for each page of it), by the kernel's page tables (read by BPF); without "
                              "them the kernel crashes", (uintmax_t) (bytes >> 10), kib, (unsigned) PAGE_STRUCT);
        else
                json_set_strf(o, "evidence", "possible: %ju KiB (%u bytes for each page of it) are somewhere, the card has memory in a kernel zone, and "
                              "the kernel's page tables, which tell, cannot be read by BPF: %s", kib, (unsigned) PAGE_STRUCT, m->why ?: "no memory");
        remedy(o, other);
}

static void look_at(Memmaps *m, const Other *other) {
        uint64_t bytes = 0;

        if (m->vmemmap) {
                int r = vmemmap_bytes_in(m->vmemmap, other->start, other->size, m->areas, m->n_areas, &bytes);
                if (r >= 0) {
                        if (bytes > 0)
                                tell(m, other, bytes);
                        return;
                }
                free(m->why);
                m->why = strdup(strerror(-r));
        }
        if (other->may_be_here)
                tell(m, other, 0);
}

/* Those of a namespace lie in itself where it was made so (map=dev: `mode` of what claims it reads "pmem", drivers/nvdimm/pfn_devs.c), and
 * one that is a plain disk (sector) has none. */
static void look_at_namespace(Memmaps *m, const Namespace *n) {
        const NdRegion *g = topology_nd_region(m->f->t, n->nd_region);
        Other other = { .name = n->name, .start = n->data_start, .size = n->data_size };
        _cleanup_free_ char *mode = NULL;

        if (!n->driver || SCOPE_HAS(m->f->s, namespaces, n) || (n->data_size == 0 && !g))
                return;
        if (other.size == 0) {
                other.start = g->start;
                other.size = g->size;
        }
        (void) attr_readf(&mode, "/sys/bus/nd/devices/%s/mode", n->device);
        other.may_be_here = !streq_ptr(n->mode, "sector") && !streq_ptr(mode, "pmem");
        if (other.size > 0)
                look_at(m, &other);
}

/* Memory that is nobody's device: what the machine began with has its page structs in itself, what came later anywhere. */
static void look_at_blocks(Memmaps *m) {
        const Topology *t = m->f->t;
        Other run = { 0 };

        for (size_t i = 0; i <= t->n_blocks; i++) {
                const MemoryBlock *b = i < t->n_blocks ? &t->blocks[i] : NULL;
                bool counts = b && !scope_has_block(m->f->s, t, b);

                for (size_t k = 0; counts && k < t->n_daxes; k++)
                        counts = !dax_overlaps(&t->daxes[k], b->start, 1);
                if (counts && run.size > 0 && run.start + run.size == b->start) {
                        run.size += t->block_size;
                        continue;
                }
                if (run.size > 0)
                        look_at(m, &run);
                run = counts ? (Other) { .start = b->start, .size = t->block_size, .id = b->id } : (Other) { 0 };
        }
}

static void look_at_all(Memmaps *m) {
        const Topology *t = m->f->t;

        for (size_t i = 0; i < t->n_namespaces; i++)
                look_at_namespace(m, &t->namespaces[i]);
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                for (size_t k = 0; d->driver && !d->nd_region && !SCOPE_HAS(m->f->s, daxes, d) && k < d->n_ranges; k++)
                        look_at(m, &(Other) { .name = d->name, .driver = d->driver, .start = d->ranges[k].start, .size = d->ranges[k].size,
                                              .may_be_here = true });
        }
        look_at_blocks(m);
}

int find_foreign_memmap(Findings *f) {
        Memmaps m = { .f = f };

        int r = add_areas(&m);
        if (r >= 0 && m.n_areas > 0) {
                (void) vmemmap_open(&m.vmemmap, &m.why);
                look_at_all(&m);
        }
        vmemmap_free(m.vmemmap);
        free(m.areas);
        free(m.why);
        return r;
}
