/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "kernel/process/apart.h"
#include "asker.h"
#include "forced.h"

#define AUDIT_USEC (2 * USEC_PER_SEC)

/* What each of them takes is in the arguments of its step, and there alone where it was wanted. */
static const struct {
        StepType type;
        const char *arg;        /* NULL: the step itself */
        const char *op;
} forced[] = {
        { STEP_END_HOLDERS, "force_kill", "force-kill" },
        { STEP_END_HOLDERS, "shutdown", "force-shutdown" },
        { STEP_END_HOLDERS, "unmap", "force-unmap" },
        { STEP_DISABLE_NAMESPACE, "force", "force-unmap" },
        { STEP_DISABLE_DAX, "force", "force-unmap" },
        { STEP_PROVE_UNPINNED, "force", "force-unproven" },
        { STEP_OFFLINE_MEMORY, "poison", "force-poison" },
        { STEP_UNPLUG_MEMORY, "poison", "force-poison" },
        { STEP_SANITIZE, NULL, "sanitize" },
};

static bool has(json_object *args, const char *arg) {
        return !arg || json_flag(args, arg) || json_len(json_array(args, arg)) > 0;
}

/* Those whose steps were begun, each once. */
static json_object *used_ops(const Plan *p, const Journal *j) {
        json_object *ops = json_object_new_array();

        for (size_t n = 0; n < p->n_steps && j->last_do != SIZE_MAX && n <= j->last_do; n++)
                for (size_t i = 0; i < ELEMENTSOF(forced); i++)
                        if (p->steps[n].type == forced[i].type && has(p->steps[n].args, forced[i].arg) && !json_has_string(ops, forced[i].op))
                                json_append_str(ops, forced[i].op);
        return ops;
}

json_object *forced_records(const Removal *m, Outcome outcome) {
        _cleanup_json_ json_object *what = json_object_new_object(), *disturbed = NULL, *ops = NULL;
        bool done = outcome == OUTCOME_SAFE || outcome == OUTCOME_RELEASED;
        json_object *records = json_object_new_array();

        if (!m->journal || plan_is_restoration(m->plan))
                return records;
        _cleanup_free_ char *slots = plan_slot_words(m->plan);
        ops = used_ops(m->plan, m->journal);
        disturbed = journal_disturbed(m->journal);
        if (json_len(disturbed) > 0)
                json_append_str(ops, "end-processes");
        /* Not by a step: the proof is asked about less. */
        if (json_len(json_array(json_get(m->journal->start, "since"), "acknowledged")) > 0 && !json_has_string(ops, "force-unproven"))
                json_append_str(ops, "force-unproven");
        if (json_flag(json_get(m->journal->start, "options"), "ignore_inhibitors"))
                json_append_str(ops, "override-inhibitor");
        for (size_t i = 0; i < json_len(ops); i++) {
                json_set(what, "op", json_ref(json_at(ops, i)));
                json_set_u64(what, "removal", journal_removal(m->journal));
                json_set_str(what, "slot", slots);
                json_set_str(what, "serial", json_str(json_get(m->plan->doc, "card"), "serial"));
                json_set_str(what, "outcome", outcome_to_string(outcome));
                _cleanup_free_ char *record = asker_record(json_get(m->journal->start, "by"), what, done);
                json_append_str(records, record);
        }
        return records;
}

/* apart_work_t */
static int audit_all(void *records, char **ret_why_not) {
        for (size_t i = 0; i < json_len(records) && !*ret_why_not; i++)
                *ret_why_not = asker_audit(json_object_get_string(json_at(records, i)));
        return 0;
}

char *forced_audit(json_object *records) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = AUDIT_USEC };
        char *why_not = NULL;

        if (json_len(records) == 0)
                return NULL;
        int r = run_apart(audit_all, records, &options, &why_not);
        return why_not || r >= 0 ? why_not : strdup(strerror(-r));
}
