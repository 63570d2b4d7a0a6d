/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hooks in a plan: what they have to say before anything is touched, and the step that tells them that it begins. */
#include <errno.h>

#include "base/clock.h"
#include "plan/find/blockers.h"
#include "plan/plan-hooks.h"
#include "step/hooks/hooks-run.h"

int plan_add_hooks(Plan *p, const Policy *policy) {
        if (json_len(policy->hooks) == 0)
                return 0;
        json_object *args = json_object_new_object();
        json_set(args, "hooks", json_ref(policy->hooks));
        json_set_u64(args, "timeout_sec", policy->hook_timeout_usec / USEC_PER_SEC);
        return plan_add_step(p, STEP_RUN_HOOKS, args);
}

/* Where it comes from, for a person. */
static const char *path_of(const Policy *policy, const char *name) {
        json_object *hook = json_find(policy->hooks, "name", name);

        return json_str(hook, "path") ?: name;
}

static void add_answer(Findings *f, const Policy *policy, json_object *a) {
        const char *name = json_str(a, "name"), *reason = json_str(a, "reason"), *path = path_of(policy, name);
        int word = hook_answer_from_string(json_str(a, "answer"));
        json_object *o;

        if (word == HOOK_OK || word == HOOK_NOT_CONCERNED)
                return;
        if (word == HOOK_VETO)
                o = finding(f, BLOCKER_HOOK_VETO, true, "hook %s objects: %s", name, reason ?: "it gives no reason");
        else
                o = finding(f, BLOCKER_HOOK_FAILED, true, "hook %s gave no answer: %s", name, reason ?: "it gives no reason");
        json_set_str(o, "evidence", path);
        json_set_str(o, "hook", name);
        _cleanup_free_ char *word_for_shell = shell_quoted(path);
        if (word == HOOK_VETO || !json_str(json_find(policy->hooks, "name", name), "path"))
                finding_remedy(o, "cat %s  # what it asks for", word_for_shell);
        else
                finding_remedy(o, "safe-remove hook-test --phase=query %s  # and journalctl -t safe-remove-hook", word_for_shell);
}

static void add_later(Findings *f, const Policy *policy, bool ask) {
        _cleanup_free_ char *names = json_joined(policy->hooks, "name", ", ");
        json_object *o = finding(f, BLOCKER_HOOKS_NOT_ASKED, false, "%zu hooks have a say in this removal and were not asked: %s", json_len(policy->hooks),
                                 names ?: "?");

        json_set_str(o, "evidence", ask ? "they are asked once nothing else is in the way" : "they are asked for whoever may remove cards alone");
}

int plan_ask_hooks(Plan *p, const Policy *policy, bool ask, uint64_t removal, bool (*cancelled)(void *userdata), void *userdata) {
        Findings f = { .blockers = json_array(p->doc, "blockers"), .warnings = json_array(p->doc, "warnings") };
        _cleanup_json_ json_object *answers = NULL;
        const HookCall call = {
                .phase = HOOK_QUERY, .removal = removal, .plan = p->doc, .timeout_usec = policy->hook_timeout_usec,
                .cancelled = cancelled, .userdata = userdata,
        };

        if (json_len(policy->hooks) == 0 || plan_verdict(p) == PLAN_NOTHING || plan_is_finish(p) || plan_is_restoration(p))
                return 0;
        if (!ask || plan_verdict(p) != PLAN_READY) {
                add_later(&f, policy, ask);
                return 0;
        }
        int r = hooks_call(policy->hooks, &call, &answers);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(answers); i++)
                add_answer(&f, policy, json_at(answers, i));
        if (json_len(f.blockers) == 0)
                return 0;
        json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_BLOCKED));
        return plan_seal(p);
}
