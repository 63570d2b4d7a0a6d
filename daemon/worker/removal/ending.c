/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two ways to an ending. Forward: safe, or back, or stuck where there is no way back. Back: as it was before, or stuck. */
#include <errno.h>

#include "base/clock.h"
#include "daemon/worker/lost/last-seen.h"
#include "daemon/worker/rights/forced.h"
#include "engine/certificate.h"
#include "engine/identity.h"
#include "engine/last-seen.h"
#include "engine/state-dir.h"
#include "engine/totals.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "probe/probe.h"
#include "removal.h"

/* By daemon/manager/records.c. */
#define LATE_IS_UNDONE "; what a write that has not come back does to the slot later is undone by itself"

static void give_machine_up(Removal *m) {
        closep(&m->lock);
        m->lock = -EBADF;
}

static void certificate_take(Removal *m) {
        ChainLink link;

        int r = certificates_write();
        m->unwritten = state_may_come(r);
        if (r >= 0 && chain_read(journal_removal(m->journal), NULL, NULL, &link) >= 0)
                memcpy(m->certificate, link.sha256, sizeof(m->certificate));
}

/* An ending that cannot be written down (full disk) must not be taken for a removal to go on with: without its journal nobody
 * does. */
static void removal_write_end(Removal *m, Outcome outcome, const char *code, const char *message, json_object *lines) {
        _cleanup_close_ int lock = -EBADF;

        int r = journal_end(m->journal, outcome_to_string(outcome), code, message, lines);
        m->unwritten = r > 0;
        if (r > 0)
                return;
        /* The ending waits for nobody. Without the lock its certificate is left to the next removal's ending. */
        if (r == 0) {
                if (chain_lock(CHAIN_LOCK_USEC, &lock) >= 0)
                        certificate_take(m);
                return;
        }
        _cleanup_free_ char *path = strf("%s/journal", m->journal->dir);
        if (path)
                (void) unlink(path);
}

/* Nobody waits for it any more, for the machine neither. */
static void audit(Removal *m, Outcome outcome) {
        _cleanup_json_ json_object *records = forced_records(m, outcome);

        for (size_t i = 0; m->audit_later && i < json_len(records); i++)
                json_object_array_add(m->audit_later, json_ref(json_at(records, i)));
        if (m->audit_later || json_len(records) == 0)
                return;
        give_machine_up(m);
        _cleanup_free_ char *unaudited = forced_audit(records);
        if (unaudited)
                tell_unaudited(m, unaudited);
}

/* For an ending that needs one, where nobody could say anything better: what is left is planned anew, and the plan says what is in the way, with a
 * line for each; or that nothing is. */
static char *any_remedy(const Removal *m, Outcome outcome, const char *remedy) {
        _cleanup_free_ char *slots = m->plan ? plan_slot_words(m->plan) : NULL;

        if (outcome != OUTCOME_STUCK || (remedy && *remedy))
                return NULL;
        return strf("safe-remove plan %s  # what is left of it, and what is in the way", slots ?: json_str(m->request.doc, "target") ?: "SLOT");
}

/* A worker before this one may have died between giving a slot back and saying so. With a write of ours under way the slot may be held yet, and its mark says by
 * whom. */
static void forget_marks(const Removal *m) {
        for (size_t n = 0; m->engine.resumed && m->plan && !journal_writer(m->journal) && n < m->plan->n_steps; n++) {
                const char *port = m->plan->steps[n].type == STEP_HOLD ? json_str(m->plan->steps[n].args, "port") : NULL;

                if (port && held_is_driven(port) && held_is_marked(port) && !held_is_being_written(port))
                        held_forget(port);
        }
}

int removal_end(Removal *m, Outcome outcome, const char *code, const char *message, const char *remedy) {
        _cleanup_json_ json_object *lines = json_object_new_array();
        _cleanup_free_ char *any = any_remedy(m, outcome, remedy);

        if (any || remedy)
                json_append_str(lines, any ?: remedy);
        for (size_t i = 0; outcome == OUTCOME_STUCK && i < json_len(m->engine.more_remedies); i++)
                json_append_str(lines, json_object_get_string(json_at(m->engine.more_remedies, i)));
        if (m->journal) {
                forget_marks(m);
                removal_card(m);
        }
        if (m->journal)
                removal_write_end(m, outcome, code, message, lines);
        tell_end(m, outcome, code, message, lines);
        audit(m, outcome);
        /* On the way out of a stopped service the time is others'. */
        if (m->journal && m->until == 0) {
                give_machine_up(m);
                (void) totals_count();
        }
        return 0;
}

int removal_end_unwritable(Removal *m, int error) {
        _cleanup_free_ char *message = strf("the %s cannot be written down in %s (%s), so it was not begun",
                                            plan_is_restoration(m->plan) ? "restoration" : "removal", state_dir(), strerror(-error));

        return removal_end(m, OUTCOME_REFUSED, "no-state-dir", message, NULL);
}

/* Before such an ending. -ETIME: there was no time for one. */
static int show_stuck(Removal *m, const char *message) {
        if (m->until > 0 && (time_was_short() || now_monotonic() >= m->until)) {
                /* Without its end, and turned back: whoever starts next goes on with it. */
                _cleanup_free_ char *why = strf("the time was over: %s; the next start of the service goes on with it", message);
                worker_send_error(m->io, "interrupted", why ?: strerror(ENOMEM));
                return -ETIME;
        }
        if (m->journal)
                m->journal->ending = true;
        for (size_t i = 0; i < plan_n_slots(m->plan); i++)
                (void) led_fault(json_str(plan_slot(m->plan, i), "port"), plan_slot_address(m->plan, i));
        tell_led(m, LED_STUCK);
        return 0;
}

static int end_stuck(Removal *m, const char *message, const char *remedy) {
        /* By daemon/manager/records.c. */
        bool late = m->journal && journal_writer(m->journal);
        _cleanup_free_ char *all = late ? strf("%s; once the kernel comes back from it, what is left is dealt with by itself", message) : NULL;

        int r = show_stuck(m, message);
        return r < 0 ? r : removal_end(m, OUTCOME_STUCK, "stuck", all ?: message, remedy);
}

/* The card is not in its slot any more, whatever the kernel still shows of it. A slot that was empty from the beginning has lost none. */
static bool is_pulled(const Removal *m, const char *code) {
        bool had_card = json_get(m->plan->doc, "card") || streq_ptr(m->io->cancel_why, "card-gone");

        return had_card && !streq(code, "empty-slot") && plan_pulled_slot(m->plan, NULL);
}

/* Nothing is as it was before: what was put back meanwhile is the slot's and the machine's alone. */
static int end_lost(Removal *m, const char *what, const char *why) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan), *remedy = strf("safe-remove verify %s", slots ?: "");
        _cleanup_free_ char *message = strf("the card %s in the middle of its removal (%s): what was on it and had not been saved is lost, and nothing of "
                                            "it is put back", what, why);

        int r = show_stuck(m, message ?: "the card is lost");
        return r < 0 ? r : removal_end(m, OUTCOME_STUCK, "card-gone", message, remedy);
}

/* What a removal that turned back has become, by the reason it turned back for. */
static const struct {
        const char *code;
        Outcome outcome;
} turned_back[] = {
        { "blocked", OUTCOME_REFUSED },
        { "vetoed", OUTCOME_REFUSED },
        { "stale", OUTCOME_REFUSED },
        { "empty-slot", OUTCOME_NOTHING },
        { "cancelled", OUTCOME_RESTORED },
        { "failed", OUTCOME_RESTORED },
        { "interfered", OUTCOME_RESTORED },
};

const char *removal_first_remedy(const Removal *m) {
        json_object *remedies = json_array(json_at(json_array(m->plan->doc, "blockers"), 0), "remedy");

        return json_len(remedies) > 0 ? json_object_get_string(json_at(remedies, 0)) : NULL;
}

/* What has become of it was read of what the kernel remembers of the card. */
static bool is_dead(const Removal *m, const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(turned_back); i++)
                if (streq(turned_back[i].code, code) && turned_back[i].outcome != OUTCOME_RESTORED)
                        return false;
        return card_is_dead(json_get(m->plan->doc, "card"));
}

/* A self-test's end: it has passed only if all of it was compared, and nothing is another thing than before. */
static int end_put_back(Removal *m, const char *why) {
        bool same = false;
        _cleanup_free_ char *after = removal_compare(m, &same), *message = strf("%s%s", why, after ?: "");

        return removal_end(m, same ? OUTCOME_TESTED : OUTCOME_RESTORED, same ? "tested" : "different", message, NULL);
}

/* What the first blocker or the step that failed says against it. */
static const char *against(const Removal *m, const char *code) {
        if (streq(code, "blocked") || streq(code, "vetoed"))
                return removal_first_remedy(m);
        return streq(code, "failed") || streq(code, "interfered") ? m->engine.run.remedy : NULL;
}

/* Where no step has a line of its own: what is down still a restoration puts back, unless this removal has taken a mapping by force (record_is_left_down()). */
static char *remedy_for_rest(const Removal *m) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan), *slot = slot_word(plan_slot_name(m->plan));

        if (engine_has_taken(&m->engine) || !slot)
                return strf("safe-remove plan %s  # shows what is there by now", slots ?: "");
        return strf("safe-remove restore %s  # puts back what is down still", slot);
}

int removal_go_back(Removal *m, const char *code, const char *reason) {
        const char *first = against(m, code); /* the way back forgets it */
        _cleanup_free_ char *why = strdup(reason ?: "no reason given"), *remedy = first ? strdup(first) : NULL, *message = NULL;
        bool pulled = is_pulled(m, code); /* the next one may be put in at once */

        (void) engine_back(&m->engine, code, why);
        if (pulled || is_pulled(m, code))
                return end_lost(m, "was pulled", why);
        if (is_dead(m, code))
                return end_lost(m, "has died, or its link has gone down,", why);
        if (m->engine.n_not_undone > 0) {
                _cleanup_free_ char *rest = remedy_for_rest(m);
                message = strf("%s (turned back because: %s)", m->engine.stuck_why, why);
                return end_stuck(m, message, m->engine.stuck_remedy ?: rest);
        }

        tell_led(m, LED_REFUSED);
        if (streq(code, "tested"))
                return end_put_back(m, why);
        for (size_t i = 0; i < ELEMENTSOF(turned_back); i++)
                if (streq(turned_back[i].code, code)) {
                        _cleanup_free_ char *after = turned_back[i].outcome == OUTCOME_RESTORED ? removal_compare(m, NULL) : NULL;
                        message = strf("%s%s%s", why, after ?: "", m->journal && journal_writer(m->journal) ? LATE_IS_UNDONE : "");
                        return removal_end(m, turned_back[i].outcome, code, message, remedy);
                }
        return removal_end(m, OUTCOME_RESTORED, code, why, NULL);
}

/* Some of several slots may have lost their power: what is left to do is asked for each. */
static char *again(const Removal *m, const char *slots) {
        const char *sanitize = json_str(json_get(m->request.doc, "options"), "sanitize");
        _cleanup_free_ char *value = sanitize ? shell_quoted(sanitize) : NULL;
        _cleanup_free_ char *option = !sanitize ? strdup("") : streq(sanitize, "yes") ? strdup(" --sanitize") : strf(" --sanitize=%s", value ?: "");

        return plan_n_slots(m->plan) > 1 ? strf("for slot in %s; do safe-remove remove $slot%s; done", slots, option ?: "")
                                         : strf("safe-remove remove %s%s", slots, option ?: "");
}

int removal_stop_behind(Removal *m, const char *why) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan), *word = slot_word(plan_slot_name(m->plan)), *then = strf("safe-remove status %s", word ?: "");
        _cleanup_free_ char *message = NULL, *remedy = NULL;
        json_object *writer = journal_writer(m->journal);

        if (engine_can_go_back(&m->engine))
                return removal_go_back(m, "failed", why);
        message = strf("%s, where there is no way back", why);
        remedy = writer ? writer_remedy(writer, then) : again(m, slots);
        return end_stuck(m, message, remedy);
}

/* The scopes of the steps that have shown safe, and which those are. */
static json_object *shown_scopes(const Plan *p, json_object *steps) {
        json_object *scopes = json_object_new_array();

        for (size_t n = 0; n < p->n_steps; n++) {
                if (p->steps[n].type != STEP_SHOW_SAFE)
                        continue;
                json_object_array_add(scopes, json_ref(json_get(p->steps[n].args, "scope")));
                json_object_array_add(steps, json_object_new_uint64(n));
        }
        return scopes;
}

/* The light waits for no library; one that sees something of the card all the same has it withdrawn. */
static bool is_withdrawn(Removal *m, char **ret_why) {
        _cleanup_json_ json_object *steps = json_object_new_array(), *scopes = shown_scopes(m->plan, steps), *late = libraries_late(scopes);
        bool withdrawn = false;

        for (size_t i = 0; i < json_len(late); i++) {
                json_object *word = json_at(late, i);
                if (json_flag(word, "contradicts") && !withdrawn) {
                        *ret_why = strf("the light of slot %s said safe, and is withdrawn: %s", json_str(json_at(scopes, i), "slot") ?: "?",
                                        json_str(word, "text"));
                        withdrawn = true;
                }
                if (!word)
                        continue;
                /* For the certificate, which is not written yet, and for a finishing (plan/finish.c). */
                _cleanup_json_ json_object *notes = json_object_new_array();
                json_object *note = json_object_new_object();
                json_set_str(note, "later", json_str(word, "text"));
                json_set_bool(note, "contradicts", json_flag(word, "contradicts"));
                if (json_has(word, "libraries_against"))
                        json_set(note, "libraries_against", json_ref(json_get(word, "libraries_against")));
                json_object_array_add(notes, note);
                (void) journal_note(m->journal, (size_t) json_object_get_uint64(json_at(steps, i)), notes);
        }
        return withdrawn;
}

int removal_tell_hooks(Removal *m, HookPhase phase, int result) {
        const HookCall call = { .phase = phase, .removal = journal_removal(m->journal), .plan = m->plan->doc, .timeout_usec = m->request.policy.hook_timeout_usec };
        json_object *answers = NULL, *hooks = m->request.policy.hooks;

        /* Those that have heard that it begins, whatever is in the folders by now. */
        for (size_t n = 0; n < m->plan->n_steps && !plan_is_restoration(m->plan); n++)
                if (m->plan->steps[n].type == STEP_RUN_HOOKS)
                        hooks = json_array(m->plan->steps[n].args, "hooks");
        give_machine_up(m);
        if (json_len(hooks) > 0 && hooks_call(hooks, &call, &answers) >= 0)
                json_object_put(answers);
        return result;
}

static int end_proven(Removal *m) {
        bool has_light = m->plan->steps[m->plan->n_steps - 1].type != STEP_PROVE_SAFE;

        if (has_light) {
                tell_led(m, LED_SAFE);
                _cleanup_free_ char *why = NULL, *slots = plan_slot_words(m->plan), *remedy = again(m, slots);
                if (is_withdrawn(m, &why))
                        return end_stuck(m, why ?: "the light said safe, and is withdrawn", remedy);
        }
        for (size_t i = 0; i < plan_n_slots(m->plan); i++)
                last_seen_forget(last_seen_key(json_str(plan_slot(m->plan, i), "port"), json_str(plan_slot(m->plan, i), "name")));
        if (has_light)
                return removal_tell_hooks(m, HOOK_POST, removal_end(m, OUTCOME_SAFE, "done", m->engine.end > 0 ? "the self-test was called off; safe to pull" : "safe to pull", NULL));
        return removal_tell_hooks(m, HOOK_POST, removal_end(m, OUTCOME_RELEASED, "done", "nothing uses it any more; power the machine off to take it out", NULL));
}

/* Nothing of it is in use any more, or its power has been off and is on again. The latter is put back by a restoration, as after any removal: names and
 * addresses may be others by now. */
static int end_self_test(Removal *m) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan), *remedy = strf("safe-remove restore %s", slots);

        if (plan_first_irreversible(m->plan) == m->plan->n_steps) {
                m->engine.failed_step = m->plan->n_steps - 1;
                return removal_go_back(m, "tested", "all that a removal takes down could be taken down");
        }
        tell_led(m, LED_REFUSED);
        return removal_end(m, OUTCOME_TESTED, "powered", "its power was off, proven safe, and is on again; what was taken down is to be restored", remedy);
}

int removal_go_forward(Removal *m) {
        _cleanup_free_ char *message = NULL;
        _cleanup_free_ char *slots = plan_slot_words(m->plan);

        int r = removal_picture(m);
        if (r < 0) {
                message = strf("the state of the machine cannot be recorded: %s", strerror(-r));
                return removal_go_back(m, "failed", message);
        }
        r = engine_forward(&m->engine);
        if (r >= 0)
                return plan_is_self_test(m->plan) && m->engine.end == 0 ? end_self_test(m) : end_proven(m);

        const char *name = step_type_to_string(m->plan->steps[m->engine.failed_step].type);
        if (engine_can_go_back(&m->engine)) {
                if (r == -ECANCELED) {
                        message = strf("%s%s%s%s", m->engine.run.why ?: "cancelled", m->io->cancel_why ? " (by " : "",
                                       m->io->cancel_why ?: "", m->io->cancel_why ? ")" : "");
                        return removal_go_back(m, "cancelled", message);
                }
                message = strf("step %s: %s", name, m->engine.run.why ?: strerror(-r));
                return removal_go_back(m, m->engine.interfered ? "interfered" : "failed", message);
        }

        message = strf("step %s failed where there is no way back: %s", name, m->engine.run.why ?: strerror(-r));
        _cleanup_free_ char *once_more = again(m, slots);
        _cleanup_free_ char *remedy = m->engine.run.unrecorded ? strf("df -h %s  # make room there, or mend that file system; then: %s", state_dir(), once_more ?: "") :
                                      strdup(m->engine.run.remedy ?: once_more ?: "");
        return end_stuck(m, message, remedy);
}
