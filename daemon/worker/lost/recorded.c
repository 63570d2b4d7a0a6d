/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the newest removal of a slot has put on record of its card. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "base/run-dir.h"
#include "engine/journal.h"
#include "engine/records.h"
#include "engine/state-dir.h"
#include "kernel/process/apart.h"
#include "probe/probe.h"
#include "recorded.h"

enum {
        RECORDS_LOOKED_AT = 64, /* the newest ones: an older removal of the slot would be of an earlier card */
};

#define RECORDS_USEC (2 * USEC_PER_SEC) /* a disk that has to wake up takes longer: the next look asks it again */

void subject_done(Subject *s) {
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

/* 1: this removal began after that moment of this boot, was of the slot and has a scope, which is in *ret. */
static int subject_from_record(uint64_t removal, const char *port, const char *slot, uint64_t after_usec, Subject *ret) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(Journal));
        _cleanup_json_ json_object *plan = NULL;

        if (!j)
                return -ENOMEM;
        j->fd = -EBADF;
        j->last_do = SIZE_MAX;
        int r = record_load(removal, &plan, j);
        if (r == -EPROTONOSUPPORT && !j->other_boot && record_may_be_of(j->start, slot))
                return r;
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        json_object *scope = scope_of_plan(plan, port, slot);
        if (!scope || j->other_boot || (after_usec > 0 && json_u64(j->start, "monotonic_usec") <= after_usec))
                return 0;
        *ret = (Subject) { .scope = probe_scope(scope, json_get(j->start, "since")), .removal = removal, .by = "removal",
                           .safe = streq_ptr(json_str(j->end, "outcome"), "safe") };
        return 1;
}

int recorded_subject(const char *port, const char *slot, uint64_t after_usec, Subject *ret) {
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
        r = recorded_subject(slot->port, slot->name, 0, &s);
        if (r <= 0 || !s.safe)
                return r;
        *ret_text = strf("%ju", (uintmax_t) json_u64(json_get(s.scope, "since"), "sequence"));
        return *ret_text ? 0 : -ENOMEM;
}

int recorded_safe_since(const Slot *slot, uint64_t *ret) {
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
