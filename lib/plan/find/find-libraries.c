/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libcxl, libdaxctl and libndctl see of the card, against what we do. */
#include "kernel/cxl/testimony.h"
#include "plan/find/blockers.h"

enum {
        NOTES_MAX = 16,
};

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

static json_object *memdevs_json(const Findings *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < f->t->n_memdevs; i++) {
                const Memdev *m = &f->t->memdevs[i];
                json_object *o = add_to(list, m->name, scope_has_memdev(f->s, m->name));
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

static bool has_region(const Scope *s, const Region *g) {
        for (size_t i = 0; i < s->n_regions; i++)
                if (s->regions[i] == g)
                        return true;
        return false;
}

static json_object *regions_json(const Findings *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < f->t->n_regions; i++) {
                const Region *g = &f->t->regions[i];
                json_object *o = add_to(list, g->name, has_region(f->s, g));
                set_place(o, g->start, g->size);
                if (g->ways > 0 && g->n_targets == g->ways)
                        json_set(o, "targets", targets_json(g));
        }
        return list;
}

static bool has_dax(const Scope *s, const DaxDevice *d) {
        for (size_t i = 0; i < s->n_daxes; i++)
                if (s->daxes[i] == d)
                        return true;
        return false;
}

static json_object *daxes_json(const Findings *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < f->t->n_daxes; i++) {
                const DaxDevice *d = &f->t->daxes[i];
                /* Without a size they see none either. */
                set_place(add_to(list, d->name, d->size > 0 && has_dax(f->s, d)), d->start, d->size);
        }
        return list;
}

static bool has_namespace(const Scope *s, const Namespace *n) {
        for (size_t i = 0; i < s->n_namespaces; i++)
                if (s->namespaces[i] == n)
                        return true;
        return false;
}

static json_object *namespaces_json(const Findings *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < f->t->n_namespaces; i++) {
                const Namespace *n = &f->t->namespaces[i];
                json_object *o = add_to(list, n->name, n->size > 0 && has_namespace(f->s, n));
                set_place(o, 0, n->size);
                if (n->nd_region)
                        json_set_str(o, "region", n->nd_region);
        }
        return list;
}

static json_object *what_we_see(const Findings *f) {
        json_object *o = json_object_new_object(), *functions = json_object_new_array();

        for (size_t i = 0; i < f->s->n_functions; i++)
                json_append_str(functions, f->s->functions[i]->bdf);
        json_set(o, "functions", functions);
        json_set(o, "ranges", scope_ranges_json(f->s));
        json_set(o, "memdevs", memdevs_json(f));
        json_set(o, "regions", regions_json(f));
        json_set(o, "daxes", daxes_json(f));
        json_set(o, "namespaces", namespaces_json(f));
        return o;
}

/* How to see what it sees. */
static const char *command_of(const char *library) {
        return streq_ptr(library, "libdaxctl") ? "daxctl list -D -R" : streq_ptr(library, "libndctl") ? "ndctl list -R -N -i" : "cxl list -M -R -T";
}

static void tell(Findings *f, json_object *said) {
        const char *library = json_str(said, "library") ?: "?";
        bool hard = json_flag(said, "contradicts");
        json_object *o = finding(f, BLOCKER_LIBRARIES_DISAGREE, hard,
                                 hard ? "%s does not see the card as we do" : "%s has not said all that it sees of the card", library);

        json_set_str(o, "library", library);
        json_set_str(o, "evidence", json_str(said, "text"));
        if (hard)
                finding_remedy(o, "%s  # what it sees; safe-remove show has what we do. Nothing is taken down while one of them is wrong",
                               command_of(library));
        else
                finding_remedy(o, "udevadm settle --timeout=60; %s  # what it sees", command_of(library));
}

/* Every contradiction is in the way, and told. Of what is not said there may be a line for each device. */
static void tell_all(Findings *f, json_object *said) {
        size_t n_notes = 0;

        for (size_t i = 0; i < json_len(said); i++)
                if (json_flag(json_at(said, i), "contradicts") || n_notes++ < NOTES_MAX)
                        tell(f, json_at(said, i));
        if (n_notes > NOTES_MAX) {
                json_object *o = finding(f, BLOCKER_LIBRARIES_DISAGREE, false, "%zu more things that the libraries do not see of the card, or have not said",
                                         n_notes - NOTES_MAX);
                json_set_strf(o, "evidence", "the first %d are told one by one", NOTES_MAX);
        }
}

void find_libraries(Findings *f) {
        if (!f->request->libraries)
                return;
        _cleanup_json_ json_object *ours = what_we_see(f), *found = testimony_against(ours, f->request->libraries);
        _cleanup_json_ json_object *standing = testimony_standing(f->request->said_before, f->request->libraries);

        tell_all(f, found);
        tell_all(f, standing);
}
