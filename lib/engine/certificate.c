/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/format.h"
#include "engine/certificate.h"
#include "engine/journal.h"
#include "engine/state-dir.h"

enum {
        RECENT = 64, /* removals that can be under way at a time, and then some */
};

/* What a finished removal left. */
typedef struct Records {
        Journal *journal;
        json_object *plan;
        char journal_sha256[SHA256_HEX], plan_sha256[SHA256_HEX];
} Records;

static void records_done(Records *r) {
        if (r->journal)
                journal_free(r->journal);
        json_object_put(r->plan);
}

static int record_read(uint64_t removal, const char *name, char **ret, size_t *ret_length, char sha256[static SHA256_HEX]) {
        _cleanup_free_ char *path = strf("%s/removals/%ju/%s", state_dir(), (uintmax_t) removal, name);

        int r = path ? record_file_read(path, ret, ret_length) : -ENOMEM;
        if (r >= 0)
                sha256_of(*ret, *ret_length, sha256);
        return r;
}

static int records_load(uint64_t removal, Records *r) {
        _cleanup_free_ char *journal = NULL, *plan = NULL;
        size_t length;

        int q = record_read(removal, "plan.json", &plan, &length, r->plan_sha256);
        if (q >= 0)
                q = json_parse(plan, length, &r->plan);
        if (q >= 0)
                q = record_read(removal, "journal", &journal, &length, r->journal_sha256);
        if (q < 0)
                return q;
        r->journal = calloc(1, sizeof(Journal));
        if (!r->journal)
                return -ENOMEM;
        r->journal->fd = -EBADF;
        r->journal->last_do = SIZE_MAX;
        q = journal_replay(r->journal, journal, "");
        if (q < 0)
                return q;
        return r->journal->end ? 0 : -ENODATA;
}

static void copy(json_object *to, json_object *from, const char *const *keys, size_t n) {
        for (size_t i = 0; i < n; i++)
                json_set(to, keys[i], json_ref(json_get(from, keys[i])));
}

/* The last note with this key: of the last step that noted any; of several slots the last about this one. Borrowed, or NULL. */
static json_object *last_note(const Records *r, const char *slot, const char *key) {
        json_object *steps = json_array(r->plan, "steps");

        for (size_t i = json_len(steps); i-- > 0;) {
                json_object *notes = journal_notes(r->journal, i), *scope = json_get(json_get(json_at(steps, i), "args"), "scope");
                for (size_t k = json_len(notes); k-- > 0 && (!slot || streq_ptr(json_str(scope, "slot"), slot));)
                        if (json_get(json_at(notes, k), key))
                                return json_at(notes, k);
        }
        return NULL;
}

/* The answers that a light relied on, and what those said after it who had not answered. slot: of several; else NULL. */
static void add_probes(json_object *all, const Records *r, const char *slot) {
        json_object *of_slot = json_array(last_note(r, slot, "probes"), "probes"), *later = last_note(r, slot, "later");

        for (size_t i = 0; i < json_len(of_slot); i++) {
                json_object *probe = NULL;
                if (json_object_deep_copy(json_at(of_slot, i), &probe, NULL) < 0)
                        continue;
                if (slot)
                        json_set_str(probe, "slot", slot);
                if (later && streq_ptr(json_str(probe, "name"), "libraries"))
                        json_set_str(probe, "later", json_str(later, "later"));
                json_object_array_add(all, probe);
        }
}

static json_object *probes_of(const Records *r) {
        json_object *slots = json_array(r->plan, "slots"), *all = json_object_new_array();

        if (!slots)
                add_probes(all, r, NULL);
        for (size_t i = 0; i < json_len(slots); i++)
                add_probes(all, r, json_str(json_at(slots, i), "name"));
        return all;
}

/* Every use of force, in the order of the steps: a note that says what was forced. And what the operator has answered for. */
static json_object *forced_of(const Records *r) {
        json_object *forced = json_object_new_array(), *acknowledged = json_array(json_get(r->journal->start, "since"), "acknowledged");

        for (size_t i = 0; i < json_len(acknowledged); i++)
                json_append_strf(forced, "acknowledged a complaint of the kernel: %s", json_object_get_string(json_at(acknowledged, i)));

        for (size_t i = 0; i < json_len(json_array(r->plan, "steps")); i++) {
                json_object *notes = journal_notes(r->journal, i);
                for (size_t k = 0; k < json_len(notes); k++)
                        if (json_str(json_at(notes, k), "forced"))
                                json_append_str(forced, json_str(json_at(notes, k), "forced"));
        }
        return forced;
}

/* What the cards were told to do with all that is on them, how that was seen to have happened, and what was not seen. */
static json_object *sanitized_of(const Records *r) {
        json_object *all = json_object_new_array();

        for (size_t i = 0; i < json_len(json_array(r->plan, "steps")); i++) {
                json_object *notes = journal_notes(r->journal, i);
                for (size_t k = 0; k < json_len(notes); k++)
                        if (json_str(json_at(notes, k), "sanitized"))
                                json_object_array_add(all, json_ref(json_at(notes, k)));
        }
        return all;
}

static void set_chain(json_object *o, const ChainLink *before) {
        json_object *chain = json_object_new_object();

        json_set_u64(chain, "number", before->number + 1);
        json_set(chain, "previous_removal", NULL);
        if (before->number > 0)
                json_set_strf(chain, "previous_removal", "%ju", (uintmax_t) before->removal);
        json_set_str(chain, "previous", before->number > 0 ? before->sha256 : NULL);
        json_set(o, "chain", chain);
}

static json_object *certificate_make(uint64_t removal, const Records *r, const ChainLink *before) {
        static const char *const asked[] = { "target", "trigger", "by", "options", "boot", "host", "kernel", "version" };
        static const char *const ended[] = { "outcome", "code", "message", "remedy", "lost", "disturbed" };
        static const char *const restored[] = { "kind", "of" };
        json_object *start = r->journal->start, *end = r->journal->end;
        json_object *o = json_object_new_object(), *records = json_object_new_object();
        _cleanup_json_ json_object *sanitized = sanitized_of(r);

        format_set(o, FORMAT_CERTIFICATE);
        json_set_strf(o, "removal", "%ju", (uintmax_t) removal);
        set_chain(o, before);
        json_set(o, "slot", json_ref(json_get(r->plan, "slot")));
        if (json_has(r->plan, "slots"))
                json_set(o, "slots", json_ref(json_get(r->plan, "slots")));
        json_set(o, "card", json_ref(json_get(r->plan, "card")));
        json_set(o, "card_state", json_ref(r->journal->card));
        json_set_str(o, "plan_digest", json_str(r->plan, "digest"));
        copy(o, start, asked, ELEMENTSOF(asked));
        if (json_has(start, "kind"))
                copy(o, start, restored, ELEMENTSOF(restored));
        json_set(o, "started_usec", json_ref(json_get(start, "usec")));
        json_set(o, "ended_usec", json_ref(json_get(end, "usec")));
        copy(o, end, ended, ELEMENTSOF(ended));
        json_set(o, "forced", forced_of(r));
        if (json_len(sanitized) > 0)
                json_set(o, "sanitized", json_ref(sanitized));
        json_set(o, "probes", probes_of(r));
        json_set_str(records, "journal", r->journal_sha256);
        json_set_str(records, "plan.json", r->plan_sha256);
        json_set(o, "records", records);
        return o;
}

static int certificate_write(Chain *c, uint64_t removal) {
        _cleanup_free_ char *path = strf("%s/removals/%ju/certificate.json", state_dir(), (uintmax_t) removal), *text = NULL;
        _cleanup_(records_done) Records records = { 0 };
        ChainLink link = { .number = c->head.number + 1, .removal = removal };

        /* An unreadable record has no certificate, and whoever verifies is told so; the others have theirs. */
        int r = records_load(removal, &records);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        _cleanup_json_ json_object *o = certificate_make(removal, &records, &c->head);
        text = seal_text(o, link.sha256);
        if (!path || !text)
                return -ENOMEM;
        r = write_file_durably(path, text);
        if (r < 0)
                return r;
        c->head = link;
        return chain_save(c);
}

/* Of the ids from `first` on, or `newest` where none is newer. */
static ChainLink newest_of(const uint64_t *ids, size_t n, size_t first, ChainLink newest) {
        for (size_t i = first; i < n; i++)
                (void) chain_read_newer(ids[i], newest.number, &newest);
        return newest;
}

/* Where the file is gone or altered, the chain goes on from the newest certificate and says for ever that it was not whole. */
static int chain_recover(Chain *c, const char *what, const ChainLink *newest) {
        *c = (Chain) { .exists = true, .first_removal = newest->removal, .pruned = *newest, .head = *newest };
        c->damaged = strf("chain.json was %s when certificate %ju was to be written", what, (uintmax_t) newest->number + 1);
        return c->damaged ? 0 : -ENOMEM;
}

static int chain_take(Chain *c, const uint64_t *ids, size_t n) {
        int r = chain_load(c);
        if (r == -EBADMSG || (r >= 0 && !c->exists)) {
                ChainLink newest = newest_of(ids, n, 0, (ChainLink) { 0 });
                return newest.number > 0 || r < 0 ? chain_recover(c, r < 0 ? "not as it was written" : "missing", &newest) : 0;
        }
        if (r < 0)
                return r;

        /* One behind, when whoever wrote the newest certificate died before saying so. */
        c->head = newest_of(ids, n, n > RECENT ? n - RECENT : 0, c->head);
        return 0;
}

static bool wants_one(const Chain *c, uint64_t removal) {
        _cleanup_free_ char *dir = strf("%s/removals/%ju", state_dir(), (uintmax_t) removal);
        _cleanup_free_ char *path = strf("%s/removals/%ju/certificate.json", state_dir(), (uintmax_t) removal);

        return dir && path && removal >= c->first_removal && access(path, F_OK) < 0 && removal_has_ended(dir);
}

int certificates_write(void) {
        _cleanup_(chain_done) Chain c = { 0 };
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int r = removal_ids(&ids, &n);
        if (r >= 0)
                r = chain_take(&c, ids, n);
        for (size_t i = 0; r >= 0 && c.exists && i < n; i++)
                if (wants_one(&c, ids[i]))
                        r = certificate_write(&c, ids[i]);
        return r;
}

int certificates_begin(uint64_t removal) {
        _cleanup_free_ char *path = strf("%s/chain.json", state_dir());
        _cleanup_(chain_done) Chain c = { 0 };
        _cleanup_free_ uint64_t *ids = NULL;
        _cleanup_close_ int lock = -EBADF;
        size_t n = 0;

        if (!path)
                return -ENOMEM;
        if (access(path, F_OK) == 0)
                return 0;
        int r = chain_lock(CHAIN_LOCK_USEC, &lock);
        if (r >= 0)
                r = removal_ids(&ids, &n);
        if (r >= 0)
                r = chain_take(&c, ids, n);
        if (r < 0)
                return r;
        if (!c.exists)
                c = (Chain) { .exists = true, .first_removal = removal };
        return chain_save(&c);
}
