/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Somebody else who is at the same things while a removal runs. What a step did and somebody has undone is done once more, a few times and for a
 * minute: whoever reacts to what we do (a rule of udev's, an automounter) comes to his end by that. Whoever goes on is not fought: the removal goes
 * back and names what he undoes, and him where the kernel tells. */
#include <errno.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/write-watch.h"

enum {
        AGAIN_MAX = 3,
};

#define AGAIN_USEC (60 * USEC_PER_SEC)

/* What can be done once more without anybody being asked again: it ends nobody, and takes nothing that the plan does not name. A region that
 * somebody creates, and a process that comes, are theirs. */
static const struct {
        StepType back;          /* a later step of this type takes it back on purpose; 0: none does */
        const char *undone;     /* in words; NULL: it is not done once more */
        const char *attributes[4]; /* by which others undo it */
} kinds[_STEP_TYPE_MAX] = {
        [STEP_HOLD] = { STEP_RELEASE, "the slot was given to pciehp",
                { "/sys/bus/pci_express/drivers/pciehp/bind" } },
        [STEP_FENCE_DAX] = { 0, "the device's node was made again" },
        [STEP_UNMOUNT] = { 0, "the file system was mounted again" },
        [STEP_SWAPOFF] = { 0, "the swap was turned on again" },
        [STEP_DISABLE_NAMESPACE] = { 0, "the namespace was enabled again",
                { "/sys/bus/nd/drivers/nd_pmem/bind", "/sys/bus/nd/drivers/dax_pmem/bind", "/sys/bus/nd/drivers_probe" } },
        [STEP_DISABLE_ND_REGION] = { 0, "the nvdimm region was enabled again",
                { "/sys/bus/nd/drivers/nd_region/bind", "/sys/bus/nd/drivers_probe" } },
        [STEP_AUTO_ONLINE] = { STEP_AUTO_ONLINE, "the policy for new memory blocks was set to another one",
                { AUTO_ONLINE_PATH } },
        [STEP_OFFLINE_MEMORY] = { 0, "memory blocks were brought online again" },
        [STEP_UNPLUG_MEMORY] = { 0, "memory blocks were brought online again" },
        [STEP_DISABLE_DAX] = { 0, "the dax device was given to its driver again",
                { "/sys/bus/dax/drivers/kmem/bind", "/sys/bus/dax/drivers/device_dax/bind", "/sys/bus/dax/drivers/kmem/new_id", "/sys/bus/dax/drivers_probe" } },
        [STEP_DISABLE_REGION] = { 0, "the region was enabled again",
                { "/sys/bus/cxl/drivers/cxl_region/bind", "/sys/bus/cxl/drivers_probe" } },
        [STEP_DECOMMIT_REGION] = { 0, "the region was committed again" },
        [STEP_POWER_OFF] = { 0, NULL, { "/sys/bus/pci/rescan" } },
        [STEP_DISABLE_MEMDEV] = { 0, "the memory device was enabled again",
                { "/sys/bus/cxl/drivers/cxl_mem/bind", "/sys/bus/cxl/drivers_probe" } },
};

/* In a plan of several slots each hold has a release of its own. */
static bool is_taken_back(const Engine *e, size_t k, size_t n) {
        StepType back = kinds[e->plan->steps[k].type].back;
        const char *port = json_str(e->plan->steps[k].args, "port");

        for (size_t i = k + 1; back != 0 && i <= n && i < e->plan->n_steps; i++)
                if (e->plan->steps[i].type == back && streq_ptr(port, json_str(e->plan->steps[i].args, "port")))
                        return true;
        return false;
}

/* Does the kernel show step k undone, which step n goes on from? */
static bool is_undone(Engine *e, size_t k, size_t n) {
        const StepOps *ops = step_ops(e->plan->steps[k].type);

        if (!kinds[e->plan->steps[k].type].undone || is_taken_back(e, k, n))
                return false;
        engine_turn_to(e, k);
        int state = ops->verify(e->plan->steps[k].args, &e->run);
        return state == STEP_NOT_APPLIED || state == STEP_PARTLY_APPLIED;
}

/* n: none of those before it. */
static size_t first_undone(Engine *e, size_t n) {
        for (size_t k = 0; k < n; k++)
                if (is_undone(e, k, n))
                        return k;
        return n;
}

/* A slot inside of one that has lost its power is gone with it: nobody serves it. */
static bool is_behind_power(const Engine *e, size_t n) {
        for (size_t k = 0; k < n; k++)
                if (step_ops(e->plan->steps[k].type)->takes_power)
                        return true;
        return false;
}

int engine_gate(Engine *e, size_t n) {
        int r = 0;

        if (is_behind_power(e, n))
                return 0;
        for (size_t k = 0; k < n && r >= 0; k++)
                if (e->plan->steps[k].type == STEP_HOLD && is_undone(e, k, n))
                        r = -EBUSY;
        engine_turn_to(e, n);
        return r < 0 ? step_fail(&e->run, r, "the slot is not held any more: somebody else has given it to pciehp") : 0;
}

void engine_watch(Engine *e, size_t n) {
        _cleanup_json_ json_object *paths = json_object_new_array();
        const Step *step = &e->plan->steps[n];
        json_object *blocks = json_array(step->args, "blocks");

        for (size_t i = 0; i < ELEMENTSOF(kinds[0].attributes) && kinds[step->type].attributes[i]; i++)
                json_append_str(paths, kinds[step->type].attributes[i]);
        for (size_t i = 0; i < json_len(blocks); i++)
                json_append_strf(paths, MEMORY_BLOCKS "/memory%ju/state", (uintmax_t) json_u64(json_at(blocks, i), "id"));
        if (step->type == STEP_UNPLUG_MEMORY)
                json_append_strf(paths, "/sys/bus/dax/devices/%s/state", json_str(step->args, "dax"));
        if (step_ops(step->type)->takes_power)
                json_append_strf(paths, "/sys/bus/pci/slots/%s/power", json_str(json_get(step->args, "scope"), "slot"));
        e->watch = write_watch_add(e->watch, paths);
}

static void hear(Engine *e) {
        char *who = write_watch_who(e->watch);

        if (!who)
                return;
        free(e->rival);
        e->rival = who;
}

void engine_tell_rival(Engine *e) {
        hear(e);
        if (e->touched_tail && e->rival)
                (void) text_add(&e->run.why, "; ", "meanwhile %s has written to it", e->rival);
}

int engine_note_rival(Engine *e, size_t n, const char *what) {
        const char *name = step_type_to_string(e->plan->steps[n].type);
        _cleanup_json_ json_object *notes = json_object_new_array();
        _cleanup_free_ char *line = strf("step %s: %s", name, what);
        json_object *note;

        /* One that was found done is none of ours yet, and has no notes. */
        if (e->journal->last_do == SIZE_MAX || n > e->journal->last_do)
                return 0;
        hear(e);
        note = json_object_new_object();
        json_set_str(note, "rival", e->rival ?: "somebody else");
        json_set_str(note, "did", line);
        json_object_array_add(notes, note);
        return journal_note(e->journal, n, notes);
}

/* As the engine does a step, but that it is on record as done already. */
static int do_again(Engine *e, size_t k) {
        const Step *step = &e->plan->steps[k];
        const StepOps *ops = step_ops(step->type);

        engine_turn_to(e, k);
        int state = ops->verify(step->args, &e->run);
        if (state < 0 || state == STEP_APPLIED)
                return state < 0 ? state : 0;
        int r = engine_identity_check(e, ops, state);
        if (r >= 0 && ops->check)
                r = ops->check(step->args, &e->run);
        if (r >= 0)
                r = ops->apply(step->args, &e->run);
        if (engine_left_behind(e, NULL, r))
                return r < 0 ? r : engine_fail_under_way(e);
        state = ops->verify(step->args, &e->run);
        return state == STEP_APPLIED ? 0 : r < 0 ? r : state < 0 ? state : step_fail(&e->run, -EBUSY, "%s", kinds[step->type].undone);
}

/* All of those from k on that do not show any more, up to n. */
static int do_all_again(Engine *e, size_t k, size_t n) {
        int r = 0;

        for (; k < n && r >= 0; k++) {
                if (!kinds[e->plan->steps[k].type].undone || is_taken_back(e, k, n))
                        continue;
                if (step_cancelled(&e->run))
                        return -ECANCELED;
                r = do_again(e, k);
        }
        return r;
}

/* Where the power is still as it was there is a way back, and so a way to try once more. */
static bool may_try(const Engine *e, size_t n, int error) {
        return error != -ECANCELED && !e->left_behind && !time_has_ended() && n <= plan_first_irreversible(e->plan) && engine_can_go_back(e);
}

/* What the failure is told with. again: what step k does was done once more, as often as that is done. */
static int give_way(Engine *e, size_t n, size_t k, bool again, const char *why) {
        /* Of the step itself the kernel may have said yes, and done nothing. */
        const char *undone = kinds[e->plan->steps[k].type].undone, *who = e->rival ?: k == n ? "somebody else or by the kernel itself" : "somebody else";
        _cleanup_free_ char *slots = plan_slot_words(e->plan), *text = strdup(why);

        if (again)
                (void) text_add(&text, "; ", "%s by %s, each of %u times that it had been set right", undone, who, e->n_again);
        engine_turn_to(e, n);
        e->interfered = true;
        step_remedy(&e->run, "safe-remove remove %s  # once %s does not interfere any more%s%s", slots ?: "",
                    e->rival ?: "whoever does that (a rule of udev's, a service, a person)", again ? ": " : "", again ? undone : "");
        return step_fail(&e->run, -EBUSY, "%s", text ?: why);
}

/* Nobody has undone anything: the step has a reason of its own. */
static int keep_reason(Engine *e, size_t n, char **why, char **remedy) {
        engine_turn_to(e, n);
        e->run.why = TAKE_PTR(*why);
        e->run.remedy = TAKE_PTR(*remedy);
        return 0;
}

/* From k on, until what is before n shows again, or there is no more of it. 1: it does. */
static int set_right(Engine *e, size_t n, size_t k, bool not_kept, const char *why) {
        if (e->n_again == 0)
                e->again_until = now_monotonic() + AGAIN_USEC;
        for (int r = -EBUSY; r < 0; k = first_undone(e, n)) {
                if (k == n && !not_kept)
                        break; /* what could not be done once more does not show as undone any more: its device has gone, say. Step n has the word */
                const char *undone = kinds[e->plan->steps[k].type].undone;
                (void) engine_note_rival(e, k, undone);
                if (e->n_again >= AGAIN_MAX || now_monotonic() >= e->again_until)
                        return give_way(e, n, k, true, why);
                engine_watch(e, k);
                e->n_again++;
                step_progress(&e->run, 0, 0, "%s by somebody else; once more (%u of %u)", undone, e->n_again, AGAIN_MAX);
                r = do_all_again(e, k, n);
                if (e->left_behind)
                        return step_fail(&e->run, -EINPROGRESS, "%s", why);
                if (r == -ECANCELED || step_cancelled(&e->run))
                        return step_fail(&e->run, -ECANCELED, "cancelled");
        }
        return 1;
}

int engine_again(Engine *e, size_t n, int error) {
        _cleanup_free_ char *why = TAKE_PTR(e->run.why), *remedy = TAKE_PTR(e->run.remedy);
        bool contested = e->run.contested, not_kept = e->run.not_kept && kinds[e->plan->steps[n].type].undone;

        if (!why)
                why = strdup(strerror(-error));
        if (!why || !may_try(e, n, error))
                return keep_reason(e, n, &why, &remedy);
        size_t k = first_undone(e, n);
        if (k == n && !not_kept)
                return contested ? give_way(e, n, n, false, why) : keep_reason(e, n, &why, &remedy);
        int r = set_right(e, n, k, not_kept, why);
        if (r > 0)
                engine_turn_to(e, n);
        return r;
}
