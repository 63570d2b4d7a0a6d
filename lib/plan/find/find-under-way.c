/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other removals have begun: what their cards have goes too, and is neither room nor a second copy for this one. Steps are carried out by
 * one removal at a time, so a thing that both would take down, or that has nothing left once both cards are gone, is in nobody's
 * plan: it is in the way of the one that came later. */
#include <errno.h>

#include "base/pointer-set.h"
#include "plan/find/blockers.h"

int scope_find_with_under_way(const Topology *t, const Scope *s, const PlanRequest *request, Scope *ret) {
        size_t n = s->n_others + request->n_under_way;
        _cleanup_free_ const Slot **others = calloc(n + 1, sizeof(Slot *));

        if (!others)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                others[i] = i < s->n_others ? s->others[i] : request->under_way[i - s->n_others];
        return scope_find_all(t, s->slot, others, n, ret);
}

void find_writers(Findings *f) {
        for (size_t i = 0; i < json_len(f->request->writers); i++) {
                json_object *writer = json_at(f->request->writers, i);
                json_object *o = finding(f, BLOCKER_STILL_WRITING, true, "%s: its write may still take effect at any time", json_str(writer, "text"));

                if (json_flag(writer, "unread"))
                        json_set_str(o, "evidence", "a file that cannot be read may name a process that still writes");
                else if (json_u64(writer, "removal") > 0)
                        json_set_strf(o, "evidence", "it was left behind by removal %ju", (uintmax_t) json_u64(writer, "removal"));
                else if (json_flag(writer, "light"))
                        json_set_str(o, "evidence", "it sets the light of the slot, for no removal, and was left behind in safe-remove-guard.service");
                else
                        json_set_str(o, "evidence", "it was left behind by safe-remove-guard.service");
                finding_remedy(o, "%s", json_str(writer, "remedy"));
        }
}

/* Closed world: it may have taken half of the card down. */
void find_unread(Findings *f) {
        for (size_t i = 0; i < json_len(f->request->unread); i++) {
                json_object *record = json_at(f->request->unread, i);
                const char *id = json_str(record, "id"), *slot = json_str(record, "slot"), *why = json_str(record, "why") ?: "?";
                json_object *o;

                if (!id) {
                        o = finding(f, BLOCKER_RECORD_UNREAD, true, "the records of removals cannot be read yet, so whether one has not ended is not "
                                    "known");
                        json_set_strf(o, "evidence", "%s: %s", f->request->state_dir, why);
                        finding_remedy(o, "findmnt -T %s; journalctl -b -u safe-removed.service  # they are tried again", f->request->state_dir);
                        continue;
                }
                o = finding(f, BLOCKER_RECORD_UNREAD, true, "the record of removal %s, which %s%s, cannot be read, so %s is not known",
                            id, slot ? "was at slot " : "may have been at any slot", slot ?: "",
                            json_flag(record, "ended") ? "what it has left there" : "whether it has ended");
                json_set_strf(o, "evidence", "%s/removals/%s: %s", f->request->state_dir, id, why);
                if (json_flag(record, "newer"))
                        finding_remedy(o, "safe-remove --version  # install the version that wrote %s/removals/%s again: only that one can go on with it, or put back "
                                       "what it has done", f->request->state_dir, id);
                else
                        finding_remedy(o, "ls -l %s/removals/%s  # repair it or move it away; it is read again within a minute or so",
                                       f->request->state_dir, id);
        }
}

/* What one kind of things is called, and how they are told from each other. */
typedef struct Kind {
        const void *const *all, *const *ours, *const *theirs;
        size_t n_all, n_ours, n_theirs;
        const char *(*name)(const void *item);
} Kind;

static const char *region_name(const void *item) {
        return ((const Region *) item)->name;
}

static const char *nd_region_name(const void *item) {
        return ((const NdRegion *) item)->name;
}

static const char *block_name(const void *item) {
        return ((const BlockDevice *) item)->label ?: ((const BlockDevice *) item)->name;
}

static const char *mount_name(const void *item) {
        return ((const Mount *) item)->target;
}

static const char *swap_name(const void *item) {
        return ((const Swap *) item)->path;
}

static void tell(Findings *f, const char *name, bool both) {
        _cleanup_free_ char *slots = strdup("");

        for (size_t i = 0; i < f->request->n_under_way; i++)
                (void) text_add(&slots, ", ", "%s", f->request->under_way[i]->name);
        json_object *o = finding(f, BLOCKER_UNDER_WAY, true, both ? "the removal of slot %s, which is under way, takes %s down as well" :
                                 "slot %s is being removed: without both cards nothing of %s is left", slots ?: "?", name);
        json_set_str(o, "evidence", "a removal that has begun and not ended is on record");
        finding_remedy(o, "safe-remove status  # and ask again once that removal has ended, or cancel it and remove all of the cards together");
}

/* The first of a kind says it: there may be thousands. */
static int look_at(Findings *f, const Kind *k) {
        _cleanup_(pointer_set_done) PointerSet ours = { 0 }, theirs = { 0 };
        bool told[2] = { false };

        int r = pointer_set_make(k->ours, k->n_ours, &ours);
        if (r >= 0)
                r = pointer_set_make(k->theirs, k->n_theirs, &theirs);
        for (size_t i = 0; i < k->n_all && r >= 0; i++) {
                bool both = pointer_set_has(&ours, k->all[i]);
                if (both != pointer_set_has(&theirs, k->all[i]) || told[both])
                        continue;
                told[both] = true;
                tell(f, k->name(k->all[i]), both);
        }
        return r;
}

#define KIND(f, theirs_, field, name_)                                                                  \
        (Kind) {                                                                                        \
                (const void *const *) (f)->all->field, (const void *const *) (f)->s->field,             \
                (const void *const *) (theirs_)->field, (f)->all->n_##field, (f)->s->n_##field,         \
                (theirs_)->n_##field, name_                                                             \
        }

int find_under_way(Findings *f) {
        _cleanup_(scope_done) Scope theirs = { 0 };
        const PlanRequest *q = f->request;

        if (q->n_under_way == 0 || !f->all)
                return 0;
        int r = scope_find_all(f->t, q->under_way[0], q->under_way + 1, q->n_under_way - 1, &theirs);
        if (r < 0)
                return r;
        const Kind kinds[] = {
                KIND(f, &theirs, regions, region_name), KIND(f, &theirs, nd_regions, nd_region_name),
                KIND(f, &theirs, blocks, block_name), KIND(f, &theirs, mounts, mount_name), KIND(f, &theirs, swaps, swap_name),
        };
        for (size_t i = 0; i < ELEMENTSOF(kinds) && r >= 0; i++)
                r = look_at(f, &kinds[i]);
        return r;
}
