/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What we see of the cards, in the form of those who see it with other eyes (kernel/cxl/testimony.h). */
#include "plan/scope/scope.h"

static json_object *add_to(json_object *list, const char *name, bool of_card) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", name);
        if (of_card)
                json_set_bool(o, "card", true);
        json_object_array_add(list, o);
        return o;
}

/* What could not be read is 0, and was told by find-odd.c. */
static void set_place(json_object *o, uint64_t start, uint64_t size) {
        if (size == 0)
                return;
        json_set_u64(o, "size", size);
        if (start > 0)
                json_set_u64(o, "start", start);
}

static json_object *memdevs_json(const Scope *s, const Topology *t) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_memdevs; i++) {
                const Memdev *m = &t->memdevs[i];
                json_object *o = add_to(list, m->name, scope_has_memdev(s, m->name));
                if (m->bdf)
                        json_set_str(o, "bdf", m->bdf);
                if (m->serial != 0)
                        json_set_strf(o, "serial", "0x%jx", (uintmax_t) m->serial);
        }
        return list;
}

static json_object *targets_json(const Region *g) {
        json_object *targets = json_object_new_array();

        for (size_t i = 0; i < g->n_targets; i++) {
                json_object *o = json_object_new_object();
                json_set_u64(o, "position", g->targets[i].position);
                json_set_str(o, "decoder", g->targets[i].decoder);
                if (g->targets[i].memdev)
                        json_set_str(o, "memdev", g->targets[i].memdev);
                json_object_array_add(targets, o);
        }
        return targets;
}

static json_object *regions_json(const Scope *s, const Topology *t) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *g = &t->regions[i];
                json_object *o = add_to(list, g->name, SCOPE_HAS(s, regions, g));
                set_place(o, g->start, g->size);
                if (g->ways > 0 && g->n_targets == g->ways)
                        json_set(o, "targets", targets_json(g));
        }
        return list;
}

static json_object *daxes_json(const Scope *s, const Topology *t) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                /* Without a size they see none either. */
                set_place(add_to(list, d->name, d->size > 0 && SCOPE_HAS(s, daxes, d)), d->start, d->size);
        }
        return list;
}

static json_object *namespaces_json(const Scope *s, const Topology *t) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_namespaces; i++) {
                const Namespace *n = &t->namespaces[i];
                json_object *o = add_to(list, n->name, n->size > 0 && SCOPE_HAS(s, namespaces, n));
                set_place(o, 0, n->size);
                if (n->nd_region)
                        json_set_str(o, "region", n->nd_region);
        }
        return list;
}

static bool has_nmem(const Scope *s, const Nmem *n) {
        for (size_t i = 0; i < s->n_nmems; i++)
                if (s->nmems[i] == n)
                        return true;
        return false;
}

static json_object *nmems_json(const Scope *s, const Topology *t) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < t->n_nmems; i++) {
                json_object *o = add_to(list, t->nmems[i].name, has_nmem(s, &t->nmems[i]));
                if (t->nmems[i].id)
                        json_set_str(o, "id", t->nmems[i].id);
        }
        return list;
}

json_object *scope_witness_json(const Scope *s, const Topology *t) {
        json_object *o = json_object_new_object(), *functions = json_object_new_array();

        for (size_t i = 0; i < s->n_functions; i++)
                json_append_str(functions, s->functions[i]->bdf);
        json_set(o, "functions", functions);
        json_set(o, "ranges", scope_ranges_json(s));
        json_set(o, "memdevs", memdevs_json(s, t));
        json_set(o, "regions", regions_json(s, t));
        json_set(o, "daxes", daxes_json(s, t));
        json_set(o, "namespaces", namespaces_json(s, t));
        json_set(o, "nmems", nmems_json(s, t));
        return o;
}
