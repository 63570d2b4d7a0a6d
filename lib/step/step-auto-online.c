/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's policy for memory blocks that appear. It is off while the card's memory is being taken down: a way back adds
 * the blocks again, and each must then go into the zone it was in, not where the policy says (mm/memory_hotplug.c:
 * add_memory_resource onlines by mhp_default_online_type). The same step type, the other way round, puts the
 * administrator's choice back before the end of the way forward.
 *
 * Memory that somebody adds elsewhere meanwhile stays offline, and nobody tells. So the step notes which blocks there are before it turns
 * the policy off, and whoever puts it back brings those online that have come since, by the administrator's own word. A restoration has the
 * same frame: the step that opens it (the undo of turning it on) notes, the one that closes it looks there, and leaves the card's `own`. */
#include <errno.h>

#include "kernel/listing.h"
#include "kernel/memory-block.h"
#include "step/step.h"

/* [[first, last], ...]: a machine has a hundred thousand of them, and few gaps. */
static int present_blocks(json_object **ret) {
        json_object *runs = json_object_new_array(), *run = NULL;
        _cleanup_json_ json_object *owned = runs;
        _cleanup_listing_ Listing names = { 0 };
        uint64_t id, last = 0;

        int r = listing_readf(&names, MEMORY_BLOCKS);
        if (r < 0)
                return r;
        for (size_t i = 0; i < names.n; i++) {
                if (!memory_block_is_name(names.names[i], &id))
                        continue;
                if (!run || id != last + 1) {
                        run = json_object_new_array();
                        json_object_array_add(run, json_object_new_uint64(id));
                        json_object_array_add(runs, run);
                }
                json_object_array_put_idx(run, 1, json_object_new_uint64(id));
                last = id;
        }
        *ret = TAKE_PTR(owned);
        return 0;
}

static bool is_among(json_object *runs, uint64_t id) {
        for (size_t i = 0; i < json_len(runs); i++) {
                json_object *run = json_at(runs, i);
                if (id >= json_object_get_uint64(json_at(run, 0)) && id <= json_object_get_uint64(json_at(run, 1)))
                        return true;
        }
        return false;
}

/* What others have added is theirs: it does not fail the removal, but what could not be done is told. */
static void bring_online(uint64_t id, const char *word, StepRun *run) {
        _cleanup_free_ char *path = strf(MEMORY_BLOCKS "/memory%ju/state", (uintmax_t) id);
        MemoryBlock b;

        int r = memory_block_read(id, &b);
        if (r == -ENOENT || (r >= 0 && b.online))
                return;
        if (r >= 0)
                r = path ? step_write(run, path, word) : -ENOMEM;
        if (r >= 0)
                r = memory_block_read(id, &b);
        if (r < 0 || !b.online)
                step_lost(run, "memory%ju, which was added while new memory was kept offline, is offline still (echo %s > %s)", (uintmax_t) id, word,
                          path ?: "its state");
}

/* From the notes of the step that turned the policy off; a removal that is resumed may have noted twice, and the first time counts. */
static json_object *blocks_noted(json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_has(json_at(notes, i), "blocks"))
                        return json_array(json_at(notes, i), "blocks");
        return NULL;
}

/* By this step, or by the one before it that turned the policy off; NULL: by none. */
static json_object *blocks_before(StepRun *run) {
        json_object *before = blocks_noted(run->notes);

        for (uint64_t n = run->n; n > 0 && !before; n--)
                before = blocks_noted(step_notes_of(run, n - 1));
        return before;
}

static void bring_newcomers_online(json_object *before, json_object *own, const char *word, StepRun *run) {
        _cleanup_listing_ Listing names = { 0 };
        uint64_t id;

        if (!before || streq(word, "offline"))
                return;
        int r = listing_readf(&names, MEMORY_BLOCKS);
        if (r < 0)
                step_lost(run, "whether memory was added elsewhere meanwhile, and is offline, cannot be seen: %s", strerror(-r));
        for (size_t i = 0; i < names.n && r >= 0; i++)
                if (memory_block_is_name(names.names[i], &id) && !is_among(before, id) && !is_among(own, id))
                        bring_online(id, word, run);
}

static void auto_online_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "value"));
        *ret_undo = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "was"));
}

static int auto_online_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *now = NULL;

        int r = auto_online_policy_read(&now);
        if (r < 0)
                return step_fail(run, r, AUTO_ONLINE_PATH " cannot be read: %s", strerror(-r));
        return streq(now, json_str(args, "value")) ? STEP_APPLIED : STEP_NOT_APPLIED;
}

static int note_blocks(StepRun *run) {
        _cleanup_json_ json_object *blocks = NULL;

        int r = present_blocks(&blocks);
        if (r < 0)
                return step_fail(run, r, MEMORY_BLOCKS " cannot be read: %s", strerror(-r));
        json_object *note = json_object_new_object();
        json_set(note, "blocks", TAKE_PTR(blocks));
        return step_note(run, note);
}

static int auto_online_apply(json_object *args, StepRun *run) {
        const char *value = json_str(args, "value");

        int r = streq(value, "offline") ? note_blocks(run) : 0;
        if (r >= 0)
                r = step_write(run, AUTO_ONLINE_PATH, value);
        if (r >= 0 && json_has(args, "of"))
                bring_newcomers_online(blocks_noted(step_notes_of(run, json_u64(args, "of"))), NULL, value, run);
        return r;
}

static int auto_online_revert(json_object *args, StepRun *run) {
        const char *was = json_str(args, "was");

        /* What somebody else has written over ours is theirs. (With a note this is asked whatever verify() says.) */
        int state = auto_online_verify(args, run), r = state < 0 ? state : 0;
        if (r >= 0 && streq(was, "offline") && !blocks_before(run))
                r = note_blocks(run);
        if (r >= 0 && state == STEP_APPLIED)
                r = step_write(run, AUTO_ONLINE_PATH, was);
        if (r >= 0)
                bring_newcomers_online(blocks_before(run), json_array(args, "own"), was, run);
        return r;
}

const StepOps step_auto_online_ops = {
        .needs_card = false, /* the machine's policy, not the card's */
        .typical_usec = 5000,
        .args = "value:s was:s",
        .describe = auto_online_describe,
        .apply = auto_online_apply,
        .revert = auto_online_revert,
        .verify = auto_online_verify,
};
