/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "engine/engine.h"
#include "engine/records.h"
#include "engine/state-dir.h"
#include "step/evict/take-mappings.h"

void record_free(Record *r) {
        free(r->id);
        if (r->journal)
                journal_free(r->journal);
        if (r->plan)
                plan_free(r->plan);
        free(r);
}

static bool took_all_down(const Record *r) {
        const Journal *j = r->journal;
        int outcome = outcome_from_string(json_str(j->end, "outcome"));

        if (plan_is_restoration(r->plan) || plan_is_finish(r->plan) || j->backwards)
                return false;
        return outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED || outcome == OUTCOME_TESTED ||
               (outcome == OUTCOME_STUCK && j->last_do != SIZE_MAX && j->last_do >= plan_first_irreversible(r->plan));
}

static bool got_stuck(const Record *r) {
        return !plan_is_restoration(r->plan) && !plan_is_finish(r->plan) && outcome_from_string(json_str(r->journal->end, "outcome")) == OUTCOME_STUCK;
}

/* Who has lost his mapping by force has the device open still, and this kernel crashes when he closes it after its driver was bound again
 * (drivers/dax/device.c:dev_dax_probe makes the same cdev anew). */
static bool has_taken(const Record *r) {
        for (size_t n = 0; n < r->plan->n_steps; n++)
                if (take_in_notes(journal_notes(r->journal, n)))
                        return true;
        return false;
}

bool record_is_left_down(const Record *r) {
        return got_stuck(r) && r->journal->backwards && r->journal->last_do != SIZE_MAX && !has_taken(r);
}

static int record_read(uint64_t id, Record **ret) {
        _cleanup_(record_freep) Record *r = calloc(1, sizeof(Record));
        _cleanup_free_ char *why = NULL;

        if (!r)
                return -ENOMEM;
        r->id = strf("%ju", (uintmax_t) id);
        int k = r->id ? journal_read(r->id, &r->journal, &r->plan, &why) : -ENOMEM;
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

/* record_take_t: how it begins and ends is the same in all forms (docs/PROTOCOL.md). */
static void take_ends(json_object *record, void *userdata) {
        UnreadRecord *u = userdata;
        const char *ev = json_str(record, "ev");
        json_object **to = streq_ptr(ev, "start") ? &u->start : streq_ptr(ev, "end") ? &u->end : NULL;

        if (!to)
                return;
        json_object_put(*to);
        *to = json_ref(record);
}

void unread_record_done(UnreadRecord *u) {
        json_object_put(u->start);
        json_object_put(u->end);
}

bool record_may_be_of(json_object *start, const char *slot) {
        return !slot || !json_str(start, "slot") || streq(json_str(start, "slot"), slot) || json_has_string(json_array(start, "slots"), slot);
}

static bool may_have_taken_all_down(const UnreadRecord *u) {
        int outcome = outcome_from_string(json_str(u->end, "outcome"));

        if (streq_ptr(json_str(u->start, "kind"), "restore") || streq_ptr(json_str(u->start, "kind"), "finish"))
                return false;
        return outcome < 0 || outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED || outcome == OUTCOME_TESTED || outcome == OUTCOME_STUCK;
}

/* The error, where it may be one that is looked for; 0: it is passed over. */
static int hear_unread(const RecordQuestion *q, uint64_t id, int error, bool of_removals, UnreadRecord *ret) {
        _cleanup_free_ char *path = strf("%s/removals/%ju/journal", state_dir(), (uintmax_t) id);
        _cleanup_(unread_record_done) UnreadRecord u = { .id = id, .error = error };

        if (error == -ENOMEM || !path)
                return -ENOMEM;
        if (error == -ENOENT)
                return 0; /* it is being deleted */
        int r = record_each(path, take_ends, &u);
        if (r >= 0 && !u.start && !u.end)
                return 0; /* the power went while it was begun */
        if (of_removals && !may_have_taken_all_down(&u))
                return 0;
        if (q->may_fit ? !q->may_fit(&u, q->userdata) : error != -EPROTONOSUPPORT)
                return 0;
        if (ret) {
                *ret = u;
                u = (UnreadRecord) { 0 };
        }
        return error;
}

int record_find(const RecordQuestion *q, Record **ret, UnreadRecord *ret_unread) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int k = removal_ids(&ids, &n);
        for (size_t i = n; k >= 0 && i > 0; i--) {
                _cleanup_(record_freep) Record *r = NULL;

                k = record_read(ids[i - 1], &r);
                if (k < 0) {
                        k = hear_unread(q, ids[i - 1], k, true, ret_unread);
                        continue;
                }
                if ((!took_all_down(r) && !record_is_left_down(r) && !(q->any_stuck && got_stuck(r))) || !q->fits(r, q->userdata))
                        continue;
                *ret = TAKE_PTR(r);
                return 0;
        }
        return k < 0 ? k : -ENOENT;
}

bool record_finishes(const Record *later, const Record *r) {
        return plan_is_finish(later->plan) && streq_ptr(json_str(later->plan->doc, "of"), r->id) &&
               outcome_from_string(json_str(later->journal->end, "outcome")) == OUTCOME_SAFE;
}

int record_find_later(const Record *r, const RecordQuestion *q, UnreadRecord *ret_unread) {
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t own = 0;
        size_t n = 0;

        int k = parse_u64(r->id, &own);
        if (k >= 0)
                k = removal_ids(&ids, &n);
        for (size_t i = n; k >= 0 && i > 0 && ids[i - 1] > own; i--) {
                _cleanup_(record_freep) Record *later = NULL;

                k = record_read(ids[i - 1], &later);
                if (k < 0)
                        k = hear_unread(q, ids[i - 1], k, false, ret_unread);
                else if (q->fits(later, q->userdata))
                        return 1;
        }
        return k < 0 ? k : 0;
}
