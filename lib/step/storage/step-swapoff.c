/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads back what was swapped to the card. If memory and the other swaps cannot take it, the kernel would end processes
 * (mm/swapfile.c: swapoff makes itself a candidate for the OOM killer, and a larger process goes first), so the room is
 * counted before. */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/swap.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/mountinfo.h"
#include "step/step.h"
#include "step/undo/device-back.h"

enum {
        /* What a slow device reads in random order: for a deadline, not for a promise. */
        MIB_PER_SEC = 8,
};

static void swapoff_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *path = json_str(args, "path");
        int priority = json_object_get_int(json_get(args, "priority"));

        *ret_does = strf("swapoff %s (%ju MiB in use)", path, (uintmax_t) (json_u64(args, "used") >> 20));
        *ret_undo = priority >= 0 ? strf("swapon -p %d %s", priority, path) : strf("swapon %s", path);
}

/* A partition is the same one under any path. */
static bool is_it(const SwapEntry *e, json_object *args, dev_t dev) {
        dev_t other;

        if (e->file || json_flag(args, "file"))
                return e->file == json_flag(args, "file") && streq(e->path, json_str(args, "path"));
        return blockdev_number_of_path(e->path, &other) >= 0 && other == dev;
}

/* *ret_used is what is on it, *ret_others what the others could take. 1: it is on, 0: it is not. */
static int look(json_object *args, dev_t dev, StepRun *run, uint64_t *ret_used, uint64_t *ret_others) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };
        _cleanup_free_ char *text = NULL;
        uint64_t used = 0, others = 0;
        int on = 0;

        int r = read_file("/proc/swaps", &text, NULL);
        if (r >= 0)
                r = swaps_parse(text, &l);
        if (r < 0)
                return step_fail(run, r, "/proc/swaps cannot be read: %s", strerror(-r));
        for (size_t i = 0; i < l.n_items; i++)
                if (is_it(&l.items[i], args, dev)) {
                        used = l.items[i].used;
                        on = 1;
                } else
                        others += l.items[i].size - l.items[i].used;
        *ret_used = used;
        *ret_others = others;
        return on;
}

static int planned_dev(json_object *args, StepRun *run, dev_t *ret) {
        int r = dev_parse(json_str(args, "dev"), ret);

        return r < 0 ? step_fail(run, r, "the plan does not say which swap") : 0;
}

static int swapoff_check(json_object *args, StepRun *run) {
        uint64_t used, others, available;
        dev_t dev;

        int r = planned_dev(args, run, &dev);
        if (r >= 0)
                r = look(args, dev, run, &used, &others);
        if (r <= 0)
                return r;
        r = memory_available(&available);
        if (r < 0)
                return step_fail(run, r, "/proc/meminfo cannot be read: %s", strerror(-r));
        if (used > available + others)
                return step_fail(run, -EBUSY, "%ju MiB are swapped to %s, memory and the other swaps can take %ju MiB", (uintmax_t) (used >> 20),
                                 json_str(args, "path"), (uintmax_t) ((available + others) >> 20));
        return 0;
}

static int swapoff_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *path = NULL;
        uint64_t used, others;
        dev_t dev = 0;

        int r = 0;
        if (run->backwards && step_noted_flag(run, "left"))
                return STEP_NOT_APPLIED;
        if (run->backwards && !json_flag(args, "file")) {
                r = device_find(run, json_str(args, "path"), &path, &dev);
                if (r == -ENODEV)
                        return STEP_APPLIED;
        } else
                r = planned_dev(args, run, &dev);
        if (r >= 0)
                r = look(args, dev, run, &used, &others);
        return r < 0 ? r : r > 0 ? STEP_NOT_APPLIED : STEP_APPLIED;
}

/* Whoever has a folder on the way to a file has another one there in a moment, and would read all that is swapped out. */
static int note_file(json_object *args, StepRun *run) {
        json_object *id = NULL, *note;

        if (step_noted_object(run, "id") || swap_file_id(json_str(args, "path"), run->limits->write_timeout_usec, &id) < 0)
                return 0;
        note = json_object_new_object();
        json_set(note, "id", id);
        return step_note(run, note);
}

static int swapoff_apply(json_object *args, StepRun *run) {
        uint64_t used = 0, others;
        dev_t dev;

        int r = planned_dev(args, run, &dev);
        if (r >= 0)
                r = look(args, dev, run, &used, &others);
        if (r <= 0)
                return r;
        r = swapoff_check(args, run);
        if (r >= 0)
                r = json_flag(args, "file") ? note_file(args, run) : device_note(run, dev);
        if (r < 0)
                return r;
        const ApartOptions options = {
                .interruptible = true,
                .timeout_usec = run->limits->write_timeout_usec + (used >> 20) * USEC_PER_SEC / MIB_PER_SEC,
                .cancelled = run->ignore_cancel ? NULL : run->cancelled,
                .userdata = run->userdata,
        };
        /* One that nothing tells from others can go all the same: the kernel takes off only what is swapped to. */
        json_object *id = step_noted_object(run, "id");
        r = swap_off(json_str(args, "path"), file_id_tells(id, NULL) ? id : NULL, &options);
        return r < 0 ? step_fail(run, r, "swapoff %s: %s", json_str(args, "path"), strerror(-r)) : 0;
}

/* By hand, as it was. */
static char *on_command(const char *path, int priority) {
        _cleanup_free_ char *quoted = shell_quoted(path);

        return priority >= 0 ? strf("swapon -p %d %s", priority, quoted ?: "") : strf("swapon %s", quoted ?: "");
}

/* What may be somebody else's file is not swapped to, and keeps nothing else from coming back. */
static int leave(json_object *args, const char *why, StepRun *run) {
        _cleanup_free_ char *command = on_command(json_str(args, "path"), json_object_get_int(json_get(args, "priority")));
        json_object *note = json_object_new_object();

        json_set_bool(note, "left", true);
        step_lost(run, "%s is not switched on again: %s; when it is the right one: %s", json_str(args, "path"), why, command ?: "swapon");
        return step_note(run, note);
}

static int swapoff_revert(json_object *args, StepRun *run) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = run->limits->write_timeout_usec };
        int priority = json_object_get_int(json_get(args, "priority"));
        _cleanup_free_ char *path = NULL;
        dev_t dev;

        json_object *id = step_noted_object(run, "id");

        if (json_flag(args, "file") && !id)
                return leave(args, "which file it was is not on record: nobody could say then, or an earlier version has written it", run);
        int r = json_flag(args, "file") ? 0 : device_find(run, json_str(args, "path"), &path, &dev);
        if (r < 0)
                return r;
        r = swap_on(path ?: json_str(args, "path"), id, priority, &options);
        if (r == -ENODATA)
                return leave(args, FILE_ID_TELLS_NOTHING, run);
        if (r == -ESTALE)
                return leave(args, "it is not there, or another file has its name, or a link is on the way to it now", run);
        if (r < 0 && r != -EBUSY) {
                _cleanup_free_ char *command = on_command(path ?: json_str(args, "path"), priority);
                step_remedy(run, "%s", command ?: "swapon");
                return step_fail(run, r, "swapon %s: %s", path ?: json_str(args, "path"), strerror(-r));
        }
        return 0;
}

const StepOps step_swapoff_ops = {
        .typical_usec = 1000000,
        .args = "path:s dev:s file:b",
        .describe = swapoff_describe,
        .check = swapoff_check,
        .apply = swapoff_apply,
        .revert = swapoff_revert,
        .verify = swapoff_verify,
};
