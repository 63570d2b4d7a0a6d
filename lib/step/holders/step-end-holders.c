/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends the processes that use the card, each as its rule says (end-holder.c), until two looks in a row find none. No process is touched on an old
 * look: each is looked at again right before a signal. */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/sysfs/fence.h"
#include "step/evict/end-holder.h"

enum {
        QUIET_LOOKS = 2,
        SCAN_BUDGET_SEC = 30,

        /* A process that ends is an event; one that unmaps, or closes a file, is none. */
        TICK_MSEC = 200,
        WATCHED_MAX = 64,
};

/* Beyond what the ladders take: new users that keep appearing are not waited for for ever. */
#define SLACK_USEC (30 * USEC_PER_SEC)

static void end_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *names = holder_targets_text(json_array(args, "targets")), *unmap = NULL, *left = NULL;

        if (json_len(json_array(args, "unmap")) > 0) {
                unmap = holder_targets_text(json_array(args, "unmap"));
                left = strf("; leave it to the kernel to take what is still mapped of %s (forced)", unmap);
        }
        *ret_does = strf("end the processes that use %s as the policy says%s%s%s", names,
                         json_flag(args, "force_kill") ? ", with SIGKILL in the end" : "",
                         json_len(json_array(args, "shutdown")) > 0 ? ", once the file systems they use are shut down (forced)" : "", left ?: "");
        *ret_undo = strf("start the units again that were stopped, last first");
}

/* May the kernel be left to take what this one has (take-mappings.h)? Pins it forgets. And a file that is only open keeps its file
 * system; the descriptors of a device that is gone lead nowhere. */
static bool may_be_unmapped(const HolderLook *l, const HoldTargets *unmap, const Holder *h) {
        bool files = false;

        if (unmap->n_items == 0 || h->n_more_holds > 0)
                return false;
        for (size_t i = 0; i < h->n_holds; i++) {
                if (h->holds[i].way == HOLD_PIN || !hold_targets_have(unmap, &l->targets.items[h->holds[i].target]))
                        return false;
                files = files || l->targets.items[h->holds[i].target].kind == TARGET_FS;
        }
        return holder_maps(h) || !files;
}

static int fail_left(const EndRun *e, const Holder *h, const Ending *n, size_t more) {
        _cleanup_free_ char *text = holder_text(h), *others = more > 0 ? strf(", and there are %zu more", more) : strdup(""),
                            *unit = shell_quoted(h->unit);
        bool came_back = end_came_back(e, h, n);

        if (came_back)
                step_remedy(e->run, "systemctl mask --runtime --now %s", unit);
        else
                step_remedy(e->run, "kill -KILL %d", h->pid);
        return step_fail(e->run, -EBUSY, "%s%s; %s%s%s", text, others,
                         came_back ? "its unit was stopped and came back" : n->n_rungs > 0 ? "everything that the policy allows has been tried" :
                         "nothing may be done about it", n->why_not ? ": " : "", n->why_not ?: "");
}

/* One step further with everybody. *ret_left: how many are still to go. */
static int end_round(EndRun *e, const HoldTargets *unmap, const Holders *found, size_t *ret_left) {
        size_t left = 0;
        _cleanup_free_ char *waiting = NULL;

        e->round = found;

        for (size_t i = 0; i < found->n_items; i++) {
                const Ending *n = NULL;

                int r = end_holder(e, &found->items[i], &n);
                if (r < 0)
                        return r;
                if (r == 0 && may_be_unmapped(e->look, unmap, &found->items[i]))
                        continue;
                if (r == 0)
                        return fail_left(e, &found->items[i], n, found->n_items - 1);
                left++;
                waiting = waiting ?: end_waiting_for(e, &found->items[i]);
        }
        if (waiting)
                step_progress(e->run, 0, left, "%s", waiting);
        *ret_left = left;
        return 0;
}

/* Until somebody of them ends, or a tick is over. */
static void wait_for_any(const Holders *found) {
        struct pollfd p[WATCHED_MAX];
        nfds_t n = 0;

        for (size_t i = 0; i < found->n_items && n < WATCHED_MAX; i++) {
                int fd;
                if (process_open(found->items[i].pid, found->items[i].start_time, NULL, &fd) >= 0)
                        p[n++] = (struct pollfd) { .fd = fd, .events = POLLIN };
        }
        (void) poll(p, n, TICK_MSEC);
        while (n > 0)
                close(p[--n].fd);
}

static uint64_t ladder_usec(const EndRun *e, const Holder *h) {
        HolderAction rungs[_HOLDER_ACTION_MAX];
        json_object *rule = holder_rule_for(e->look->rules, h);
        const HolderForce force = { .kill = e->force_kill, .shutdown = end_shutdown_concerns(e, h) };
        uint64_t usec = force.shutdown ? e->run->limits->write_timeout_usec : 0;

        for (size_t i = holder_rule_ladder(rule, h, force, rungs); i-- > 0;)
                usec += holder_rule_usec(rule, rungs[i]);
        return usec;
}

static uint64_t longest_ladder(const EndRun *e, const Holders *found, uint64_t so_far) {
        for (size_t i = 0; i < found->n_items; i++) {
                uint64_t usec = ladder_usec(e, &found->items[i]);
                so_far = usec > so_far ? usec : so_far;
        }
        return so_far;
}

static int end_all(EndRun *e, const HoldTargets *unmap) {
        uint64_t start = now_monotonic(), longest = 0;

        for (unsigned quiet = 0; quiet < QUIET_LOOKS;) {
                _cleanup_(holders_freep) Holders *found = NULL;
                size_t left = 0;

                /* Nobody is left with a file system that is shut down. */
                if (!e->tried && step_cancelled(e->run))
                        return step_fail(e->run, -ECANCELED, "cancelled");
                int r = holder_look(e->look, e->run, SCAN_BUDGET_SEC * USEC_PER_SEC, &found);
                bool late = now_monotonic() > start + 2 * longest + SLACK_USEC;
                if (r == -EAGAIN && !late) {
                        step_pause(e->run, TICK_MSEC);
                        continue;
                }
                if (r >= 0)
                        r = end_round(e, unmap, found, &left);
                e->round = NULL;
                if (r < 0)
                        return r;
                longest = longest_ladder(e, found, longest);
                quiet = left > 0 ? 0 : quiet + 1;
                if (left > 0 && late)
                        return fail_left(e, &found->items[0], &(Ending) { .n_rungs = 1, .why_not = (char *) "new users keep appearing" }, left - 1);
                wait_for_any(found);
        }
        others_hold_again(e->run);
        return end_unspare(e->run);
}

static int unmap_of(json_object *args, StepRun *run, HoldTargets *ret) {
        int r = json_has(args, "unmap") ? hold_targets_from_json(json_array(args, "unmap"), ret) : 0;

        return r < 0 ? step_fail(run, r, "the list of what may be unmapped by force cannot be read: %s", strerror(-r)) : 0;
}

static int end_apply(json_object *args, StepRun *run) {
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_(hold_targets_done) HoldTargets unmap = { 0 };
        _cleanup_(end_run_done) EndRun e = {
                .look = &l, .run = run, .force_kill = json_flag(args, "force_kill"), .shutdown = json_array(args, "shutdown"),
        };

        int r = holder_look_begin(args, run, &l);
        if (r >= 0)
                r = unmap_of(args, run, &unmap);
        if (r < 0)
                return r;
        hold_meanwhile_begin(&e.others, run);
        return end_all(&e, &unmap);
}

static int end_check(json_object *args, StepRun *run) {
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = holder_look_begin(args, run, &l);
        return r < 0 ? r : holder_look(&l, run, SCAN_BUDGET_SEC * USEC_PER_SEC, &found);
}

/* Who is started again opens what he had. (Where that fails the fence's own undo tells it.) */
static void lift_fences(json_object *targets) {
        for (size_t i = 0; i < json_len(targets); i++)
                if (streq_ptr(json_str(json_at(targets, i), "kind"), "char") && json_str(json_at(targets, i), "name"))
                        (void) fence_show(json_str(json_at(targets, i), "name"));
}

static int end_revert(json_object *args, StepRun *run) {
        /* What used it comes after it. */
        int r = end_shutdown_undo(json_array(args, "shutdown"), run);
        lift_fences(json_array(args, "targets"));
        if (r >= 0)
                r = end_undo(run);
        /* After all that needs them running, and also where that failed. */
        others_hold_again(run);
        return r;
}

static int end_verify(json_object *args, StepRun *run) {
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_(hold_targets_done) HoldTargets unmap = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;

        if (run->backwards) {
                int left = end_shutdown_left(json_array(args, "shutdown"), run);
                return left < 0 ? left : left == 0 && end_is_undone(run) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
        }

        int r = holder_look_begin(args, run, &l);
        if (r >= 0)
                r = unmap_of(args, run, &unmap);
        if (r >= 0)
                r = holder_look(&l, run, SCAN_BUDGET_SEC * USEC_PER_SEC, &found);
        if (r == -EBUSY)
                return STEP_NOT_APPLIED;
        if (r < 0)
                return r;
        for (size_t i = 0; i < found->n_items; i++)
                if (!may_be_unmapped(&l, &unmap, &found->items[i]))
                        return STEP_NOT_APPLIED;
        return STEP_APPLIED;
}

const StepOps step_end_holders_ops = {
        .typical_usec = 1000000,
        .args = "targets:a rules:a force_kill:b",
        .describe = end_describe,
        .check = end_check,
        .apply = end_apply,
        .revert = end_revert,
        .verify = end_verify,
};
