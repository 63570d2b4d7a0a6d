/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole device at once, where the kernel offers it: `unplugged`, written to the `state` of a dax device, takes every block offline and
 * removes the memory, or leaves all as it was (drivers/dax/kmem.c:state_store). Where the kernel refuses that, it does not say which block
 * is the reason: then the blocks are taken one by one (step-offline-memory.c), which tells block and zone, and the word is written
 * after it. The kmem driver stays bound and is taken off by the next step.
 *
 * The word says what was last written there, not how the blocks are: they may have been brought online by hand under `offline`, and one
 * by one into other zones. So how each of them is gets noted before the write, and the way back goes by that. The word comes back too,
 * wherever the kernel has a way to it: any but `offline` from `unplugged` alone, `offline` by a driver that is bound anew. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/dax.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/write.h"
#include "step/step.h"
#include "step/undo/dax-shape.h"
#include "step/undo/device-back.h"
#include "step/undo/poison.h"
#include "step/undo/region-moves.h"

#define DEVICES "/sys/bus/dax/devices"

enum {
        /* A driver that probes has the attribute when it is done; how long it is waited for on the way back, and how often we look. */
        STATE_TIMEOUT_SEC = 10,
        STATE_RETRY_MSEC = 50,
};

static void unplug_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write unplugged to " DEVICES "/%s/state%s", json_str(args, "dax"), json_flag(args, "poison") ? POISON_DOES : "");
        *ret_undo = strf("write %s to " DEVICES "/%s/state", json_str(args, "was"), json_str(args, "dax"));
}

/* -ENODEV: there is no such device; -ENOENT: no driver that has the attribute, and so no memory of it. */
static int state_look(json_object *args, char **ret_name, char **ret_state) {
        _cleanup_free_ char *name = NULL;

        int r = dax_find(json_u64(args, "start"), &name);
        if (r >= 0)
                r = attr_readf(ret_state, DEVICES "/%s/state", name);
        if (r < 0)
                return r;
        *ret_name = TAKE_PTR(name);
        return 0;
}

static int state_read(json_object *args, StepRun *run, char **ret_name, char **ret_state) {
        uint64_t deadline = now_monotonic() + time_for((run->backwards ? STATE_TIMEOUT_SEC : 0) * USEC_PER_SEC);
        int r;

        while ((r = state_look(args, ret_name, ret_state)) < 0 && now_monotonic() < deadline)
                step_pause(run, STATE_RETRY_MSEC);
        return r < 0 ? step_fail(run, r, "the state of %s cannot be read: %s", json_str(args, "dax"), strerror(-r)) : 0;
}

/* Those that were offline are there and still are. */
static bool are_offline(json_object *ids) {
        for (size_t i = 0; i < json_len(ids); i++) {
                MemoryBlock b;
                if (memory_block_read(json_object_get_uint64(json_at(ids, i)), &b) < 0 || b.online)
                        return false;
        }
        return true;
}

/* How the blocks were, by the numbers that they have now. NULL: nobody noted it. Otherwise a new reference. */
static json_object *noted_memory(StepRun *run) {
        json_object *memory = step_noted_object(run, "memory");

        return memory && run->moves ? region_moves_apply(run->moves, memory) : json_ref(memory);
}

static bool is_as_noted(json_object *memory, StepRun *run) {
        return are_offline(json_array(memory, "offline")) && (json_len(json_array(memory, "blocks")) == 0 ||
                                                             step_offline_memory_ops.verify(memory, run) == STEP_NOT_APPLIED);
}

static int unplug_verify(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *memory = noted_memory(run);
        _cleanup_free_ char *name = NULL, *state = NULL;

        if (run->backwards && memory)
                return is_as_noted(memory, run) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
        int r = state_look(args, &name, &state);
        if (r == -ENODEV || r == -ENOENT)
                return STEP_APPLIED;
        if (r < 0)
                return step_fail(run, r, "the state of %s cannot be read: %s", json_str(args, "dax"), strerror(-r));
        return streq(state, "unplugged") ? STEP_APPLIED :
               streq(state, json_str(args, "was")) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

/* A signal that stops and continues the writer ends the kernel's work with EINTR and everything as it was, so it is asked again. */
static int word_write(const char *name, const char *word, uint64_t timeout_usec, StepRun *run) {
        _cleanup_free_ char *path = strf(DEVICES "/%s/state", name);
        uint64_t now = now_monotonic(), deadline = now + timeout_usec;
        int r;

        if (!path)
                return -ENOMEM;
        do {
                const WriteOptions options = {
                        .kind = WRITE_INTERRUPTIBLE,
                        .timeout_usec = deadline - now,
                        .cancelled = run->ignore_cancel ? NULL : run->cancelled,
                        .userdata = run->userdata,
                };
                r = kernel_write(path, word, &options);
        } while (r == -EINTR && (now = now_monotonic()) < deadline);
        if (r < 0)
                step_remedy(run, "echo %s > %s", word, path);
        return r < 0 ? step_fail(run, r, "writing %s to %s: %s", word, path, strerror(-r)) : 0;
}

static int by_id(const void *a, const void *b) {
        const MemoryBlock *x = a, *y = b;

        return x->id < y->id ? -1 : x->id > y->id;
}

static int add_blocks(MemoryBlock **all, size_t *n, const DaxRange *range) {
        _cleanup_free_ MemoryBlock *blocks = NULL;
        size_t n_blocks = 0;

        int r = memory_blocks_in_range(range->start, range->size, &blocks, &n_blocks);
        if (r < 0 || n_blocks == 0)
                return r;
        MemoryBlock *more = reallocarray(*all, *n + n_blocks, sizeof(*more));
        if (!more)
                return -ENOMEM;
        memcpy(more + *n, blocks, n_blocks * sizeof(*more));
        *all = more;
        *n += n_blocks;
        return 0;
}

/* Those of all its ranges, lowest first, and where those are. */
static int blocks_of(const char *name, MemoryBlock **ret, size_t *ret_n, json_object **ret_ranges) {
        _cleanup_(dax_list_done) DaxList list = { 0 };
        _cleanup_json_ json_object *ranges = json_object_new_array();
        _cleanup_free_ MemoryBlock *all = NULL;
        size_t n = 0;

        int r = dax_list_read(&list);
        const DaxSeen *d = r >= 0 ? dax_list_find(&list, name) : NULL;
        if (!d || d->n_ranges == 0)
                return r < 0 ? r : -ENODATA;
        for (size_t i = 0; i < d->n_ranges && r >= 0; i++) {
                json_object *range = json_object_new_object();
                json_set_u64(range, "start", d->ranges[i].start);
                json_set_u64(range, "size", d->ranges[i].size);
                json_object_array_add(ranges, range);
                r = add_blocks(&all, &n, &d->ranges[i]);
        }
        if (r < 0)
                return r;
        if (n > 0)
                qsort(all, n, sizeof(*all), by_id);
        *ret = TAKE_PTR(all);
        *ret_n = n;
        *ret_ranges = TAKE_PTR(ranges);
        return 0;
}

/* What step-offline-memory.c has as its arguments: the blocks that are online, highest first; and which are not, beside them. */
static int memory_look(json_object *args, const char *name, json_object **ret) {
        _cleanup_free_ MemoryBlock *blocks = NULL;
        json_object *ranges = NULL;
        uint64_t block_size = 0;
        size_t n = 0;

        int r = memory_block_size(&block_size);
        if (r >= 0)
                r = blocks_of(name, &blocks, &n, &ranges);
        if (r < 0)
                return r;

        json_object *o = json_object_new_object(), *online = json_object_new_array(), *offline = json_object_new_array();
        for (size_t i = n; i > 0; i--) {
                const MemoryBlock *b = &blocks[i - 1];
                json_object *block = b->online ? json_object_new_object() : json_object_new_uint64(b->id);
                if (b->online) {
                        json_set_u64(block, "id", b->id);
                        json_set_str(block, "zone", zone_to_string(b->zone));
                }
                json_object_array_add(b->online ? online : offline, block);
        }
        json_set_str(o, "dax", json_str(args, "dax"));
        json_set_u64(o, "node", n > 0 && blocks[0].node >= 0 ? (uint64_t) blocks[0].node : 0);
        json_set(o, "ranges", ranges);
        json_set_u64(o, "block_size", block_size);
        json_set(o, "region", json_ref(json_get(args, "region")));
        json_set(o, "blocks", online);
        json_set(o, "offline", offline);
        if (json_flag(args, "poison"))
                json_set_bool(o, "poison", true);
        *ret = o;
        return 0;
}

static int memory_note(json_object *args, const char *name, StepRun *run) {
        json_object *memory = NULL;

        if (step_noted_object(run, "memory"))
                return 0;
        int r = memory_look(args, name, &memory);
        if (r < 0)
                return step_fail(run, r, "the memory blocks of %s cannot be read: %s", name, strerror(-r));
        json_object *note = json_object_new_object();
        json_set(note, "memory", memory);
        return step_note(run, note);
}

static int poison_check_all(json_object *args, json_object *memory, StepRun *run) {
        json_object *ranges = json_get(memory, "ranges");
        int r = ranges ? 0 : poison_check(json_u64(args, "start"), json_u64(memory, "size"), run);

        for (size_t i = 0; i < json_len(ranges) && r >= 0; i++)
                r = poison_check(json_u64(json_at(ranges, i), "start"), json_u64(json_at(ranges, i), "size"), run);
        return r;
}

static int unplug_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *state = NULL;
        uint64_t timeout = run->limits->offline_timeout_usec;

        int r = step_region_check(args, run);
        if (r >= 0)
                r = state_read(args, run, &name, &state);
        if (r >= 0)
                r = memory_note(args, name, run);
        if (r >= 0)
                r = poison_check_all(args, step_noted_object(run, "memory"), run);
        if (r >= 0)
                r = word_write(name, "unplugged", timeout, run);
        if (r != -EBUSY && r != -EAGAIN && r != -ENOMEM && r != -ETIME && r != -EINTR)
                return r;

        /* All blocks are as they were. One of them is the reason: which one shows when they are taken one by one. */
        r = step_offline_memory_ops.apply(step_noted_object(run, "memory"), run);
        return r < 0 ? r : word_write(name, "unplugged", timeout, run);
}

/* May the word bring all blocks online, so that what was not so is put right afterwards? Of what the kernel may put pages of its own
 * into nobody can say that it goes offline again. */
static bool word_fits(const char *word, json_object *memory) {
        json_object *blocks = json_array(memory, "blocks");

        if (streq(word, "online_movable"))
                return true;
        if (json_find(blocks, "zone", zone_to_string(ZONE_MOVABLE)))
                return false;
        return startswith(word, "online") && json_len(json_array(memory, "offline")) == 0;
}

/* With the policy for new blocks off, as it is while we are at it, they are there again, offline, and the state says so. */
static int driver_anew(json_object *args, json_object *memory, const char *name, StepRun *run) {
        _cleanup_free_ char *now = NULL, *state = NULL;

        int r = dax_offline_check(run, json_get(memory, "ranges"), json_u64(args, "start"), json_u64(memory, "size"), name);
        if (r >= 0)
                r = step_unbind(run, "dax", name, "kmem");
        if (r >= 0)
                r = step_bind(run, "dax", name, "kmem");
        return r < 0 ? r : state_read(args, run, &now, &state);
}

static int word_back(json_object *args, json_object *memory, const char *name, const char *state, StepRun *run) {
        uint64_t timeout = run->limits->offline_timeout_usec, n = json_u64(args, "n_blocks") ?: 1;
        const char *was = json_str(args, "was");

        if (streq(state, was))
                return 0;
        if (memory && !word_fits(was, memory))
                return streq(state, "offline") ? 0 : driver_anew(args, memory, name, run);

        /* The kernel brings memory online by this word from `unplugged` alone, and a device that was bound anew reads `offline`. */
        int r = streq(state, "unplugged") ? 0 : word_write(name, "unplugged", timeout, run);
        return r < 0 ? r : word_write(name, was, timeout * n, run);
}

/* Whatever the word has brought online of it: it was not so before. */
static int offline_again(json_object *memory, StepRun *run) {
        json_object *ids = json_array(memory, "offline"), *blocks = json_object_new_array();
        _cleanup_json_ json_object *again = json_object_new_object();

        for (size_t i = 0; i < json_len(ids); i++) {
                json_object *block = json_object_new_object();
                json_set(block, "id", json_ref(json_at(ids, i)));
                json_set_str(block, "zone", zone_to_string(ZONE_MOVABLE));
                json_object_array_add(blocks, block);
        }
        json_set_str(again, "dax", json_str(memory, "dax"));
        json_set_u64(again, "block_size", json_u64(memory, "block_size"));
        json_set(again, "blocks", blocks);
        return json_len(blocks) > 0 ? step_offline_memory_ops.apply(again, run) : 0;
}

/* A device that we, or a worker that died, had unbound to bind it anew: nobody else does. One that is not there yet is waited for elsewhere. */
static int driver_back(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *driver = NULL;

        if (dax_find(json_u64(args, "start"), &name) < 0 || driver_of("dax", name, &driver) < 0)
                return 0;
        return driver ? 0 : step_bind(run, "dax", name, "kmem");
}

static int unplug_revert(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *memory = noted_memory(run);
        _cleanup_free_ char *name = NULL, *state = NULL;

        int r = step_region_check(args, run);
        if (r >= 0)
                r = driver_back(args, run);
        if (r >= 0)
                r = state_read(args, run, &name, &state);
        if (r >= 0)
                r = word_back(args, memory, name, state, run);
        if (r < 0 || !memory)
                return r;
        r = offline_again(memory, run);
        if (r == -EINPROGRESS)
                return r;
        /* One that does not go offline again keeps none of the others offline. */
        int q = step_offline_memory_ops.revert(memory, run);
        return r < 0 && q != -EINPROGRESS ? r : q;
}

const StepOps step_unplug_memory_ops = {
        .needs_card = true,
        .args = "dax:s start:u was:s n_blocks:u region:o",
        .describe = unplug_describe,
        .apply = unplug_apply,
        .revert = unplug_revert,
        .verify = unplug_verify,
};
