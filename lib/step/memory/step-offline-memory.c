/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the memory blocks of one dax device offline, highest first: what the kernel migrates then lands in blocks that
 * are taken later or not at all, and a zone shrinks from its end. Each block is written by a process that a signal can
 * end, because the kernel itself retries for ever (mm/memory_hotplug.c:offline_pages). */
#include <errno.h>

#include "base/clock.h"
#include "holders/memory/unmovable.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/write.h"
#include "step/step.h"
#include "step/undo/block-runs.h"
#include "step/undo/poison.h"

enum {
        /* Between two tries of a busy block. The kernel has no event for "a page was let go". */
        RETRY_MSEC = 200,

        /* A block that came online again so often after the kernel had taken it offline is somebody else's wish. */
        AGAIN_MAX = 3,

        /* Who is pinned before and after another try as long as this is so for good. */
        SECOND_LOOK_SEC = 3,

        /* A driver that probes adds its blocks one by one; how long one is waited for on the way back, and how often we look. */
        BLOCK_TIMEOUT_SEC = 10,
        BLOCK_RETRY_MSEC = 50,
};

static void offline_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *blocks = json_array(args, "blocks");
        size_t n = json_len(blocks);
        uint64_t high = json_u64(json_at(blocks, 0), "id"), low = json_u64(json_at(blocks, n ? n - 1 : 0), "id");
        const char *zone = json_str(json_at(blocks, 0), "zone");

        *ret_does = strf("write offline to /sys/devices/system/memory/memory{%ju..%ju}/state (%zu blocks of %s, node %ju)",
                         (uintmax_t) high, (uintmax_t) low, n, json_str(args, "dax"), (uintmax_t) json_u64(args, "node"));
        if (json_flag(args, "poison"))
                (void) text_add(ret_does, "", POISON_DOES);
        *ret_undo = strf("write the word of its zone (%s) to each block's state, lowest first",
                         memory_block_online_word((Zone) zone_from_string(zone)));
}

/* A block that is gone is as good as offline: the device was taken down after this step already. */
static int block_is(uint64_t id, bool *ret_online, Zone *ret_zone) {
        MemoryBlock b;

        int r = memory_block_read(id, &b);
        if (r == -ENOENT) {
                *ret_online = false;
                *ret_zone = ZONE_NONE;
                return 0;
        }
        if (r < 0)
                return r;
        *ret_online = b.online;
        *ret_zone = b.zone;
        return 0;
}

static int offline_verify(json_object *args, StepRun *run) {
        json_object *blocks = json_array(args, "blocks");
        size_t n = json_len(blocks), offline = 0, as_before = 0;

        for (size_t i = 0; i < n; i++) {
                json_object *b = json_at(blocks, i);
                bool online;
                Zone zone;

                int r = block_is(json_u64(b, "id"), &online, &zone);
                if (r < 0)
                        return step_fail(run, r, "memory%ju cannot be read: %s", (uintmax_t) json_u64(b, "id"), strerror(-r));
                if (!online)
                        offline++;
                else if (streq_ptr(zone_to_string(zone), json_str(b, "zone")))
                        as_before++;
        }

        return offline == n ? STEP_APPLIED : as_before == n ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

/* Why a block does not go, told apart: pages that no migration can move mean never, everything else means not yet. */
static int block_never(uint64_t id, json_object *args, const char *zone, StepRun *run) {
        UnmovablePages p = { 0 };
        uint64_t size = json_u64(args, "block_size");

        if (streq_ptr(zone, zone_to_string(ZONE_MOVABLE)))
                return 0;
        if (unmovable_pages_in_block(id * size, size, &p) < 0 || p.slab + p.page_tables + p.reserved + p.other == 0)
                return 0;

        return step_fail(run, -EBUSY,
                         "memory%ju is in zone %s and holds pages that cannot move (%ju slab, %ju page table, %ju reserved, "
                         "%ju other kernel pages)",
                         (uintmax_t) id, zone, (uintmax_t) p.slab, (uintmax_t) p.page_tables, (uintmax_t) p.reserved,
                         (uintmax_t) p.other);
}

static int block_write(uint64_t id, const char *word, uint64_t timeout_usec, StepRun *run) {
        const WriteOptions options = {
                .kind = WRITE_INTERRUPTIBLE,
                .timeout_usec = timeout_usec,
                .cancelled = run->ignore_cancel ? NULL : run->cancelled,
                .userdata = run->userdata,
        };
        _cleanup_free_ char *path = strf("/sys/devices/system/memory/memory%ju/state", (uintmax_t) id);

        return path ? kernel_write(path, word, &options) : -ENOMEM;
}

static int block_offline(json_object *args, json_object *block, uint64_t timeout_usec, StepRun *run) {
        uint64_t id = json_u64(block, "id"), deadline = now_monotonic() + timeout_usec;
        const char *zone = json_str(block, "zone");
        unsigned again = 0;
        int r = 0;

        for (unsigned tries = 1;; tries++) {
                bool online;
                Zone now_in;
                uint64_t now = now_monotonic();

                if (block_is(id, &online, &now_in) >= 0 && !online)
                        return 0;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled before memory%ju", (uintmax_t) id);
                again += tries > 1 && r >= 0;
                if (again > AGAIN_MAX) {
                        run->contested = true;
                        return step_fail(run, -EAGAIN, "memory%ju was brought online again by somebody else each time it had gone offline", (uintmax_t) id);
                }
                if (tries > 1 && now >= deadline)
                        return step_fail(run, -EBUSY, "memory%ju in zone %s was still busy after %u tries in %ju s (last answer: %s)",
                                         (uintmax_t) id, zone, tries - 1,
                                         (uintmax_t) (timeout_usec / USEC_PER_SEC), strerror(-r));

                r = block_write(id, "offline", deadline > now ? deadline - now : 1, run);
                if (r == -ECANCELED)
                        return step_fail(run, r, "cancelled while memory%ju was being taken offline", (uintmax_t) id);
                if (r == -EINPROGRESS)
                        return step_fail(run, r, "memory%ju is still being taken offline: who writes that does not end", (uintmax_t) id);
                if (r == -EBUSY || r == -EAGAIN || r == -ENOMEM) {
                        int never = block_never(id, args, zone, run);
                        if (never < 0)
                                return never;
                }
                /* Also where the kernel said yes and the block is online: somebody else takes it there as fast as we take it away. */
                if (r < 0 || block_is(id, &online, &now_in) < 0 || online)
                        step_pause(run, RETRY_MSEC);
        }
}

/* The last rung, for who said so: what is pinned is given up, unless it is pages of the kernel's that hold the block. */
static int block_force(json_object *args, json_object *block, StepRun *run) {
        uint64_t id = json_u64(block, "id"), size = json_u64(args, "block_size");
        uint64_t timeout = run->limits->offline_timeout_usec, second = SECOND_LOOK_SEC * USEC_PER_SEC;
        _cleanup_(pinned_pages_done) PinnedPages before = { 0 }, pinned = { 0 };

        int r = block_never(id, args, json_str(block, "zone"), run);
        if (r >= 0)
                r = pinned_pages_find(id * size, size, run, &before);
        if (r < 0)
                return r;
        r = block_offline(args, block, second < timeout ? second : timeout, run);
        if (r != -EBUSY)
                return r;
        r = pinned_pages_find(id * size, size, run, &pinned);
        if (r < 0)
                return r;
        pinned_pages_keep(&pinned, &before);
        if (pinned.n == 0)
                return step_fail(run, -EBUSY, "memory%ju is still busy, and no page of it is seen to be pinned: nothing can be given up",
                                 (uintmax_t) id);
        r = poison(&pinned, id * size, size, args, run);
        return r < 0 ? r : block_offline(args, block, timeout, run);
}

static int block_take(json_object *args, json_object *block, StepRun *run) {
        uint64_t size = json_u64(args, "block_size");

        int r = poison_check(json_u64(block, "id") * size, size, run);
        if (r >= 0)
                r = block_offline(args, block, run->limits->offline_timeout_usec, run);
        return r == -EBUSY && json_flag(args, "poison") ? block_force(args, block, run) : r;
}

static int offline_apply(json_object *args, StepRun *run) {
        json_object *blocks = json_array(args, "blocks");
        size_t n = json_len(blocks);

        poison_settle(run);
        for (size_t i = 0; i < n; i++) {
                json_object *b = json_at(blocks, i);

                int r = block_take(args, b, run);
                if (r < 0)
                        return r;
                step_progress(run, i + 1, n, "memory%ju offline", (uintmax_t) json_u64(b, "id"));
        }
        return 0;
}

/* The way back over all the blocks. One that does not come back keeps none of the others offline. */
typedef struct Back {
        json_object *args;
        StepRun *run;
        uint64_t until;         /* for all that are not there yet, together: one driver makes them */
        int first;              /* of the first that did not come back, whose reason and remedy are noted */
        bool stopped;           /* a write of ours has the lock of all memory and does not give it back: nobody waits for it twice */
        bool busy;              /* one that others had put into another zone was in use for all its time: the next is not waited for */
        json_object *left;      /* the others that did not, as runs of blocks by the word that each wants; owned */
        json_object *poisoned;  /* those among them that have pages which were given up: no word helps; owned */
} Back;

static void back_done(Back *b) {
        json_object_put(b->left);
        json_object_put(b->poisoned);
}

static int block_online(Back *b, uint64_t id, const char *zone, const char *word) {
        const StepLimits *limits = b->run->limits;
        MemoryBlock there;
        bool online;
        Zone now_in;

        while (memory_block_read(id, &there) == -ENOENT && now_monotonic() < b->until)
                step_pause(b->run, BLOCK_RETRY_MSEC);
        int r = block_is(id, &online, &now_in);
        if (r < 0)
                return r;
        if (online && !streq_ptr(zone_to_string(now_in), zone)) {
                /* Somebody was quicker. Idle memory goes back at once. */
                r = b->busy ? -EBUSY : block_write(id, "offline", limits->offline_timeout_usec, b->run);
                online = r < 0;
                b->busy = b->busy || r == -ETIME;
                r = r == -ETIME ? -EBUSY : r;
        }
        if (!online)
                r = block_write(id, word, limits->write_timeout_usec, b->run);
        if (block_is(id, &online, &now_in) >= 0 && online && streq_ptr(zone_to_string(now_in), zone))
                return 0;
        return r < 0 ? r : -EIO;
}

static void tell_first(Back *b, uint64_t id, const char *zone, const char *word, int error) {
        if (error == -EHWPOISON)
                step_remedy(b->run, "safe-remove remove %s  # it has pages that were given up: it cannot come back before its region is made anew",
                            json_str(b->args, "dax"));
        else
                step_remedy(b->run, "echo %s > " MEMORY_BLOCKS "/memory%ju/state", word, (uintmax_t) id);
        b->first = step_fail(b->run, error, "memory%ju did not come back into zone %s: %s", (uintmax_t) id, zone,
                             error == -EIO ? "the kernel put it elsewhere" : strerror(-error));
}

static void one_back(Back *b, json_object *block) {
        uint64_t id = json_u64(block, "id");
        const char *zone = json_str(block, "zone"), *word = memory_block_online_word((Zone) zone_from_string(zone));

        int r = b->stopped ? -ETIME : block_online(b, id, zone, word);
        if (r >= 0)
                return;
        b->stopped = b->stopped || r == -EINPROGRESS || r == -ETIME;
        if (b->first == 0) {
                tell_first(b, id, zone, word, r);
                return;
        }
        if (r == -EINPROGRESS)
                b->first = r;
        if (r != -EHWPOISON && !json_has(b->left, word))
                json_set(b->left, word, json_object_new_array());
        block_runs_add(r == -EHWPOISON ? b->poisoned : json_array(b->left, word), id);
}

static int offline_revert(json_object *args, StepRun *run) {
        json_object *blocks = json_array(args, "blocks");

        poison_settle(run);
        int r = step_region_check(args, run);
        if (r < 0)
                return r;

        _cleanup_(back_done) Back b = { .args = args, .run = run, .until = now_monotonic() + time_for(BLOCK_TIMEOUT_SEC * USEC_PER_SEC),
                                        .left = json_object_new_object(), .poisoned = json_object_new_array() };
        for (size_t i = json_len(blocks); i > 0; i--)
                one_back(&b, json_at(blocks, i - 1));
        json_object_object_foreach(b.left, word, runs)
                block_runs_tell(run, runs, word, "which is the card's, did not come back and is offline or in another zone",
                                "which are the card's, did not come back and are offline or in another zone");
        block_runs_tell(run, b.poisoned, NULL, "which has pages that were given up, cannot come back before its region is made anew",
                        "which have pages that were given up, cannot come back before their region is made anew");
        return b.first;
}

const StepOps step_offline_memory_ops = {
        .needs_card = true,
        .args = "dax:s node:u block_size:u region:o blocks:a",
        .describe = offline_describe,
        .check = step_region_check,
        .apply = offline_apply,
        .revert = offline_revert,
        .verify = offline_verify,
};
