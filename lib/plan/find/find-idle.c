/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test is for a card that nobody uses: what a removal would end, unmount or take apart for somebody is in its way. Who uses files and devices of
 * it the rules refuse already (policy.c); here is the rest. */
#include "plan/find/blockers.h"

/* Steps that take something from somebody, and put back what they can of it. */
static bool disturbs(StepType type) {
        switch (type) {
        case STEP_UNMOUNT:
        case STEP_SWAPOFF:
        case STEP_DETACH_LOOP:
        case STEP_DEACTIVATE_DM:
        case STEP_REMOVE_DM_PART:
        case STEP_REMOVE_MD_MEMBER:
        case STEP_STOP_MD:
        case STEP_SANITIZE:
                return true;
        default:
                return false;
        }
}

/* One for all: their list is in the plan. */
static void find_holders_idle(Findings *f, json_object *holders) {
        json_object *first = json_at(holders, 0), *o;
        size_t n = json_len(holders);

        if (n == 0)
                return;
        o = finding(f, BLOCKER_NOT_IDLE, true, "a self-test disturbs nobody, and %zu process%s us%s the card or %s memory of its node", n, n == 1 ? "" : "es",
                    n == 1 ? "es" : "e", n == 1 ? "has" : "have");
        if (json_has(first, "pid"))
                json_set_strf(o, "evidence", "process %ju (%s)%s", (uintmax_t) json_u64(first, "pid"), json_str(first, "comm") ?: "?", n > 1 ? " and others" : "");
        finding_remedy(o, "safe-remove holders %s  # who they are", f->s->words);
}

/* What is switched off has to come on again, and whoever stands there has to see that it does: pciehp switches the power on before the power indicator
 * says anything (step-power-on.c). */
static void find_power(Findings *f, const Slot *slot) {
        const SlotRegisters *s = &slot->registers;
        json_object *o = NULL;

        if (slot->nmem) {
                o = finding(f, BLOCKER_NO_POWER_SWITCH, true, "slot %s is a memory module's socket, which has no power of its own to test", slot->name);
                json_set_str(o, "evidence", "it is in no hot-plug slot");
        } else if (slot->has_registers && !s->has_power_controller) {
                o = finding(f, BLOCKER_NO_POWER_SWITCH, true, "slot %s has no power controller: its power cannot be switched off and on for a test", slot->name);
                json_set_strf(o, "evidence", "Slot Capabilities of %s: no power controller", slot->port);
        } else if (!slot->has_registers || !s->has_attention_indicator) {
                o = finding(f, BLOCKER_POWER_UNSEEN, true, "slot %s has no attention light of ours to say \"do not pull\" while its power comes back", slot->name);
                json_set_strf(o, "evidence", slot->has_registers ? "Slot Capabilities of %s: no attention indicator, or one that belongs to other tools"
                              : "slot %s shows no registers", slot->has_registers ? slot->port : slot->name);
        }
        if (o)
                finding_remedy(o, "safe-remove self-test %s  # without --with-power", f->s->words);
}

void find_idle(Findings *f, const Plan *p) {
        find_holders_idle(f, json_array(p->doc, "holders"));
        /* Of those who may be missing some have memory there, which moves; whoever else they could be blocks by himself (HOLDERS_UNKNOWN). */
        if (!json_flag(p->doc, "holders_complete")) {
                json_object *o = finding(f, BLOCKER_NOT_IDLE, false, "not every process could be looked at: memory of some may be on the card, and moves for the test");
                json_set_str(o, "evidence", "the list of its holders is not complete");
                finding_remedy(o, "safe-remove holders %s  # says what is known", f->s->words);
        }
        for (size_t i = 0; i < p->n_steps; i++) {
                _cleanup_free_ char *does = NULL, *undo = NULL;
                if (!disturbs(p->steps[i].type))
                        continue;
                step_ops(p->steps[i].type)->describe(p->steps[i].args, &does, &undo);
                json_object *o = finding(f, BLOCKER_NOT_IDLE, true, "a self-test wants an idle card, and a removal would have to: %s", does ?: "?");
                json_set_strf(o, "evidence", "step %zu, %s", i + 1, step_type_to_string(p->steps[i].type));
                finding_remedy(o, "safe-remove explain %s  # what stands on it; take that down first", f->s->words);
        }
        for (size_t i = 0; f->request->policy->self_test_power && i < scope_n_slots(f->s); i++)
                find_power(f, scope_slot(f->s, i));
}
