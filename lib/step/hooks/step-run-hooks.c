/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells the administrator's programs that it begins, before anything is taken down, and on the way back that it does not come to that. Nothing in the
 * kernel shows whether they were told: so the notes are all there is to go by, and what is not noted as done is told once more. */
#include <errno.h>

#include "base/clock.h"
#include "step/hooks/hooks-run.h"
#include "step/step.h"

static void run_hooks_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *names = json_joined(json_array(args, "hooks"), "name", ", ");
        uintmax_t sec = json_u64(args, "timeout_sec");

        *ret_does = strf("run the hooks %s (pre), %ju s at most", names ?: "?", sec);
        *ret_undo = strf("run the hooks %s (undo), %ju s at most", names ?: "?", sec);
}

/* "begun", "done", "undone", in that order, as often as it was tried. */
static const char *last_word(const StepRun *run) {
        return json_str(json_at(run->notes, json_len(run->notes) - 1), "hooks");
}

static int run_hooks_verify(json_object *args, StepRun *run) {
        const char *word = json_len(run->notes) > 0 ? last_word(run) : NULL;

        if (streq_ptr(word, "done"))
                return STEP_APPLIED;
        return streq_ptr(word, "begun") ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
}

static int note(StepRun *run, const char *word, json_object *answers) {
        json_object *o = json_object_new_object();

        json_set_str(o, "hooks", word);
        json_set_u64(o, "worker", (uint64_t) getpid());
        if (answers)
                json_set(o, "answers", json_ref(answers));
        return step_note(run, o);
}

static int call(json_object *args, StepRun *run, HookPhase phase, json_object **ret) {
        const HookCall c = {
                .phase = phase, .removal = run->removal, .plan = run->plan,
                .timeout_usec = time_for(json_u64(args, "timeout_sec") * USEC_PER_SEC),
                .cancelled = run->ignore_cancel ? NULL : run->cancelled, .userdata = run->userdata,
        };

        step_progress(run, 0, 0, "hooks run");
        return hooks_call(json_array(args, "hooks"), &c, ret);
}

/* What a worker before us has begun and not seen the end of: nobody is told twice at once. */
static void end_left(json_object *args, StepRun *run) {
        json_object *last = json_at(run->notes, json_len(run->notes) - 1);
        uint64_t pid = json_u64(last, "worker");

        if (streq_ptr(json_str(last, "hooks"), "begun") && pid != (uint64_t) getpid())
                hooks_end_left(json_array(args, "hooks"), HOOK_PRE, run->removal, pid);
}

static int run_hooks_apply(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *answers = NULL;

        end_left(args, run);
        int r = note(run, "begun", NULL);
        if (r < 0)
                return r;
        r = call(args, run, HOOK_PRE, &answers);
        if (r < 0)
                return step_fail(run, r, "%s", r == -ECANCELED ? "cancelled while hooks ran, before anything was taken down" : strerror(-r));
        for (size_t i = 0; i < json_len(answers); i++) {
                json_object *a = json_at(answers, i);
                int word = hook_answer_from_string(json_str(a, "answer"));
                if (word == HOOK_OK || word == HOOK_NOT_CONCERNED)
                        continue;
                step_remedy(run, "safe-remove hook-test %s", json_str(a, "name"));
                return step_fail(run, -EBUSY, "hook %s %s: %s", json_str(a, "name"), word == HOOK_VETO ? "objects" : "failed",
                                 json_str(a, "reason") ?: "it gives no reason");
        }
        return note(run, "done", answers);
}

/* One that fails here keeps nothing from being put back: it is told with the ending. */
static int run_hooks_revert(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *answers = NULL;

        end_left(args, run);
        int r = call(args, run, HOOK_UNDO, &answers);
        if (r < 0)
                return step_fail(run, r, "hooks cannot be run: %s", strerror(-r));
        for (size_t i = 0; i < json_len(answers); i++) {
                json_object *a = json_at(answers, i);
                int word = hook_answer_from_string(json_str(a, "answer"));
                if (word != HOOK_OK && word != HOOK_NOT_CONCERNED)
                        step_lost(run, "hook %s did not take back what it did: %s", json_str(a, "name"), json_str(a, "reason") ?: "it gives no reason");
        }
        return note(run, "undone", answers);
}

const StepOps step_run_hooks_ops = {
        .needs_card = false, /* a card that was pulled meanwhile is a reason to tell them, not one against it */
        .typical_usec = 200000,
        .args = "hooks:a timeout_sec:u",
        .describe = run_hooks_describe,
        .apply = run_hooks_apply,
        .revert = run_hooks_revert,
        .verify = run_hooks_verify,
};
