/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's policy for memory blocks that appear. It is off while the card's memory is being taken down: a way back adds
 * the blocks again, and each must then go into the zone it was in, not where the policy says (mm/memory_hotplug.c:
 * add_memory_resource onlines by mhp_default_online_type). The same step type, the other way round, puts the
 * administrator's choice back before the end of the way forward.
 *
 * Memory that somebody adds elsewhere while new memory is kept offline stays offline, and nobody tells. So whoever turns the policy off
 * notes what there is, and whoever turns it on again brings online what has come since, by the administrator's own word. A restoration has the same frame: the step that opens it (the undo of
 * turning it on) notes, the one that closes it looks there, and leaves the card's `own`. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/listing.h"
#include "step/step.h"
#include "step/undo/block-runs.h"

/* Asked about one block after the other, the lowest first: others may have set every second one offline. */
typedef struct Cursor {
        json_object *runs;
        size_t at;
} Cursor;

static bool cursor_has(Cursor *c, uint64_t id) {
        while (c->at < json_len(c->runs) && json_object_get_uint64(json_at(json_at(c->runs, c->at), 1)) < id)
                c->at++;
        return c->at < json_len(c->runs) && json_object_get_uint64(json_at(json_at(c->runs, c->at), 0)) <= id;
}

/* Writes down which blocks there are, and which of them are online. 0 or a negative errno with the reason noted. */
static int newcomers_note(StepRun *run) {
        json_object *blocks = json_object_new_array(), *online = json_object_new_array(), *note = json_object_new_object();
        _cleanup_json_ json_object *owned = note;
        _cleanup_listing_ Listing names = { 0 };
        uint64_t id, newest = 0;

        json_set(note, "blocks", blocks);
        json_set(note, "online", online);
        int r = listing_readf(&names, MEMORY_BLOCKS);
        if (r < 0)
                return step_fail(run, r, MEMORY_BLOCKS " cannot be read: %s", strerror(-r));
        for (size_t i = 0; i < names.n; i++) {
                MemoryBlockNow now;

                if (!memory_block_is_name(names.names[i], &id))
                        continue;
                block_runs_add(blocks, id);
                if (memory_block_now(id, &now) < 0)
                        continue;
                if (now.online)
                        block_runs_add(online, id);
                newest = now.birth > newest ? now.birth : newest;
        }
        json_set_u64(note, "newest", newest);
        return step_note(run, TAKE_PTR(owned));
}

/* A removal that is resumed may have noted twice, and the first time counts. */
static json_object *newcomers_noted(json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_has(json_at(notes, i), "blocks"))
                        return json_at(notes, i);
        return NULL;
}

/* The names of the card's, which come back by steps of their own. */
static json_object *own_of_plan(StepRun *run) {
        json_object *blocks = json_array(run->takes_down, "blocks"), *own = json_object_new_object();

        for (size_t i = 0; i < json_len(blocks); i++) {
                _cleanup_free_ char *key = strf("memory%ju", (uintmax_t) json_u64(json_at(blocks, i), "id"));
                if (key)
                        json_set_bool(own, key, true);
        }
        return own;
}

typedef struct Newcomers {
        StepRun *run;
        const char *word;
        uint64_t until;
        bool stopped;           /* somebody has the lock of all memory, and does not give it back: nobody waits for it twice */
        json_object *left;      /* borrowed */
} Newcomers;

static void bring_online(Newcomers *c, uint64_t id) {
        _cleanup_free_ char *path = strf(MEMORY_BLOCKS "/memory%ju/state", (uintmax_t) id);
        MemoryBlockNow now = { 0 };

        int r = c->stopped || now_monotonic() >= c->until ? -ETIME : path ? step_write(c->run, path, c->word) : -ENOMEM;
        c->stopped = c->stopped || r == -EINPROGRESS || r == -ETIME;
        if (r < 0 || memory_block_now(id, &now) < 0 || !now.online)
                block_runs_add(c->left, id);
}

/* After the policy: blocks that are new, or went and came back and were online, are brought online by `word`; what could not be is told
 * as lost, and so is one that never went away and is offline now, which somebody has set so. `own`: [[first, last], ...] that are the
 * card's, besides those of the plan (run->takes_down). Others' memory fails no removal; it takes no longer than two writes may. */
static void newcomers_bring_online(json_object *note, json_object *own, const char *word, StepRun *run) {
        Cursor present = { .runs = json_array(note, "blocks") }, online = { .runs = json_array(note, "online") }, card = { .runs = own };
        _cleanup_json_ json_object *left = json_object_new_array(), *kept = json_object_new_array(), *of_plan = NULL;
        Newcomers c = { .run = run, .word = word, .until = now_monotonic() + time_for(run->limits->write_timeout_usec), .left = left };
        _cleanup_listing_ Listing names = { 0 };
        uint64_t id;

        if (!note || streq(word, "offline"))
                return;
        int r = listing_readf(&names, MEMORY_BLOCKS);
        if (r < 0)
                step_lost(run, "whether memory was added elsewhere meanwhile, and is offline, cannot be seen: %s", strerror(-r));
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                MemoryBlockNow now = { 0 };
                if (!memory_block_is_name(names.names[i], &id))
                        continue;
                bool was_there = cursor_has(&present, id), was_online = cursor_has(&online, id), of_card = cursor_has(&card, id);
                if (of_card || (was_there && !was_online))
                        continue;
                int q = memory_block_now(id, &now);
                if (q == -ENOENT || (q >= 0 && now.online))
                        continue;
                of_plan = of_plan ?: own_of_plan(run);
                if (json_has(of_plan, names.names[i]))
                        continue;
                if (was_there && now.birth <= json_u64(note, "newest"))
                        block_runs_add(kept, id);
                else
                        bring_online(&c, id);
        }
        block_runs_tell(run, left, word, "which was added while new memory was kept offline, is offline still",
             "which were added while new memory was kept offline, are offline still");
        block_runs_tell(run, kept, word, "which was online before, has been set offline by somebody and is left so",
             "which were online before, have been set offline by somebody and are left so");
}

/* By this step, or by the one before it that turned the policy off; NULL: by none. */
static json_object *blocks_before(StepRun *run) {
        json_object *before = newcomers_noted(run->notes);

        for (uint64_t n = run->n; n > 0 && !before; n--)
                before = newcomers_noted(step_notes_of(run, n - 1));
        return before;
}

static void auto_online_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "value"));
        *ret_undo = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "was"));
}

/* The last word. */
static const char *noted_text(json_object *notes, const char *key) {
        for (size_t i = json_len(notes); i > 0; i--)
                if (json_str(json_at(notes, i - 1), key))
                        return json_str(json_at(notes, i - 1), key);
        return NULL;
}

/* What the step writes; for one that turns the policy on again, what was there when it was turned off, which may be later than the plan. */
static const char *value_of(json_object *args, StepRun *run) {
        const char *found = json_has(args, "of") ? noted_text(step_notes_of(run, json_u64(args, "of")), "found") : NULL;

        return found ?: json_str(args, "value");
}

static const char *was_of(json_object *args, StepRun *run) {
        return noted_text(run->notes, "found") ?: json_str(args, "was");
}

static int policy_now(StepRun *run, char **ret) {
        int r = auto_online_policy_read(ret);

        return r < 0 ? step_fail(run, r, AUTO_ONLINE_PATH " cannot be read: %s", strerror(-r)) : 0;
}

static int auto_online_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *now = NULL;

        int r = policy_now(run, &now);
        if (r < 0)
                return r;
        /* Somebody else's word was found in the place of ours, and stays. */
        bool theirs = !run->backwards && streq_ptr(noted_text(run->notes, "theirs"), now);
        return theirs || streq(now, value_of(args, run)) ? STEP_APPLIED : STEP_NOT_APPLIED;
}

/* What we wrote is taken back as long as it is there. What somebody has written over it since is the administrator's, and told. */
static void tell_theirs(StepRun *run, const char *now, const char *was) {
        step_lost(run, "somebody has set what becomes of new memory to %s meanwhile (" AUTO_ONLINE_PATH "), and it is left so; it was %s", now, was);
}

static int note_text(StepRun *run, const char *key, const char *text) {
        json_object *note = json_object_new_object();

        json_set_str(note, key, text);
        return step_note(run, note);
}

static int turn_off(json_object *args, const char *now, StepRun *run) {
        int r = newcomers_note(run);

        if (r >= 0 && !streq(now, was_of(args, run)) && !streq(now, "offline"))
                r = note_text(run, "found", now);
        return r < 0 ? r : step_write(run, AUTO_ONLINE_PATH, "offline");
}

static int auto_online_apply(json_object *args, StepRun *run) {
        const char *value = value_of(args, run), *was = json_str(args, "was");
        _cleanup_free_ char *now = NULL;

        int r = policy_now(run, &now);
        if (r < 0)
                return r;
        if (streq(value, "offline"))
                return turn_off(args, now, run);
        bool theirs = json_has(args, "of") && !streq(now, was) && !streq(now, value);
        if (theirs) {
                r = note_text(run, "theirs", now);
                tell_theirs(run, now, value);
        } else
                r = step_write(run, AUTO_ONLINE_PATH, value);
        if (r >= 0 && json_has(args, "of"))
                newcomers_bring_online(newcomers_noted(step_notes_of(run, json_u64(args, "of"))), NULL, value, run);
        return r;
}

static int auto_online_revert(json_object *args, StepRun *run) {
        const char *value = value_of(args, run), *was = was_of(args, run);
        _cleanup_free_ char *now = NULL;

        /* With a note this is asked whatever verify() says. */
        int r = policy_now(run, &now);
        if (r >= 0 && streq(was, "offline") && !blocks_before(run))
                r = newcomers_note(run);
        if (r < 0)
                return r;
        bool theirs = !streq(now, value) && !streq(now, was);
        if (theirs)
                tell_theirs(run, now, streq(was, "offline") ? value : was);
        else if (streq(now, value))
                r = step_write(run, AUTO_ONLINE_PATH, was);
        if (r >= 0)
                newcomers_bring_online(blocks_before(run), json_array(args, "own"), was, run);
        return r;
}

const StepOps step_auto_online_ops = {
        .needs_card = false, /* the machine's policy, not the card's */
        .meanwhile = MEANWHILE_BACK,
        .typical_usec = 5000,
        .args = "value:s was:s",
        .describe = auto_online_describe,
        .apply = auto_online_apply,
        .revert = auto_online_revert,
        .verify = auto_online_verify,
};
