/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "engine/engine.h"
#include "engine/records.h"
#include "engine/state-dir.h"

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

int record_find(bool (*fits)(const Record *r, void *userdata), void *userdata, Record **ret) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int k = removal_ids(&ids, &n);
        if (k < 0)
                return k;
        for (size_t i = n; i > 0; i--) {
                _cleanup_(record_freep) Record *r = NULL;

                k = record_read(ids[i - 1], &r);
                if (k == -ENOMEM || k == -EPROTONOSUPPORT)
                        return k;
                if (k < 0 || !took_all_down(r) || !fits(r, userdata))
                        continue;
                *ret = TAKE_PTR(r);
                return 0;
        }
        return -ENOENT;
}

bool record_finishes(const Record *later, const Record *r) {
        return plan_is_finish(later->plan) && streq_ptr(json_str(later->plan->doc, "of"), r->id) &&
               outcome_from_string(json_str(later->journal->end, "outcome")) == OUTCOME_SAFE;
}

int record_find_later(const Record *r, bool (*fits)(const Record *later, void *userdata), void *userdata) {
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t own = 0;
        size_t n = 0;

        int k = parse_u64(r->id, &own);
        if (k >= 0)
                k = removal_ids(&ids, &n);
        for (size_t i = n; k >= 0 && i > 0 && ids[i - 1] > own; i--) {
                _cleanup_(record_freep) Record *later = NULL;

                int q = record_read(ids[i - 1], &later);
                if (q == -ENOMEM || q == -EPROTONOSUPPORT)
                        return q;
                if (q >= 0 && fits(later, userdata))
                        return 1;
        }
        return k < 0 ? k : 0;
}
