/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hooks in a plan: what they have to say before anything is touched, and the step that tells them that it begins. */
#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "plan/find/blockers.h"
#include "plan/plan-hooks.h"
#include "step/hooks/hooks-run.h"
#include "step/hooks/hooks-said.h"

int plan_add_hooks(Plan *p, const Policy *policy) {
        if (json_len(policy->hooks) == 0)
                return 0;
        json_object *args = json_object_new_object();
        json_set(args, "hooks", json_ref(policy->hooks));
        json_set_u64(args, "timeout_sec", policy->hook_timeout_usec / USEC_PER_SEC);
        return plan_add_step(p, STEP_RUN_HOOKS, args);
}

/* Somebody wants to be asked, and cannot be: that is told before anybody else is. A name is all that is needed to mask it; one in the last folder is
 * put aside, since nothing else goes before it. */
static void add_wrong(Findings *f, json_object *hook) {
        const char *path = json_str(hook, "path"), *name = json_str(hook, "name"), *const *folders = hook_folders(), *last = NULL;
        json_object *o = finding(f, BLOCKER_HOOK_FAILED, true, "hook %s cannot be asked: %s", name, json_str(hook, "wrong"));
        _cleanup_free_ char *word = shell_quoted(path ?: name), *mask = NULL, *mask_word = NULL;

        for (size_t i = 0; folders[i]; i++)
                last = folders[i];
        mask = strf("%s/%s", last ?: "", name);
        mask_word = mask ? shell_quoted(mask) : NULL;

        json_set_str(o, "evidence", path ?: name);
        json_set_str(o, "hook", name);
        finding_remedy(o, "ls -ld %s  # a hook is a program of root's, which nobody else may write to: chown root:root, chmod 755", word);
        if (streq_ptr(path, mask))
                finding_remedy(o, "mv %s %s.bak  # if it is not wanted", word, word);
        else if (path)
                finding_remedy(o, "mkdir -p %s && ln -s /dev/null %s  # if it is not wanted", last, mask_word);
}

void find_hooks(Findings *f) {
        for (size_t i = 0; i < json_len(f->request->policy->hooks); i++)
                if (json_str(json_at(f->request->policy->hooks, i), "wrong"))
                        add_wrong(f, json_at(f->request->policy->hooks, i));
}

static void add_answer(Findings *f, const Policy *policy, json_object *a) {
        const char *name = json_str(a, "name"), *reason = json_str(a, "reason"), *path = json_str(json_find(policy->hooks, "name", name), "path") ?: name;
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
        if (word == HOOK_VETO)
                finding_remedy(o, "cat %s  # what it asks for", word_for_shell);
        else
                finding_remedy(o, "safe-remove hook-test --phase=query %s  # and journalctl -t safe-remove-hook", word_for_shell);
}

static void add_later(Findings *f, const Policy *policy, bool ask) {
        size_t n = json_len(policy->hooks);
        _cleanup_free_ char *names = json_joined(policy->hooks, "name", ", ");
        json_object *o = finding(f, BLOCKER_HOOKS_NOT_ASKED, false, "%zu hook%s a say in this removal and %s not asked: %s", n, n == 1 ? " has" : "s have",
                                 n == 1 ? "was" : "were", names ?: "?");

        json_set_str(o, "evidence", ask ? "they are asked once nothing else is in the way" : "they are asked for whoever may remove cards alone");
}

static int ask_hooks(Plan *p, const Policy *policy, const HooksQuery *query, Findings *f) {
        _cleanup_json_ json_object *answers = NULL;
        const HookCall call = {
                .phase = HOOK_QUERY, .removal = query->removal, .plan = p->doc, .timeout_usec = policy->hook_timeout_usec,
                .cancelled = query->cancelled, .userdata = query->userdata,
        };

        int r = hooks_call(policy->hooks, &call, &answers);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(answers); i++)
                add_answer(f, policy, json_at(answers, i));
        if (json_len(f->blockers) == 0) {
                if (query->removal == 0)
                        (void) hooks_said_keep(policy->hooks, p->doc); /* else they are asked again */
                return 0;
        }
        json_set_str(p->doc, "verdict", plan_verdict_to_string(PLAN_BLOCKED));
        return plan_seal(p);
}

int plan_ask_hooks(Plan *p, const Policy *policy, const HooksQuery *query) {
        Findings f = { .blockers = json_array(p->doc, "blockers"), .warnings = json_array(p->doc, "warnings") };

        if (json_len(policy->hooks) == 0 || plan_verdict(p) == PLAN_NOTHING || plan_is_finish(p) || plan_is_restoration(p))
                return 0;
        if (!query->ask || plan_verdict(p) != PLAN_READY) {
                add_later(&f, policy, query->ask);
                return 0;
        }
        /* What is not carried out, since somebody wants another plan, is nothing to ask about. */
        if (query->digest && !digest_is_meant(query->digest, plan_digest(p)))
                return 0;
        return query->digest && query->was_shown && hooks_said_take(policy->hooks, p->doc) ? 0 : ask_hooks(p, policy, query, &f);
}
