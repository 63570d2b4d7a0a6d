/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the policy says about a slot whose only light goes dark before the proof, on a recorded machine that has one; and names of slots
 * as people type them. */
#include "kernel/pci/pcie-slot.h"
#include "plan/planner.h"
#include "plan/policy.h"
#include "tests/unit/test.h"
#include "topology/topology.h"

static const char *severity(json_object *findings) {
        for (size_t i = 0; i < json_len(findings); i++)
                if (streq(json_str(json_at(findings, i), "code"), "DARK_LIGHT"))
                        return json_str(json_at(findings, i), "severity");
        return "none";
}

static void check_verdict(const Topology *t, const char *line, PlanVerdict verdict, const char *in_blockers, const char *in_warnings) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(plan_freep) Plan *p = NULL;
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy };

        CHECK_INT(policy_parse(&policy, "x", line, strlen(line), warnings), 0);
        CHECK_INT(json_len(warnings), streq(line, "[Removal]\nDarkLight=perhaps\n"));
        CHECK_INT(plan_removal(t, topology_slot(t, "2"), &request, &p), 0);
        CHECK_INT(plan_verdict(p), verdict);
        CHECK_STR(severity(json_array(p->doc, "blockers")), in_blockers);
        CHECK_STR(severity(json_array(p->doc, "warnings")), in_warnings);
        policy_done(&policy);
}

static void check_word(const char *name, const char *want) {
        _cleanup_free_ char *word = slot_word(name);

        CHECK_STR(word, want);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        check_verdict(t, "", PLAN_BLOCKED, "hard", "none");
        check_verdict(t, "[Removal]\nDarkLight=refuse\n", PLAN_BLOCKED, "hard", "none");
        check_verdict(t, "[Removal]\nDarkLight=perhaps\n", PLAN_BLOCKED, "hard", "none");
        check_verdict(t, "[Removal]\nDarkLight=accept\n", PLAN_READY, "none", "soft");

        check_word("2", "2");
        check_word("2-1", "2-1");
        check_word("U78CB.001-P1", "slot:U78CB.001-P1");
        check_word("Slot 7", "'slot:Slot 7'");
        check_word(NULL, NULL);
        return EXIT_SUCCESS;
}
