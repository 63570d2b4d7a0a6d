/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/scan/in-flight.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/block/loop.h"
#include "kernel/block/swap.h"
#include "kernel/cxl/dax.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "step/evict/users.h"

enum {
        SCAN_BUDGET_SEC = 30,
        IN_FLIGHT_SEC = 5,
};

int step_scan(TargetKind kind, dev_t dev, const char *name, Holders **ret) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };

        int r = hold_targets_add(&targets, kind, dev, name);
        return r < 0 ? r : holders_scan(&targets, SCAN_BUDGET_SEC * USEC_PER_SEC, ret);
}

static char *holder_text(const Holder *h, size_t more) {
        const Hold *hold = h->n_holds > 0 ? &h->holds[0] : NULL;
        _cleanup_free_ char *others = more > 0 ? strf(" and %zu more", more) : strdup("");

        return strf("process %d (%s%s%s) uses it: %s%s%s%s", h->pid, h->comm, h->unit ? ", " : "", h->unit ?: "",
                    hold ? hold_way_to_string(hold->way) : "?", hold && hold->found ? ", " : "", hold && hold->found ? hold->found : "",
                    others ?: "");
}

char *step_unseen(TargetKind kind, dev_t dev, const char *name) {
        _cleanup_(holders_freep) Holders *h = NULL;

        int r = step_scan(kind, dev, name, &h);
        _cleanup_free_ char *gaps = r < 0 ? NULL : gaps_text(&h->gaps);
        return gaps ? strf("not every process could be looked at: %s", gaps) : NULL;
}

char *step_users(TargetKind kind, dev_t dev, const char *name) {
        _cleanup_(holders_freep) Holders *h = NULL;

        if (step_scan(kind, dev, name, &h) < 0 || h->n_items == 0)
                return NULL;
        return holder_text(&h->items[0], h->n_items - 1);
}

/* No server of the file is asked. */
static bool is_on(const char *path, dev_t dev) {
        struct statx st;

        return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) >= 0 && S_ISREG(st.stx_mode) &&
               makedev(st.stx_dev_major, st.stx_dev_minor) == dev;
}

/* loop_wanted_t */
static bool is_called_so(const char *name, const char *path, void *userdata) {
        return is_on(path, *(const dev_t *) userdata);
}

/* The path of its file may be one of anybody's namespace, where it leads elsewhere. */
static char *loop_on(dev_t dev) {
        _cleanup_loop_files_ LoopFiles l = { 0 };

        (void) loop_files_load(&l, is_called_so, &dev);
        for (size_t i = 0; i < l.n; i++) {
                const LoopFile *file = loop_files_find(&l, l.names[i]);
                if (!file || (file->node == 0 && file->device == dev))
                        return strf("/dev/%s stands on %s", l.names[i], l.paths[i]);
        }
        return NULL;
}

static char *swap_on_file(dev_t dev) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };
        _cleanup_free_ char *text = NULL;

        if (read_file("/proc/swaps", &text, NULL) < 0 || swaps_parse(text, &l) < 0)
                return NULL;
        for (size_t i = 0; i < l.n_items; i++)
                if (l.items[i].file && is_on(l.items[i].path, dev))
                        return strf("%s is swapped to", l.items[i].path);
        return NULL;
}

char *step_fs_users(dev_t dev, const char *name) {
        return loop_on(dev) ?: swap_on_file(dev) ?: step_users(TARGET_FS, dev, name);
}

char *step_in_flight(void) {
        char *text = NULL;

        int r = in_flight_text(IN_FLIGHT_SEC * USEC_PER_SEC, &text);
        if (r < 0)
                return strdup("a descriptor on its way through a socket may hold it");
        if (!text)
                return NULL;
        _cleanup_free_ char *found = text;
        return strf("a descriptor on its way through a socket may hold it: %s", found);
}

int step_gaps(StepRun *run, const Gaps *gaps, const char *name) {
        _cleanup_free_ char *text = gaps_text(gaps);

        for (int kind = 0; kind < _GAP_KIND_MAX; kind++) {
                _cleanup_free_ char *remedy = gaps->of[kind].n > 0 ? gap_remedy((GapKind) kind, &gaps->of[kind]) : NULL;
                if (!remedy)
                        continue;
                step_remedy(run, "%s", remedy);
                break;
        }
        return gaps_none(gaps) ? 0 : step_fail(run, -EAGAIN, "who uses %s cannot be found out, since not every process could be looked at: %s",
                                               name, text ?: "?");
}

/* A device that nobody can map is held by descriptors alone. */
static bool is_asked_later(const HoldTarget *t, const Gaps *gaps) {
        if (t->kind != TARGET_CHAR)
                return t->kind == TARGET_FS || t->kind == TARGET_BLOCK;
        return dax_has_number(t->dev) || driver_is_unused(t->dev) || (gaps_none_but(gaps, 1U << GAP_MAPPINGS) && driver_maps_nothing(t->dev));
}

int step_gaps_of(StepRun *run, const Gaps *gaps, const HoldTargets *targets, const char *name) {
        bool later = !gaps_none(gaps) && gaps_none_but(gaps, GAPS_OF_ANYBODY);

        for (size_t i = 0; i < targets->n_items && later; i++)
                later = is_asked_later(&targets->items[i], gaps);
        if (!later)
                return step_gaps(run, gaps, name);
        _cleanup_free_ char *text = gaps_text(gaps);
        step_progress(run, 0, 0, "not every process could be looked at: %s; the kernel is asked who uses %s", text ?: "?", name);
        return 0;
}

/* 0 when no process uses it; -EBUSY naming the first one and what it does; another errno: could not be found out. */
static int step_unused(StepRun *run, TargetKind kind, dev_t dev, const char *name) {
        _cleanup_(holders_freep) Holders *h = NULL;
        _cleanup_free_ char *text = NULL;

        int r = step_scan(kind, dev, name, &h);
        if (r < 0)
                return step_fail(run, r, "who uses %s cannot be found out: %s", name, strerror(-r));
        if (h->n_items > 0) {
                text = holder_text(&h->items[0], h->n_items - 1);
                return step_fail(run, -EBUSY, "%s: %s", name, text ?: "in use");
        }
        if (kind == TARGET_CHAR && gaps_none_but(&h->gaps, GAPS_OF_ANYBODY) && driver_is_unused(dev))
                return 0;
        return step_gaps(run, &h->gaps, name);
}

int step_dax_number(StepRun *run, const char *dax, dev_t *ret) {
        _cleanup_free_ char *text = NULL;

        int r = attr_readf(&text, "/sys/bus/dax/devices/%s/dev", dax);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = dev_parse(text, ret);
        return r < 0 ? step_fail(run, r, "the number of %s cannot be read: %s", dax, strerror(-r)) : 1;
}

int step_dax_unused(StepRun *run, const char *dax) {
        _cleanup_free_ char *node = strf("/dev/%s", dax);
        dev_t dev;

        int r = step_dax_number(run, dax, &dev);
        return r <= 0 ? r : step_unused(run, TARGET_CHAR, dev, node ?: dax);
}

int step_block_unclaimed(StepRun *run, const char *block) {
        _cleanup_free_ char *holders = blockdev_holders(block);
        dev_t dev;

        if (holders && *holders)
                return step_fail(run, -EBUSY, "%s stands on %s", holders, block);
        int r = blockdev_number(block, &dev);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = blockdev_claimed(dev, run->limits->write_timeout_usec);
        if (r < 0)
                return step_fail(run, r, "whether %s is in use cannot be found out: %s", block, strerror(-r));
        return r > 0 ? step_fail(run, -EBUSY, "%s is still in use: mounted, swapped to, or part of another device", block) : 0;
}
