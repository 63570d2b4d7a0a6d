/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The system's programs that steps are done with: one that is not installed is told before anybody is ended for the sake of a removal
 * that would fail there. */
#include "kernel/process/command.h"
#include "plan/find/blockers.h"

static bool asked_before(const Plan *p, size_t n, const char *program) {
        for (size_t i = 0; i < n; i++) {
                const StepOps *ops = step_ops(p->steps[i].type);
                if (ops->program && streq_ptr(ops->program(p->steps[i].args), program))
                        return true;
        }
        return false;
}

void find_programs(Findings *f, const Plan *p) {
        for (size_t i = 0; i < p->n_steps; i++) {
                const StepOps *ops = step_ops(p->steps[i].type);
                const char *program = ops->program ? ops->program(p->steps[i].args) : NULL;
                if (!program || asked_before(p, i, program) || command_exists(program))
                        continue;

                _cleanup_free_ char *does = NULL, *undo = NULL;
                ops->describe(p->steps[i].args, &does, &undo);
                json_object *o = finding(f, BLOCKER_NO_PROGRAM, true, "the step %s needs %s, which is not installed",
                                         step_type_to_string(p->steps[i].type), program);
                json_set_strf(o, "evidence", "step %zu: %s", i + 1, does ?: "?");
                /* As Debian calls the package, where that has another name. */
                finding_remedy(o, "apt-get install %s  # on Debian; elsewhere the package that has %s", streq(program, "lvchange") ? "lvm2" : program,
                               program);
        }
}
