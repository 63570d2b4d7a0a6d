/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/pages/page-frame.h"
#include "kernel/sysfs/attr.h"
#include "step/undo/poison.h"

#define GIVE_UP "/sys/devices/system/memory/hard_offline_page"

/* Without it the kernel ends a process only when it next touches the page: one that sleeps would have it pinned for ever
 * (mm/memory-failure.c:find_early_kill_thread). */
#define EARLY_KILL "/proc/sys/vm/memory_failure_early_kill"

enum {
        PAGES_MAX = 4096,
        POLL_MSEC = 200, /* the kernel has no event for "a page was let go" */
};

void pinned_pages_done(PinnedPages *p) {
        free(p->addresses);
        *p = (PinnedPages) { 0 };
}

static int find(uint64_t start, uint64_t size, PageFrameKind kind, StepRun *run, PageFrame **ret, size_t *ret_n) {
        _cleanup_free_ char *why = NULL;

        int r = page_frames_find(start, size, kind, PAGES_MAX, ret, ret_n, &why);
        return r < 0 ? step_fail(run, r, "which pages are pinned cannot be found out here: %s", why ?: strerror(-r)) : 0;
}

int pinned_pages_find(uint64_t start, uint64_t size, StepRun *run, PinnedPages *ret) {
        _cleanup_free_ PageFrame *frames = NULL;
        size_t n = 0;

        int r = find(start, size, PAGE_FRAME_USERS, run, &frames, &n);
        if (r < 0)
                return r;
        uint64_t *addresses = calloc(n ?: 1, sizeof(*addresses));
        if (!addresses)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                addresses[i] = frames[i].address;
        *ret = (PinnedPages) { .addresses = addresses, .n = n };
        return 0;
}

/* Both ascend. */
void pinned_pages_keep(PinnedPages *p, const PinnedPages *other) {
        size_t n = 0;

        for (size_t i = 0, k = 0; i < p->n; i++) {
                while (k < other->n && other->addresses[k] < p->addresses[i])
                        k++;
                if (k < other->n && other->addresses[k] == p->addresses[i])
                        p->addresses[n++] = p->addresses[i];
        }
        p->n = n;
}

/* Right before each write: the address is one of the block's, the block one of the region's, the card the one that was meant, and the
 * page still somebody's and pinned. 1: it is not any more, and nothing need be done about it. */
static int may_give_up(uint64_t address, uint64_t start, uint64_t size, json_object *args, StepRun *run, PageFrame *ret) {
        json_object *region = json_get(args, "region");
        uint64_t from = json_u64(region, "start"), bytes = json_u64(region, "size");
        _cleanup_free_ char *why = NULL;

        if (address < start || address - start >= size || address < from || address - from >= bytes)
                return step_fail(run, -ERANGE, "page 0x%jx is not in the memory that goes", (uintmax_t) address);
        int r = step_region_check(args, run);
        if (r >= 0)
                r = step_card_check(run);
        if (r < 0)
                return r;
        r = page_frame_look(address, ret, &why);
        if (r < 0)
                return step_fail(run, r, "%s", why ?: strerror(-r));
        return ret->kind != PAGE_FRAME_USERS || ret->extra == 0;
}

static int give_up(uint64_t address, uint64_t start, uint64_t size, json_object *args, StepRun *run) {
        json_object *o = json_object_new_object();
        _cleanup_free_ char *value = strf("0x%jx", (uintmax_t) address), *why = NULL;
        PageFrame f;

        int r = may_give_up(address, start, size, args, run, &f);
        if (r == 0) {
                json_set_strf(o, "forced", "poison: page 0x%jx, referred to %ju times more than its mappings and caches account for",
                              (uintmax_t) address, (uintmax_t) f.extra);
                json_set_u64(o, "page", address);
                r = step_note(run, TAKE_PTR(o));
        }
        json_object_put(o);
        if (r != 0)
                return r < 0 ? r : 0;
        step_lost(run, "page 0x%jx was given up by force; whoever had it mapped got a SIGBUS", (uintmax_t) address);

        /* It says "busy" as long as somebody else refers to the page, and has given it up all the same. */
        r = step_write(run, GIVE_UP, value);
        int q = page_frame_look(address, &f, &why);
        if (q < 0)
                return step_fail(run, q, "%s", why ?: strerror(-q));
        if (f.kind == PAGE_FRAME_POISONED)
                return 0;
        return r < 0 ? r : step_fail(run, -EIO, "the kernel accepted %s in " GIVE_UP ", but has not given the page up", value);
}

/* The setting that was there is noted before it is changed. */
static int set_early_kill(StepRun *run) {
        json_object *o = json_object_new_object();
        _cleanup_free_ char *was = NULL;

        int r = attr_read(EARLY_KILL, &was);
        if (r < 0) {
                json_object_put(o);
                return step_fail(run, r, "this kernel cannot give pages up (" EARLY_KILL ": %s)", strerror(-r));
        }
        json_set_str(o, "early_kill", was);
        r = step_note(run, o);
        return r < 0 || streq(was, "1") ? r : step_write(run, EARLY_KILL, "1");
}

void poison_settle(StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++) {
                const char *was = json_str(json_at(run->notes, i), "early_kill");
                _cleanup_free_ char *now = NULL;

                if (!was)
                        continue;
                if (attr_read(EARLY_KILL, &now) >= 0 && !streq(was, now))
                        (void) step_write(run, EARLY_KILL, was);
                return;
        }
}

int poison_check(uint64_t start, uint64_t size, StepRun *run) {
        _cleanup_free_ PageFrame *frames = NULL;
        size_t n = 0;

        if (!page_frames_may_be_poisoned(start, size))
                return 0;
        int r = find(start, size, PAGE_FRAME_POISONED, run, &frames, &n);
        if (r < 0 || n == 0)
                return r;
        return step_fail(run, -EBUSY, "page 0x%jx was given up and is still pinned (%ju references, %zu such pages): the kernel would take the "
                         "block away under whoever that is", (uintmax_t) frames[0].address, (uintmax_t) frames[0].extra, n);
}

static int wait_let_go(uint64_t start, uint64_t size, StepRun *run) {
        uint64_t deadline = now_monotonic() + run->limits->offline_timeout_usec;

        for (;;) {
                int r = poison_check(start, size, run);
                if (r != -EBUSY || now_monotonic() >= deadline || step_cancelled(run))
                        return r;
                step_pause(run, POLL_MSEC);
        }
}

int poison(const PinnedPages *pages, uint64_t start, uint64_t size, json_object *args, StepRun *run) {
        int r = set_early_kill(run);

        for (size_t i = 0; r >= 0 && i < pages->n; i++) {
                r = step_cancelled(run) ? step_fail(run, -ECANCELED, "cancelled") : give_up(pages->addresses[i], start, size, args, run);
                if (r >= 0)
                        step_progress(run, i + 1, pages->n, "page 0x%jx given up", (uintmax_t) pages->addresses[i]);
        }
        poison_settle(run);
        return r < 0 ? r : wait_let_go(start, size, run);
}
