/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The power of a slot whose only light goes dark before the proof, where the policy accepts that: the record and its certificate say what
 * the light could not. Of a slot with both lights, on the same machine, they say nothing. */
#include "base/clock.h"
#include "base/fileio.h"
#include "engine/certificate.h"
#include "engine/chain.h"
#include "engine/journal.h"
#include "plan/planner.h"
#include "plan/policy.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"
#include "topology/topology.h"

static char *state;

static Plan *make_plan(const Topology *t) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy };
        static const char line[] = "[Removal]\nDarkLight=accept\n";
        Plan *p = NULL;

        CHECK_INT(policy_parse(&policy, "x", line, strlen(line), warnings), 0);
        CHECK_INT(plan_removal(t, topology_slot(t, "2"), &request, &p), 0);
        CHECK_INT(plan_verdict(p), PLAN_READY);
        policy_done(&policy);
        return p;
}

static size_t step_of(const Plan *p, StepType type) {
        size_t n = 0;

        while (p->steps[n].type != type)
                CHECK(++n < p->n_steps);
        return n;
}

static size_t at;

static int write_notes(StepRun *run, json_object *notes) {
        int r = keep_notes(run, notes);

        return r < 0 ? r : journal_note(run->userdata, at, notes);
}

static void power_off(const Plan *p, Journal *j, json_object *notes) {
        static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC };
        StepRun run = { .limits = &limits, .notes = notes, .note = write_notes, .userdata = j };
        size_t n = at = step_of(p, STEP_POWER_OFF);
        _cleanup_free_ char *power = NULL;

        CHECK_INT(journal_step(j, "do", n, NULL), 0);
        CHECK_INT(step_ops(STEP_POWER_OFF)->apply(p->steps[n].args, &run), 0);
        CHECK_INT(journal_step(j, "done", n, NULL), 0);
        CHECK_INT(read_file("/sys/bus/pci/slots/2/power", &power, NULL), 0);
        CHECK_STR(power, "0");
        step_run_done(&run);
}

int main(void) {
        static const char told[] = "[\"dark-light: the power LED of slot 2 went dark before the proof\"]";
        _cleanup_json_ json_object *notes = json_object_new_array(), *certificate = NULL;
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(journal_freep) Journal *j = NULL;
        ChainLink link;

        state = test_folder();
        CHECK_INT(setenv("SAFE_REMOVE_STATE_DIR", state, true), 0);
        CHECK_INT(topology_load(&t), 0);
        _cleanup_(plan_freep) Plan *p = make_plan(t);
        bool dark = !topology_slot(t, "2")->registers.has_attention_indicator;

        CHECK_INT(journal_create("1", p, json_object_new_object(), &j), 0);
        CHECK_INT(certificates_begin(1), 0);
        power_off(p, j, notes);
        /* Whoever goes on after a worker that died finds it written already. */
        power_off(p, j, notes);
        CHECK_INT(json_len(notes), dark ? 1 : 0);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(certificates_write(), 0);
        CHECK_INT(chain_read(1, &certificate, NULL, &link), 0);
        CHECK_STR(json_text(json_get(certificate, "forced")), dark ? told : "[]");
        test_remove_tree(state);
        return EXIT_SUCCESS;
}
