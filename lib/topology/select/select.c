/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "topology/select/select-add.h"
#include "topology/select/select-name.h"
#include "topology/select/select.h"

static const char *const select_result_table[_SELECT_RESULT_MAX] = {
        [SELECT_FOUND] = "found",
        [SELECT_MALFORMED] = "malformed",
        [SELECT_UNKNOWN] = "unknown",
        [SELECT_AMBIGUOUS] = "ambiguous",
        [SELECT_NO_SLOT] = "no-slot",
};

DEFINE_STRING_TABLE(select_result, SelectResult)

/* Without a domain an address matches in every one. */
static bool address_matches(const char *bdf, const Name *name) {
        const char *rest = name->has_domain ? bdf : strchr(bdf, ':');

        if (!rest)
                return false;
        return streq(name->has_domain ? rest : rest + 1, name->text);
}

static int find_functions(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_functions; i++) {
                int r = address_matches(t->functions[i].bdf, name) ? candidates_add_function(t, &t->functions[i], c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_slots(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_slots; i++) {
                const Slot *s = &t->slots[i];
                bool meant = name->kind == NAME_PORT ? s->port && address_matches(s->port, name) : streq(s->name, name->text);
                int r = meant ? candidates_add_slot(s, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_memdevs(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_memdevs; i++) {
                const Memdev *m = &t->memdevs[i];
                int r = streq(m->name, name->text) ? candidates_add_memdev(t, m, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whatever `list` shows as one. */
static int find_serials(const Topology *t, const Name *name, Candidates *c) {
        int r = 0;

        for (size_t i = 0; i < t->n_memdevs && r >= 0; i++)
                r = name->number != 0 && t->memdevs[i].serial == name->number ? candidates_add_memdev(t, &t->memdevs[i], c) : 0;
        for (size_t i = 0; i < t->n_nmems && r >= 0; i++)
                r = name_is_serial(name, t->nmems[i].id) ? candidates_add_nmem(t, &t->nmems[i], c) : 0;
        for (size_t i = 0; i < t->n_functions && r >= 0; i++)
                r = name_is_serial(name, t->functions[i].serial) ? candidates_add_function(t, &t->functions[i], c) : 0;
        return r;
}

static int find_region(const Topology *t, const Name *name, Candidates *c) {
        const NdRegion *nd = topology_nd_region(t, name->text);
        const Region *g = topology_region(t, name->text);

        /* Two things may have this name. */
        int r = g ? candidates_add_region(t, g, c) : 0;
        return r >= 0 && nd ? candidates_add_nd_region(t, nd, c) : r;
}

static int find_dax(const Topology *t, const Name *name, Candidates *c) {
        const DaxDevice *d = topology_dax(t, name->text);

        return d ? candidates_add_dax(t, d, c) : 0;
}

static int find_node(const Topology *t, const Name *name, Candidates *c) {
        int id = name->number <= INT32_MAX ? (int) name->number : -1;

        c->exists = id >= 0 && topology_node(t, id);
        for (size_t i = 0; id >= 0 && i < t->n_daxes; i++) {
                int r = t->daxes[i].target_node == id ? candidates_add_dax(t, &t->daxes[i], c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_block(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_blocks; i++) {
                if (t->blocks[i].id != name->number)
                        continue;
                c->exists = true;
                return candidates_add_range(t, t->blocks[i].start, t->block_size, c);
        }
        return 0;
}

static int find_nmem(const Topology *t, const Name *name, Candidates *c) {
        const Nmem *n = topology_nmem(t, name->text);

        return n ? candidates_add_nmem(t, n, c) : 0;
}

static int find_namespace(const Topology *t, const Name *name, Candidates *c) {
        const Namespace *n = topology_namespace(t, name->text);
        const NdRegion *g = n ? topology_nd_region(t, n->nd_region) : NULL;

        return g ? candidates_add_nd_region(t, g, c) : 0;
}

/* A node in /dev: of a memory device, of what carries it, or a block device, which may stand on several. */
static int find_device(const Topology *t, const Name *name, Candidates *c) {
        const char *node = name->text + strlen("/dev/"), *cxl = startswith(node, "cxl/");
        const Memdev *m = cxl ? topology_memdev(t, cxl) : NULL;
        const DaxDevice *d = topology_dax(t, node);
        const Nmem *n = topology_nmem(t, node);
        const BlockDevice *b = topology_block_device_of_path(t, name->text);

        if (m)
                return candidates_add_memdev(t, m, c);
        if (d)
                return candidates_add_dax(t, d, c);
        if (n)
                return candidates_add_nmem(t, n, c);
        return b ? candidates_add_block_device(t, b, c) : 0;
}

/* What a path is the mount point of for everybody, or else in a namespace of its own. */
static int find_mount(const Topology *t, const Name *name, Candidates *c) {
        const Mount *m = topology_mount_of_path(t, topology_host_ns(t), name->text);
        int r = 0;

        if (m && streq(m->target, name->text))
                return candidates_add_mount(t, m, c);
        for (size_t i = 0; i < t->n_mounts && r >= 0; i++)
                if (streq(t->mounts[i].target, name->text))
                        r = candidates_add_mount(t, &t->mounts[i], c);
        return r;
}

static int find(const Topology *t, const Name *name, Candidates *c) {
        static int (*const finders[_NAME_KIND_MAX])(const Topology *t, const Name *name, Candidates *c) = {
                [NAME_SLOT] = find_slots,
                [NAME_FUNCTION] = find_functions,
                [NAME_PORT] = find_slots,
                [NAME_MEMDEV] = find_memdevs,
                [NAME_REGION] = find_region,
                [NAME_DAX] = find_dax,
                [NAME_NODE] = find_node,
                [NAME_BLOCK] = find_block,
                [NAME_SERIAL] = find_serials,
                [NAME_NMEM] = find_nmem,
                [NAME_NAMESPACE] = find_namespace,
                [NAME_DEVICE] = find_device,
                [NAME_MOUNT] = find_mount,
        };

        return finders[name->kind](t, name, c);
}

/* Several cards in one slot are one answer: it is slots that are removed. */
static SelectResult judge(const Candidates *c) {
        if (c->n == 0)
                return c->exists ? SELECT_NO_SLOT : SELECT_UNKNOWN;
        for (size_t i = 1; i < c->n; i++)
                if (c->items[i].slot != c->items[0].slot || !c->items[i].slot)
                        return SELECT_AMBIGUOUS;
        return c->items[0].slot ? SELECT_FOUND : SELECT_NO_SLOT;
}

static char *explain(SelectResult result, const Topology *t, const Name *name, const Candidates *c) {
        switch (result) {
        case SELECT_UNKNOWN:
                return why_unknown(t, name);
        case SELECT_AMBIGUOUS:
                return why_ambiguous(name, c);
        default:
                return why_no_slot(t, name);
        }
}

int topology_select(const Topology *t, const char *name, const Slot **ret_slot, char **ret_why) {
        _cleanup_(candidates_done) Candidates c = { 0 };
        _cleanup_(name_done) Name n = { 0 };
        _cleanup_free_ char *why = NULL;

        int r = name_parse(name, &n);
        if (r == -ENOMEM)
                return r;
        if (r >= 0) {
                r = find(t, &n, &c);
                if (r < 0)
                        return r;
                r = judge(&c);
                if (r == SELECT_FOUND) {
                        *ret_slot = c.items[0].slot;
                        return r;
                }
                why = explain((SelectResult) r, t, &n, &c);
        } else {
                r = SELECT_MALFORMED;
                why = why_malformed(t, name);
        }

        if (!why)
                return -ENOMEM;
        *ret_why = TAKE_PTR(why);
        return r;
}
