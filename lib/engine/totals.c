/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "engine/engine.h"
#include "engine/journal.h"
#include "engine/seal.h"
#include "engine/state-dir.h"
#include "engine/totals.h"
#include "step/step.h"

#define NOT_KNOWN "unknown"

enum {
        LOOKS_MAX = 5,  /* a record is deleted after it was counted: who reads the file before and the records after that looks again */
        WORD_MAX = 32,
};

static json_object *totals_new(void) {
        json_object *o = json_object_new_object();

        format_set(o, FORMAT_TOTALS);
        json_set_u64(o, "since_usec", 0);
        json_set(o, "counted", json_object_new_array());
        json_set(o, "removals", json_object_new_array());
        json_set(o, "steps", json_object_new_array());
        return o;
}

static int read_one(const char *name, json_object **ret) {
        _cleanup_free_ char *path = strf("%s/%s", state_dir(), name), *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        char sha256[SHA256_HEX];
        size_t length;

        int r = path ? record_file_read(path, &text, &length) : -ENOMEM;
        if (r >= 0)
                r = seal_open(text, length, &o, sha256);
        if (r >= 0)
                r = format_check(o, FORMAT_TOTALS);
        if (r < 0)
                return r;
        if (!json_array(o, "counted") || !json_array(o, "removals") || !json_array(o, "steps"))
                return -EBADMSG;
        *ret = TAKE_PTR(o);
        return 0;
}

int totals_read(json_object **ret) {
        int r = read_one("totals.json", ret);
        if (r >= 0 || (r != -EBADMSG && r != -ENOENT))
                return r;
        int copy = read_one("totals.copy.json", ret);
        if (copy != -ENOENT)
                return copy;
        if (r == -ENOENT) {
                *ret = totals_new();
                return 0;
        }
        return r;
}

bool totals_has(json_object *totals, uint64_t removal) {
        char id[24];

        (void) snprintf(id, sizeof(id), "%" PRIu64, removal);
        return json_has_string(json_array(totals, "counted"), id);
}

static void add_to(json_object *o, const char *key, uint64_t more) {
        json_set_u64(o, key, json_u64(o, key) + more);
}

/* The row with these words, or a new one. */
static json_object *row_of(json_object *rows, const char *const *keys, const char *const *words) {
        for (size_t i = 0; i < json_len(rows); i++) {
                bool same = true;
                for (size_t k = 0; keys[k]; k++)
                        same = same && streq_ptr(json_str(json_at(rows, i), keys[k]), words[k]);
                if (same)
                        return json_at(rows, i);
        }
        json_object *row = json_object_new_object();
        for (size_t k = 0; keys[k]; k++)
                json_set_str(row, keys[k], words[k]);
        json_object_array_add(rows, row);
        return row;
}

/* Each word is a time series for ever in somebody's database. */
static const char *word_or_not_known(const char *word) {
        size_t n = word ? strlen(word) : 0;

        return n > 0 && n <= WORD_MAX && strspn(word, "abcdefghijklmnopqrstuvwxyz-") == n ? word : NOT_KNOWN;
}

/* What one record says; what it does not say is left out. */
typedef struct Sum {
        json_object *totals;
        json_object *steps;     /* of its plan */
        json_object *begun;     /* number of a step, with its direction: when it was begun */
        const char *kind, *outcome, *code;
        json_object *start, *end;
} Sum;

static void take_step(Sum *s, json_object *record, const char *direction, bool begins) {
        static const char *const keys[] = { "step", "direction", NULL };
        uint64_t n = json_u64(record, "n"), usec = journal_moment(record);
        char key[32];

        (void) snprintf(key, sizeof(key), "%s %" PRIu64, direction, n);
        if (begins) {
                json_set_u64(s->begun, key, usec);
                return;
        }
        const char *name = json_str(json_at(s->steps, n), "name");
        if (!json_has(s->begun, key) || step_type_from_string(name ?: "") < 0)
                return;
        json_object *row = row_of(json_array(s->totals, "steps"), keys, (const char *const[]) { name, direction });
        uint64_t since = json_u64(s->begun, key);
        add_to(row, "count", 1);
        add_to(row, "usec", usec > since ? usec - since : 0); /* an older version's clock may have been set */
        json_object_object_del(s->begun, key);
}

static void take_record(json_object *record, void *userdata) {
        static const struct {
                const char *ev, *direction;
                bool begins;
        } evs[] = {
                { "do", "down", true }, { "done", "down", false }, { "undo", "back", true }, { "undone", "back", false },
        };
        const char *ev = json_str(record, "ev");
        Sum *s = userdata;
        bool restores = streq_ptr(json_str(s->start, "kind"), "restore");

        for (size_t i = 0; i < ELEMENTSOF(evs); i++)
                if (streq_ptr(ev, evs[i].ev))
                        take_step(s, record, restores ? "back" : evs[i].direction, evs[i].begins);
        if (streq_ptr(ev, "start") && !s->start)
                s->start = json_ref(record);
        if (streq_ptr(ev, "end") && !s->end)
                s->end = json_ref(record);
}

static json_object *steps_of(uint64_t removal, json_object **ret_plan) {
        _cleanup_free_ char *path = strf("%s/removals/%" PRIu64 "/plan.json", state_dir(), removal), *text = NULL;
        size_t length;

        if (!path || record_file_read(path, &text, &length) < 0 || json_parse(text, length, ret_plan) < 0)
                return NULL;
        return json_array(*ret_plan, "steps");
}

/* 1: it has ended, and is in the sums now. 0: it has not. What of it cannot be read is counted as not known, since it will be deleted as
 * all others. */
static int take_removal(json_object *totals, uint64_t removal) {
        static const char *const keys[] = { "kind", "outcome", "code", NULL };
        _cleanup_free_ char *dir = strf("%s/removals/%" PRIu64, state_dir(), removal), *path = strf("%s/journal", dir ?: "");
        _cleanup_json_ json_object *plan = NULL, *begun = json_object_new_object();
        Sum s = { .totals = totals, .begun = begun };

        if (!dir || !path)
                return -ENOMEM;
        if (!removal_has_ended(dir))
                return 0;
        s.steps = steps_of(removal, &plan);
        (void) record_each(path, take_record, &s);
        const char *outcome = json_str(s.end, "outcome"), *kind = json_str(s.start, "kind") ?: "remove";
        const char *words[] = { word_or_not_known(kind), outcome_from_string(outcome ?: "") >= 0 ? outcome : NOT_KNOWN,
                                word_or_not_known(json_str(s.end, "code")) };
        add_to(row_of(json_array(totals, "removals"), keys, words), "count", 1);
        json_object_put(s.start);
        json_object_put(s.end);
        return 1;
}

/* Adds what is not in it, and forgets of which there is no record any more. */
static int take_new(json_object *totals) {
        _cleanup_json_ json_object *counted = json_object_new_array();
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int r = removal_ids(&ids, &n);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = totals_has(totals, ids[i]) ? 1 : take_removal(totals, ids[i]);
                if (r > 0)
                        json_append_strf(counted, "%" PRIu64, ids[i]);
        }
        if (r < 0)
                return r;
        json_set(totals, "counted", TAKE_PTR(counted));
        return 0;
}

static int save(json_object *totals) {
        static const char *const names[] = { "totals.copy.json", "totals.json" };
        char sha256[SHA256_HEX];
        _cleanup_free_ char *text = seal_text(totals, sha256);
        int r = text ? 0 : -ENOMEM;

        /* One of them is whole whenever we end: the second one is not touched before the first one is. */
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = strf("%s/%s", state_dir(), names[i]);
                r = path ? write_file_durably(path, text) : -ENOMEM;
        }
        return r;
}

int totals_count(void) {
        _cleanup_json_ json_object *totals = NULL;
        _cleanup_close_ int lock = -EBADF;

        int r = state_lock_open("totals.lock", &lock);
        if (r < 0)
                return r;
        if (flock(lock, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        r = totals_read(&totals);
        if (r == -EBADMSG) {
                totals = totals_new();
                r = 0;
        }
        if (r < 0)
                return r;
        _cleanup_free_ char *before = strdup(json_text(totals));
        r = take_new(totals);
        if (r < 0 || !before || streq(before, json_text(totals)))
                return r;
        if (json_u64(totals, "since_usec") == 0)
                json_set_u64(totals, "since_usec", now_wall());
        return save(totals);
}

int totals_load(json_object **ret) {
        for (size_t looks = 0; looks < LOOKS_MAX; looks++) {
                _cleanup_json_ json_object *totals = NULL, *again = NULL;

                int r = totals_read(&totals);
                bool damaged = r == -EBADMSG;
                if (damaged)
                        totals = totals_new();
                else if (r < 0)
                        return r;
                _cleanup_free_ char *before = strdup(json_text(totals));
                r = before ? take_new(totals) : -ENOMEM;
                if (r < 0)
                        return r;
                r = totals_read(&again);
                if (damaged ? r != -EBADMSG : r < 0 || !streq(before, json_text(again)))
                        continue;
                if (damaged)
                        json_set_bool(totals, "damaged", true);
                *ret = TAKE_PTR(totals);
                return 0;
        }
        return -EAGAIN;
}
