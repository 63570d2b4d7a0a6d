/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/pages-present.h"
#include "holders/process.h"
#include "holders/scan/sync-files.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/pages/page-census.h"
#include "kernel/process/apart.h"
#include "step/evict/hold-meanwhile.h"
#include "step/evict/take-mappings.h"
#include "step/evict/users.h"

enum {
        STOP_TIMEOUT_SEC = 10,

        /* Processes that get a SIGBUS end in their own time, and a look at one that is just ending fails. */
        PROOF_TIMEOUT_SEC = 30,
        PAUSE_MSEC = 50,
        NAMED_MAX = 3,
};

/* Of a file system's files, in all processes together: bytes mapped. */
#define FILES_MAX (UINT64_C(1) << 30)

static int none_pinned_in(StepRun *run, const TakenMemory *m, uint64_t start, uint64_t size) {
        _cleanup_(census_result_done) CensusResult census = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = page_census(start, size, m->kind == TARGET_FS ? CENSUS_FSDAX : CENSUS_DEVICE_DAX, &census);
        if (r < 0)
                return step_fail(run, r, "the pages of %s cannot be counted: %s", m->name, strerror(-r));
        if (census.verdict == CENSUS_CLEAN)
                return 0;
        text = census_result_text(&census);
        return step_fail(run, -EBUSY, "%s cannot be taken by force: %s", m->name, text ?: "pinned pages");
}

static int nothing_pinned(StepRun *run, const TakenMemory *m) {
        int r = m->ranges ? 0 : none_pinned_in(run, m, m->start, m->size);

        for (size_t i = 0; i < json_len(m->ranges) && r >= 0; i++)
                r = none_pinned_in(run, m, json_u64(json_at(m->ranges, i), "start"), json_u64(json_at(m->ranges, i), "size"));
        return r;
}

int take_check(StepRun *run, const TakenMemory *m) {
        _cleanup_free_ char *why = NULL;

        if (forced_unmap_check(m->way, NULL, &why) < 0)
                return step_fail(run, -EBUSY, "%s cannot be taken by force: %s", m->name, why);
        return nothing_pinned(run, m);
}

/* The kernel sends a SIGBUS to whoever has a file of it mapped. One that lives on would keep a file system open that has lost its
 * device; and so would one that has no mapping. */
static int ends_with_it(StepRun *run, const TakenMemory *m, const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        bool mapped = holder_maps(h);

        if (m->kind != TARGET_FS)
                return 0;
        int r = process_open(h->pid, h->start_time, &dirfd, NULL);
        if (r >= 0)
                r = process_takes(dirfd, SIGBUS);
        if (r < 0)
                return r == -ESRCH ? 0 : step_fail(run, r, "process %d cannot be looked at: %s", h->pid, strerror(-r));
        if (r > 0 && mapped)
                return 0;
        step_remedy(run, "kill -KILL %d", h->pid);
        return step_fail(run, -EBUSY, "%s cannot be taken by force: process %d (%s) %s, and would keep the file system open", m->name, h->pid,
                         h->comm, mapped ? "would survive the SIGBUS" : "has nothing of it mapped");
}

/* 1 when it ran until now. */
static int stand_still(StepRun *run, const TakenMemory *m, const Holder *h, uint64_t deadline) {
        if (h->protected)
                return step_fail(run, -EBUSY, "process %d (%s) has %s and is not to be touched", h->pid, h->comm, m->name);
        int r = ends_with_it(run, m, h);
        if (r >= 0)
                r = holder_is_frozen(h);
        if (r == 0)
                r = holder_stop(run, h, deadline);
        else if (r > 0)
                return 0;
        return r == -ESRCH ? 0 : r < 0 ? r : 1;
}

/* Until a look finds nobody who runs: a child may have been born between look and stop. */
static int all_stand_still(StepRun *run, const TakenMemory *m, Holders **ret) {
        uint64_t deadline = now_monotonic() + STOP_TIMEOUT_SEC * USEC_PER_SEC;

        for (;;) {
                _cleanup_(holders_freep) Holders *found = NULL;
                size_t ran = 0;

                int r = step_scan(m->kind, m->dev, m->name, &found);
                if (r < 0)
                        return step_fail(run, r, "who uses %s cannot be found out: %s", m->name, strerror(-r));
                for (size_t i = 0; i < found->n_items; i++) {
                        r = stand_still(run, m, &found->items[i], deadline);
                        if (r < 0)
                                return r;
                        ran += (size_t) r;
                }
                if (ran == 0 && gaps_none(&found->gaps)) {
                        *ret = TAKE_PTR(found);
                        return 0;
                }
                if (now_monotonic() >= deadline && ran == 0)
                        return step_gaps(run, &found->gaps, m->name);
                if (now_monotonic() >= deadline)
                        return step_fail(run, -EBUSY, "those who have %s cannot be stopped: there are always new ones", m->name);
                step_pause(run, PAUSE_MSEC);
        }
}

typedef struct Sync {
        const Holders *found;
        dev_t dev;
} Sync;

static int sync_apart(void *data, char **ret_text) {
        const Sync *s = data;
        int r = 0;

        for (size_t i = 0; i < s->found->n_items && r >= 0; i++) {
                r = holder_sync_files(&s->found->items[i], s->dev);
                if (r == -ESRCH)
                        r = 0;
        }
        return r;
}

/* The kernel leaves dirty pages in a file that is in use, and follows them into memory that is gone when the file system ends
 * (fs/dax.c:__dax_invalidate_entry, dax_disassociate_entry). Those who could make them dirty again stand still. On no record, since it may be
 * left behind: it writes what is the file's in any case, and nothing that comes back is in its way. */
static int sync_files(StepRun *run, const TakenMemory *m, const Holders *found) {
        const ApartOptions options = { .timeout_usec = run->limits->write_timeout_usec };
        Sync s = { .found = found, .dev = m->dev };

        int r = m->kind == TARGET_FS ? run_apart(sync_apart, &s, &options, NULL) : 0;
        return r < 0 ? step_fail(run, r, "the files of %s that are in use cannot be written back: %s", m->name, strerror(-r)) : 0;
}

static int note_forced(StepRun *run, const TakenMemory *m, const Holders *found) {
        _cleanup_free_ char *who = strdup(""), *others = NULL;
        json_object *note = json_object_new_object();

        for (size_t i = 0; i < found->n_items && i < NAMED_MAX; i++) {
                const Holder *h = &found->items[i];
                (void) text_add(&who, ", ", "process %d (%s%s%s)", h->pid, h->comm, h->unit ? ", " : "", h->unit ?: "");
        }
        others = found->n_items > NAMED_MAX ? strf(" and %zu more", found->n_items - NAMED_MAX) : strdup("");
        json_set_strf(note, "forced", "unmap: %s taken from %s%s", m->name, who ?: "?", others ?: "");
        json_set_str(note, "kind", target_kind_to_string(m->kind));
        json_set_strf(note, "dev", "%u:%u", major(m->dev), minor(m->dev));
        json_set_str(note, "name", m->name);
        step_progress(run, 0, 0, "%s", json_str(note, "forced"));
        return step_note(run, note);
}

/* A file system's users are found, told and written about in the kernel log page by page, with the file system frozen and the device
 * locked (fs/xfs/xfs_notify_failure.c, mm/memory-failure.c:mf_dax_kill_procs): what would not be over in time is not begun. */
static int in_time(StepRun *run, const TakenMemory *m, const Holders *found) {
        uint64_t bytes = 0;

        for (size_t i = 0; m->kind == TARGET_FS && i < found->n_items; i++)
                for (size_t k = 0; k < found->items[i].n_holds; k++)
                        bytes += found->items[i].holds[k].bytes;
        return bytes <= FILES_MAX ? 0 : step_fail(run, -EBUSY, "%s cannot be taken by force: %ju MiB of its files are mapped, and the kernel "
                                                  "would take too long", m->name, (uintmax_t) (bytes >> 20));
}

int take_begin(StepRun *run, const TakenMemory *m) {
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = all_stand_still(run, m, &found);
        if (r >= 0)
                r = in_time(run, m, found);
        if (r >= 0)
                r = sync_files(run, m, found);
        if (r >= 0)
                r = nothing_pinned(run, m);
        if (r >= 0)
                r = note_forced(run, m, found);
        if (r < 0)
                (void) freeze_notes_undo(run->notes, run);
        return r;
}

static json_object *forced_note(json_object *notes) {
        for (size_t i = json_len(notes); i-- > 0;)
                if (json_str(json_at(notes, i), "forced"))
                        return json_at(notes, i);
        return NULL;
}

bool take_in_notes(json_object *notes) {
        return forced_note(notes) != NULL;
}

bool take_noted(StepRun *run) {
        return take_in_notes(run->notes);
}

bool take_unfinished(StepRun *run) {
        return freeze_notes_in_force(run->notes);
}

/* 1: nobody has a page, and of a file system nobody is left; 0: not yet. */
static int nobody_has_a_page(HoldMeanwhile *others, StepRun *run, TargetKind kind, dev_t dev, const char *name) {
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = step_scan(kind, dev, name, &found);
        for (size_t i = 0; r >= 0 && i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                uint64_t pages = 0;

                /* A signal ends nobody who is frozen. */
                if (kind == TARGET_FS)
                        r = others_let_run(others, h);
                if (r >= 0)
                        r = holder_pages_present(h, kind, dev, &pages);
                if (r == -ESRCH)
                        r = 0;
                if (r >= 0 && pages > 0)
                        return step_fail(run, -EIO, "process %d (%s) still has %ju pages of %s: the kernel did not take them", h->pid, h->comm,
                                         (uintmax_t) pages, name);
        }
        if (r < 0)
                return step_fail(run, r, "whether the mappings of %s are gone cannot be seen: %s", name, strerror(-r));
        return gaps_none(&found->gaps) && (kind != TARGET_FS || found->n_items == 0);
}

static int prove(StepRun *run, json_object *note) {
        uint64_t deadline = now_monotonic() + PROOF_TIMEOUT_SEC * USEC_PER_SEC;
        int kind = target_kind_from_string(json_str(note, "kind"));
        const char *name = json_str(note, "name");
        _cleanup_(hold_meanwhile_done) HoldMeanwhile others = { 0 };
        dev_t dev;

        int r = kind < 0 ? kind : dev_parse(json_str(note, "dev"), &dev);
        if (r < 0 || !name)
                return step_fail(run, -EBADMSG, "the note about what was taken cannot be understood");
        hold_meanwhile_begin(&others, run);
        while ((r = nobody_has_a_page(&others, run, (TargetKind) kind, dev, name)) == 0) {
                if (now_monotonic() >= deadline)
                        return step_fail(run, -EBUSY, "%s was taken, but those who had it do not end", name);
                step_pause(run, PAUSE_MSEC);
        }
        return r < 0 ? r : 0;
}

int take_finish(StepRun *run, int r) {
        json_object *note = forced_note(run->notes);

        if (!note)
                return r;
        /* The driver is on its way out: a page that somebody pins now goes with it. Whoever goes on when it is gone lets them run. */
        if (r == -EINPROGRESS)
                return r;
        int q = freeze_notes_undo(run->notes, run);
        if (r >= 0)
                r = q;
        if (r >= 0)
                r = prove(run, note);
        others_hold_again(run);
        return r;
}

int take_undo(StepRun *run) {
        json_object *note = forced_note(run->notes);

        if (note)
                step_lost(run, "%s", json_str(note, "forced"));
        int r = freeze_notes_undo(run->notes, run);
        others_hold_again(run);
        return r;
}
