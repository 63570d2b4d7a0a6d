/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/pages-present.h"
#include "kernel/sysfs/attr.h"
#include "probe/evidence.h"

enum {
        SCAN_SEC = 30,
        SCAN_EARLY_MSEC = 1500, /* the power-off is not much longer */
};

/* Numbers are given out again: one that a living device of another name has is no longer the card's. And a disk that is there until
 * the power goes may be looked at by anybody until then. */
static bool does_not_count(const char *type, json_object *device) {
        _cleanup_free_ char *now = NULL;

        if (link_namef(&now, "/sys/dev/%s/%s", type, json_str(device, "dev")) < 0)
                return false;
        return json_flag(device, "goes_with_power") || !streq_ptr(now, json_str(device, "name"));
}

static int add(HoldTargets *targets, TargetKind kind, const char *dev, const char *name) {
        unsigned ma, mi;
        int end = 0;

        if (!dev || sscanf(dev, "%u:%u%n", &ma, &mi, &end) != 2 || dev[end])
                return -EBADMSG;
        /* File systems without a device of their own have numbers that the next one gets at once. */
        if (ma == 0)
                return 0;
        return hold_targets_add(targets, kind, makedev(ma, mi), name);
}

static int add_all(json_object *array, TargetKind kind, const char *type, HoldTargets *targets) {
        for (size_t i = 0; i < json_len(array); i++) {
                const char *dev = json_str(json_at(array, i), "dev"), *name = json_str(json_at(array, i), "name");

                if (does_not_count(type, json_at(array, i)))
                        continue;
                int r = add(targets, kind, dev, name);
                if (r >= 0 && kind == TARGET_BLOCK)
                        r = add(targets, TARGET_FS, dev, name); /* whatever file system it had on it */
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A mapping that the kernel has emptied and a descriptor of a device that is gone lead nowhere (a driver that went by force leaves
 * them). */
static bool leads_nowhere(const Holder *h, const Hold *hold, const HoldTarget *target) {
        _cleanup_free_ char *now = NULL;
        uint64_t pages = 0;

        if (target->kind != TARGET_CHAR || link_namef(&now, "/sys/dev/char/%u:%u", major(target->dev), minor(target->dev)) != -ENOENT)
                return false;
        if (hold->way != HOLD_MAPPING)
                return true;
        int r = holder_pages_present(h, target->kind, target->dev, &pages);
        return r == -ESRCH || (r >= 0 && pages == 0);
}

static const Hold *hold_that_counts(const Holder *h, const HoldTargets *targets) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (!leads_nowhere(h, &h->holds[i], &targets->items[h->holds[i].target]))
                        return &h->holds[i];
        return NULL;
}

/* None where the card had nothing that a process could have. */
static int targets_of(json_object *scope, HoldTargets *targets) {
        int r = add_all(json_array(scope, "dax_devices"), TARGET_CHAR, "char", targets);
        if (r >= 0)
                r = add_all(json_array(scope, "block_devices"), TARGET_BLOCK, "block", targets);
        return r;
}

/* *ret stays NULL where there are none. */
static int find(json_object *scope, uint64_t budget_usec, HoldTargets *targets, Holders **ret) {
        int r = targets_of(scope, targets);

        return r < 0 || targets->n_items == 0 ? r : holders_scan(targets, budget_usec, ret);
}

/* Where there was not enough time, or somebody hangs or does not let a file of his be looked up (an io_uring that is kept busy), which anybody can
 * see to: what the kernel says of the devices themselves. A file may lie on a file system that outlives its disk. */
static bool kernel_answers(json_object *scope, const Gaps *gaps) {
        json_object *daxes = json_array(scope, "dax_devices"), *blocks = json_array(scope, "block_devices");
        bool free = gaps_none_but(gaps, GAPS_OF_ANYBODY | (json_len(blocks) > 0 ? 0 : 1U << GAP_FILE));

        for (size_t i = 0; i < json_len(daxes) && free; i++)
                free = does_not_count("char", json_at(daxes, i)) || evidence_char_is_free(json_at(daxes, i));
        for (size_t i = 0; i < json_len(blocks) && free; i++)
                free = does_not_count("block", json_at(blocks, i)) || evidence_block_is_free(json_at(blocks, i));
        return free;
}

typedef struct Question {
        json_object *scope;
        HoldTargets targets;
        HoldersScan *scan;      /* NULL where there is nothing to look for */
} Question;

static void question_free(Question *q) {
        if (!q)
                return;
        hold_targets_done(&q->targets);
        json_object_put(q->scope);
        free(q);
}

DEFINE_CLEANUP_FUNC(Question, question_free)

static int question_begin(json_object *scope, Question **ret) {
        _cleanup_(question_freep) Question *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;

        q->scope = json_ref(scope);
        int r = targets_of(scope, &q->targets);
        if (r >= 0 && q->targets.n_items > 0)
                r = holders_scan_begin(&q->targets, SCAN_SEC * USEC_PER_SEC, &q->scan);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}

static int end(void *begun, char **ret_answer) {
        _cleanup_(question_freep) Question *q = begun;
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = q->scan ? holders_scan_end(q->scan, &found) : 0;
        if (r < 0 || !found)
                return r < 0 ? r : 1;
        for (size_t i = 0; i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                const Hold *hold = hold_that_counts(h, &q->targets);
                if (!hold)
                        continue;
                *ret_answer = strf("process %d (%s) has %s %s: %s", h->pid, h->comm, hold_way_to_string(hold->way),
                                   q->targets.items[hold->target].name, hold->found);
                return 0;
        }
        if (gaps_none(&found->gaps) || kernel_answers(q->scope, &found->gaps))
                return 1;
        _cleanup_free_ char *gaps = gaps_text(&found->gaps);
        *ret_answer = strf("not every process could be looked at: %s", gaps ?: "?");
        return -EAGAIN;
}

static int ask(json_object *scope, char **ret_answer) {
        Question *q = NULL;

        int r = question_begin(scope, &q);
        return r < 0 ? r : end(q, ret_answer);
}

/* Another question may open a disk (evidence_block_is_free()), and we would be found to have it. */
static int begin(json_object *scope, void **ret) {
        Question *q = NULL;

        int r = json_len(json_array(scope, "block_devices")) > 0 ? -EBUSY : question_begin(scope, &q);
        if (r >= 0)
                *ret = q;
        return r;
}

static bool is_there(json_object *device) {
        _cleanup_free_ char *now = NULL;

        int r = link_namef(&now, "/sys/dev/char/%s", json_str(device, "dev"));
        return r < 0 ? r != -ENOENT : streq_ptr(now, json_str(device, "name"));
}

/* A character device that is gone is opened and mapped by nobody any more: who is to have it has it from somebody who has it already. So there must
 * be none before the look, and nobody at all in it. Of a disk somebody may have a file on a file system that outlives it. */
static int ask_early(json_object *scope, char **ret_answer) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;
        json_object *daxes = json_array(scope, "dax_devices");

        if (json_len(json_array(scope, "block_devices")) > 0)
                return 0;
        for (size_t i = 0; i < json_len(daxes); i++)
                if (is_there(json_at(daxes, i)))
                        return 0;
        int r = find(scope, SCAN_EARLY_MSEC * USEC_PER_MSEC, &targets, &found);
        return r < 0 ? r : !found || (found->n_items == 0 && gaps_none(&found->gaps));
}

int processes_of_scope(json_object *scope, size_t max, json_object *lines) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;
        size_t n = 0;

        int r = find(scope, SCAN_SEC * USEC_PER_SEC, &targets, &found);
        for (size_t i = 0; r >= 0 && found && i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                const Hold *hold = hold_that_counts(h, &targets);
                if (hold && n++ < max)
                        json_append_strf(lines, "process %d (%s) has %s %s", h->pid, h->comm, hold_way_to_string(hold->way),
                                         targets.items[hold->target].name);
        }
        if (n > max)
                json_append_strf(lines, "%zu more processes", n - max);
        return r < 0 ? r : !found || gaps_none(&found->gaps) ? 0 : -EAGAIN;
}

const Probe probe_processes = {
        .name = "processes",
        .question = "does no process use the card, by a mapping, an open file or its working directory",
        .before_power_off = true,
        .ask = ask,
        .begin = begin,
        .end = end,
        .ask_early = ask_early,
};
