/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions about what has been proven: of a slot now, and of the records. Nothing is written. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "base/run-dir.h"
#include "daemon/worker/request.h"
#include "daemon/worker/verbs.h"
#include "daemon/worker/view.h"
#include "engine/chain.h"
#include "engine/journal.h"
#include "engine/last-seen.h"
#include "engine/state-dir.h"
#include "kernel/process/apart.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "last-seen.h"
#include "verify.h"

enum {
        RECORDS_LOOKED_AT = 64, /* the newest ones: an older removal of the slot would be of an earlier card */
};

#define RECORDS_USEC (2 * USEC_PER_SEC) /* a disk that has to wake up takes longer: the next look asks it again */

/* What the probes are asked about, and who wrote that down. */
typedef struct Subject {
        json_object *scope;
        uint64_t removal;       /* 0: no removal did */
        const char *by;         /* "removal"; "card": it is up, it was made from a look at it; "last-seen": it was, and was pulled; "none":
                                 * nobody has seen one, and there is nothing to prove */
        bool safe;              /* the removal ended so */
} Subject;

static void subject_done(Subject *s) {
        json_object_put(s->scope);
}

/* What was written down of this slot: a removal may have been of several. */
static json_object *scope_of_plan(json_object *plan, const char *port, const char *slot) {
        json_object *steps = json_array(plan, "steps");

        for (size_t i = json_len(steps); i-- > 0;) {
                json_object *scope = json_get(json_get(json_at(steps, i), "args"), "scope");
                if (scope && (port ? streq_ptr(json_str(scope, "port"), port) : streq_ptr(json_str(scope, "slot"), slot)))
                        return scope;
        }
        return NULL;
}

static int record_load(uint64_t removal, json_object **ret_plan, Journal *j) {
        _cleanup_free_ char *dir = strf("%s/removals/%ju", state_dir(), (uintmax_t) removal);
        _cleanup_free_ char *plan = strf("%s/plan.json", dir), *journal = strf("%s/journal", dir), *text = NULL, *records = NULL;
        char boot[33];
        size_t length;

        if (!dir || !plan || !journal)
                return -ENOMEM;
        int r = record_file_read(plan, &text, &length);
        if (r >= 0)
                r = json_parse_names(text, length, ret_plan);
        if (r >= 0)
                r = boot_id_read(boot);
        if (r >= 0)
                r = record_file_read(journal, &records, NULL);
        return r < 0 ? r : journal_replay(j, records, boot);
}

/* 1: this removal began behind that moment of this boot, was of the slot and has a scope, which is in *ret. */
static int subject_from_record(uint64_t removal, const char *port, const char *slot, uint64_t after_usec, Subject *ret) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(Journal));
        _cleanup_json_ json_object *plan = NULL;

        if (!j)
                return -ENOMEM;
        j->fd = -EBADF;
        j->last_do = SIZE_MAX;
        int r = record_load(removal, &plan, j);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        json_object *scope = scope_of_plan(plan, port, slot);
        if (!scope || j->other_boot || (after_usec > 0 && json_u64(j->start, "monotonic_usec") <= after_usec))
                return 0;
        *ret = (Subject) { .scope = probe_scope(scope, json_get(j->start, "since")), .removal = removal, .by = "removal",
                           .safe = streq_ptr(json_str(j->end, "outcome"), "safe") };
        return 1;
}

/* Of the newest removals of the slot behind that moment of this boot (0: at any time). 1: found. */
static int subject_from_records(const char *port, const char *slot, uint64_t after_usec, Subject *ret) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int r = removal_ids(&ids, &n);
        for (size_t i = n; r >= 0 && i-- > 0 && i + RECORDS_LOOKED_AT >= n;) {
                r = subject_from_record(ids[i], port, slot, after_usec, ret);
                if (r != 0)
                        return r;
        }
        return r < 0 ? r : 0;
}

/* apart_work_t. One reader at a time, of all looks: one that hangs in the kernel for ever keeps the others out here, where a signal ends
 * them. */
static int read_safe_since(void *data, char **ret_text) {
        _cleanup_free_ char *path = strf("%s/looking-at-records", run_dir());
        _cleanup_(subject_done) Subject s = { 0 };
        const Slot *slot = data;

        if (!path)
                return -ENOMEM;
        int r = mkdir_private(run_dir());
        if (r < 0)
                return r;
        _cleanup_close_ int fd = create_durably(path, O_RDWR);
        if (fd < 0)
                return fd;
        if (flock(fd, LOCK_EX) < 0)
                return -errno;
        r = subject_from_records(slot->port, slot->name, 0, &s);
        if (r <= 0 || !s.safe)
                return r;
        *ret_text = strf("%ju", (uintmax_t) json_u64(json_get(s.scope, "since"), "sequence"));
        return *ret_text ? 0 : -ENOMEM;
}

int verify_safe_since(const Slot *slot, uint64_t *ret) {
        const ApartOptions options = { .timeout_usec = RECORDS_USEC };
        _cleanup_free_ char *text = NULL;
        uint64_t sequence = 0;

        int r = run_apart(read_safe_since, (void *) slot, &options, &text);
        if (r >= 0 && text)
                r = parse_u64(text, &sequence);
        if (r < 0)
                return r;
        *ret = sequence;
        return 0;
}

/* A card that is up is asked about as it is. Of one that is not there is what its removal wrote down, or whoever saw it last: a removal
 * that proved it gone has had that forgotten. *ret_why (newly allocated, may be NULL): of an error, in words. */
static int subject_find(const Request *request, Subject *ret, char **ret_why) {
        _cleanup_(scope_done) Scope now = { 0 };
        _cleanup_json_ json_object *seen = NULL;

        int r = scope_find(request->topology, request->slot, &now);
        if (r < 0)
                return r;
        if (now.n_functions == 0) {
                const char *key = last_seen_key(request->port, request->slot_name);
                r = last_seen_load(key, &seen);
                bool remembered = r >= 0;
                if (r < 0 && r != -ENOENT) {
                        *ret_why = last_seen_left(key); /* it may be what is asked about */
                        return r;
                }
                r = subject_from_records(request->port, request->slot_name, remembered ? json_u64(seen, "seen_usec") ?: UINT64_MAX : 0, ret);
                if (r != 0)
                        return r;
                if (remembered) {
                        *ret = (Subject) { .scope = json_ref(json_get(seen, "scope")), .by = "last-seen" };
                        return 0;
                }
        }
        *ret = (Subject) { .scope = scope_probe_json(&now, request->topology), .by = scope_is_empty(&now) ? "none" : "card" };
        return 0;
}

/* A disk is in use that is gone, and nothing tells that it was not in this slot: of a card of which nobody has written anything down, or of one
 * that was not proved gone. Or *ret stays NULL: that is not so, and what has gone since the proof is none of the slot's. */
static int not_known(const Request *request, Subject *subject, json_object **ret) {
        json_object *since = json_get(subject->scope, "since");
        _cleanup_vanished_ VanishedList vanished = { 0 };

        int r = last_seen_vanished(request->topology, &vanished);
        if (r < 0)
                return r;
        if (vanished_may_be_of(&vanished, request->slot, subject->safe ? json_u64(since, "sequence") : 0))
                *ret = vanished_json(&vanished);
        else if (subject->safe && request->slot->address)
                vanished_leave_out(&vanished, request->slot, true, subject->scope);
        return 0;
}

static json_object *answer_make(const Request *request, const Subject *subject, json_object *unknown) {
        json_object *o = json_object_new_object(), *report = NULL;
        SlotRegisters s;
        bool known = request->port && slot_registers_read(request->port, &s) >= 0;

        bool holds = probes_report(subject->scope, false, &report);
        json_set_str(o, "schema", "safe-remove/verify/1");
        json_set_str(o, "slot", request->slot_name);
        json_set_str(o, "port", request->port);
        json_set(o, "removal", NULL);
        if (subject->removal > 0)
                json_set_strf(o, "removal", "%ju", (uintmax_t) subject->removal);
        json_set_str(o, "subject", subject->by);
        /* A proof about nothing is none. */
        json_set_bool(o, "holds", holds && !unknown && !streq(subject->by, "none"));
        if (unknown)
                json_set(o, "not_known", json_ref(unknown));
        json_set_str(o, "power_led", known && s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention_led", known && s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set(o, "probes", report);
        json_set_u64(o, "asked_usec", now_wall());
        return o;
}

int worker_verify(WorkerIo *io, json_object *doc) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(subject_done) Subject subject = { 0 };
        _cleanup_json_ json_object *unknown = NULL;
        _cleanup_free_ char *why = NULL;

        int r = request_understand(io, doc, &request);
        if (r < 0)
                return r;
        r = subject_find(&request, &subject, &why);
        if (r >= 0)
                r = not_known(&request, &subject, &unknown);
        if (r < 0) {
                worker_send_error(io, "internal", why ?: strerror(-r));
                return r;
        }
        _cleanup_json_ json_object *answer = answer_make(&request, &subject, unknown);
        view_restrict(answer, json_get(doc, "by"));
        worker_send_document(io, doc, json_text(answer));
        return 0;
}

int worker_certificates(WorkerIo *io) {
        json_object *report = NULL;

        int r = chain_verify_patiently(&report);
        if (r == -EAGAIN) {
                worker_send_error(io, "busy", "A removal is writing its certificate. Try again in a moment.");
                return r;
        }
        if (r < 0) {
                _cleanup_free_ char *text = strf("The records in %s cannot be read: %s.", state_dir(), strerror(-r));
                worker_send_error(io, "internal", text ?: strerror(-r));
                return r;
        }
        worker_send(io, report);
        return 0;
}
