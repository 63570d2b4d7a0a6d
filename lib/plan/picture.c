/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/picture.h"

/* Between a mount's place and its namespace's number, which ends the name of the thing. */
#define IN_NAMESPACE " in namespace "

enum {
        TOLD_MAX = 50,
};

/* Several things may bear one name (mounts on top of each other): all of them are there. Takes over `text`. */
static void add(json_object *things, char *name, char *text) {
        _cleanup_free_ char *key = name, *value = text;
        json_object *values = json_get(things, key ?: "");

        if (!key || !value)
                return;
        if (!values) {
                values = json_object_new_array();
                json_set(things, key, values);
        }
        json_append_str(values, value);
}

static void add_blocks(json_object *o, const Scope *s, const Topology *t) {
        json_object *runs = json_object_new_array(), *run = NULL;

        for (size_t i = 0; i < t->n_blocks; i++) {
                const MemoryBlock *b = &t->blocks[i];
                if (!scope_has_block(s, t, b))
                        continue;
                _cleanup_free_ char *state = b->online ? strf("online in zone %s", zone_to_string(b->zone)) : strdup("offline");
                bool longer = run && json_object_get_uint64(json_at(run, 1)) + 1 == b->id &&
                              streq_ptr(json_object_get_string(json_at(run, 2)), state);
                if (longer) {
                        json_object_set_uint64(json_at(run, 1), b->id);
                        continue;
                }
                run = json_object_new_array();
                json_object_array_add(run, json_object_new_uint64(b->id));
                json_object_array_add(run, json_object_new_uint64(b->id));
                json_append_str(run, state);
                json_object_array_add(runs, run);
        }
        json_set(o, "blocks", runs);
}

static void add_slots(json_object *things, const Scope *s) {
        for (size_t i = 0; i < scope_n_slots(s); i++) {
                const Slot *slot = scope_slot(s, i);
                if (slot->has_registers)
                        add(things, strf("slot %s", slot->name),
                            strf("power %s, attention light %s", slot->registers.power_on ? "on" : "off",
                                 indicator_to_string(slot->registers.attention)));
        }
        for (size_t i = 0; i < s->n_inner; i++)
                add(things, strf("slot %s", s->inner[i]->name), strdup(s->inner[i]->held ? "without its driver" : "with its driver"));
}

static void add_devices(json_object *things, const Scope *s, const Topology *t) {
        for (size_t i = 0; i < s->n_functions; i++)
                add(things, strf("%s", s->functions[i]->bdf), strf("driver %s", s->functions[i]->driver ?: "none"));
        for (size_t i = 0; i < s->n_memdevs; i++)
                add(things, strf("memory device 0x%jx", (uintmax_t) s->memdevs[i]->serial),
                    strf("driver %s", s->memdevs[i]->driver ?: "none"));
        for (size_t i = 0; i < s->n_daxes; i++) {
                const DaxDevice *d = s->daxes[i];
                add(things, strf("dax device at 0x%jx", (uintmax_t) d->start),
                    strf("%ju bytes, driver %s%s%s", (uintmax_t) d->size, d->driver ?: "none", d->state ? ", state " : "", d->state ?: ""));
        }
        if (t->auto_online && s->n_daxes > 0)
                add(things, strdup("the policy for new memory blocks"), strdup(t->auto_online));
}

/* Which card's, not which name it has. */
static char *targets_of(const Region *r, const Topology *t) {
        char *text = strdup("");

        for (size_t i = 0; i < r->n_targets; i++) {
                const RegionTarget *target = &r->targets[i];
                const Memdev *m = target->memdev ? topology_memdev(t, target->memdev) : NULL;
                _cleanup_free_ char *before = text;
                text = strf("%s, target %u: 0x%jx at 0x%jx", before ?: "", target->position, (uintmax_t) (m ? m->serial : 0),
                            (uintmax_t) target->dpa_start);
        }
        return text;
}

static void add_regions(json_object *things, const Scope *s, const Topology *t) {
        for (size_t i = 0; i < s->n_regions; i++) {
                const Region *r = s->regions[i];
                _cleanup_free_ char *targets = targets_of(r, t);
                add(things, strf("region at 0x%jx", (uintmax_t) r->start),
                    strf("%ju bytes of mode %s, uuid %s, %u ways of %u bytes, %s, driver %s%s", (uintmax_t) r->size, r->mode ?: "?",
                         r->uuid ?: "none", r->ways, r->granularity, r->committed ? "committed" : "not committed", r->driver ?: "none",
                         targets ?: ""));
        }
        for (size_t i = 0; i < s->n_nd_regions; i++)
                add(things, strf("nvdimm region at 0x%jx", (uintmax_t) s->nd_regions[i]->start),
                    strf("%ju bytes, driver %s", (uintmax_t) s->nd_regions[i]->size, s->nd_regions[i]->driver ?: "none"));
        for (size_t i = 0; i < s->n_namespaces; i++) {
                const Namespace *n = s->namespaces[i];
                add(things, strf("namespace %s", n->uuid ?: n->name),
                    strf("%ju bytes of mode %s, driver %s", (uintmax_t) n->size, n->mode ?: "?", n->driver ?: "none"));
        }
}

static void add_storage(json_object *things, const Scope *s) {
        for (size_t i = 0; i < s->n_blocks; i++) {
                const BlockDevice *b = s->blocks[i];
                if (b->kind == BLOCK_DISK || b->kind == BLOCK_PARTITION)
                        continue;
                add(things, strf("%s device %s", block_kind_to_string(b->kind), b->kind == BLOCK_MD ? b->uuid ?: b->name : b->label ?: b->name),
                    strf("%ju bytes on %zu devices%s%s", (uintmax_t) b->size, b->n_lower, b->read_only ? ", read-only" : "",
                         b->suspended ? ", suspended" : ""));
        }
        for (size_t i = 0; i < s->n_swaps; i++)
                add(things, strf("swap %s", s->swaps[i]->path), strf("%ju bytes, priority %d", (uintmax_t) s->swaps[i]->size,
                                                                     s->swaps[i]->priority));
}

/* Of a shared mount the group's number is the kernel's. */
static void add_mounts(json_object *things, const Scope *s) {
        for (size_t i = 0; i < s->n_mounts; i++) {
                const Mount *m = s->mounts[i];
                add(things, strf("mount %s" IN_NAMESPACE "%ju", m->target, (uintmax_t) m->ns),
                    strf("%s of %s, %s, %s%s%s", m->root, m->type, m->options, m->super_options ?: "",
                         m->propagation && strstr(m->propagation, "shared:") ? ", shared" : "",
                         m->propagation && strstr(m->propagation, "master:") ? ", slave" : ""));
        }
}

/* All that there are: one that ended with its processes, or began with new ones, has lost or won no mount. */
static void add_namespaces(json_object *o, const Topology *t) {
        json_object *namespaces = json_object_new_object();
        uint64_t last = 0;

        for (size_t i = 0; i < t->n_mounts; i++) {
                char number[24];
                if (t->mounts[i].ns == last)
                        continue;
                last = t->mounts[i].ns;
                snprintf(number, sizeof(number), "%ju", (uintmax_t) last);
                if (!json_has(namespaces, number))
                        json_set_bool(namespaces, number, true);
        }
        json_set(o, "namespaces", namespaces);
}

json_object *picture_of(const Scope *s, const Topology *t) {
        json_object *o = json_object_new_object(), *things = json_object_new_object();

        add_blocks(o, s, t);
        add_slots(things, s);
        add_devices(things, s, t);
        add_regions(things, s, t);
        add_storage(things, s);
        add_mounts(things, s);
        add_namespaces(o, t);
        json_set(o, "things", things);
        return o;
}

void picture_add(json_object *picture, const char *name, const char *text) {
        json_object *things = json_get(picture, "things"), *values = json_has(things, name) ? NULL : json_object_new_array();

        if (!values)
                return;
        json_append_str(values, text);
        json_set(things, name, values);
}

typedef struct Compare {
        size_t n;
        picture_told_t told;
        void *userdata;
} Compare;

static void differs(Compare *c, const char *what, const char *now, const char *was) {
        _cleanup_free_ char *text = !now ? strf("%s is not there any more, and was: %s", what, was)
                                  : !was ? strf("%s is there now (%s), and was not", what, now)
                                         : strf("%s: now %s, before it was %s", what, now, was);
        if (c->n++ < TOLD_MAX && text)
                c->told(c->userdata, text);
}

/* The state of block `id` in runs, of which those before *at end in front of it; NULL: there is no such block. *ret_until: the first
 * number behind it of which the answer may be another one. */
static const char *state_at(json_object *runs, size_t *at, uint64_t id, uint64_t *ret_until) {
        json_object *run;

        while ((run = json_at(runs, *at)) && json_object_get_uint64(json_at(run, 1)) < id)
                (*at)++;
        uint64_t first = run ? json_object_get_uint64(json_at(run, 0)) : UINT64_MAX;
        bool inside = run && first <= id;
        *ret_until = inside ? json_object_get_uint64(json_at(run, 1)) + 1 : first;
        return inside ? json_object_get_string(json_at(run, 2)) : NULL;
}

static void compare_blocks(Compare *c, json_object *before, json_object *after) {
        size_t at_before = 0, at_after = 0;

        for (uint64_t id = 0, next; id < UINT64_MAX; id = next) {
                uint64_t until_before, until_after;
                const char *was = state_at(before, &at_before, id, &until_before), *now = state_at(after, &at_after, id, &until_after);
                next = until_before < until_after ? until_before : until_after;
                if (streq_ptr(was, now))
                        continue;
                _cleanup_free_ char *what = next - id > 1 ? strf("memory%ju to memory%ju", (uintmax_t) id, (uintmax_t) next - 1)
                                                          : strf("memory%ju", (uintmax_t) id);
                differs(c, what ?: "memory", now, was);
        }
}

/* Each value for a person: those of one name in a row. */
static char *words_of(json_object *values) {
        char *text = NULL;

        for (size_t i = 0; i < json_len(values) && i < TOLD_MAX; i++) {
                _cleanup_free_ char *before = text;
                text = strf("%s%s%s", before ?: "", before ? "; " : "", json_object_get_string(json_at(values, i)));
        }
        return text;
}

/* What of a namespace is compared is one that is in both pictures. */
static bool counts(const char *key, json_object *before, json_object *after) {
        const char *number = NULL;

        for (const char *at = key; (at = strstr(at, IN_NAMESPACE)); number = at)
                at += strlen(IN_NAMESPACE);
        return !number || (json_has(json_get(before, "namespaces"), number) && json_has(json_get(after, "namespaces"), number));
}

static void compare_things(Compare *c, json_object *before_picture, json_object *after_picture) {
        json_object *before = json_get(before_picture, "things"), *after = json_get(after_picture, "things");

        if (json_object_is_type(before, json_type_object)) {
                json_object_object_foreach(before, key, was) {
                        json_object *now = json_get(after, key);
                        if ((now && json_object_equal(was, now)) || !counts(key, before_picture, after_picture))
                                continue;
                        _cleanup_free_ char *was_text = words_of(was), *now_text = words_of(now);
                        differs(c, key, now_text, was_text ?: "?");
                }
        }
        if (json_object_is_type(after, json_type_object)) {
                json_object_object_foreach(after, key, now) {
                        _cleanup_free_ char *text = json_has(before, key) ? NULL : words_of(now);
                        if (text && counts(key, before_picture, after_picture))
                                differs(c, key, text, NULL);
                }
        }
}

size_t picture_compare(json_object *before, json_object *after, picture_told_t told, void *userdata) {
        Compare c = { .told = told, .userdata = userdata };

        compare_blocks(&c, json_array(before, "blocks"), json_array(after, "blocks"));
        compare_things(&c, before, after);
        if (c.n > TOLD_MAX) {
                _cleanup_free_ char *more = strf("%zu more things are not as they were", c.n - TOLD_MAX);
                if (more)
                        told(userdata, more);
        }
        return c.n;
}
