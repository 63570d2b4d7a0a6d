/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "kernel/pci/pcie-slot.h"
#include "probe/probe.h"
#include "step/undo/prove.h"

/* From the last answer to the light; longer than writing both down takes. */
#define BREATH_USEC (50 * USEC_PER_MSEC)

static void drop(StepRun *run) {
        json_object_put(TAKE_PTR(run->proof.scope));
        json_object_put(TAKE_PTR(run->proof.report));
}

/* What the libraries had against the card by this step's notes, newest last; borrowed. NULL: nobody has noted that they were asked. */
static json_object *noted_against(StepRun *run) {
        json_object *noted = NULL;

        for (size_t i = json_len(run->notes); i-- > 0 && !noted;)
                noted = json_array(json_at(run->notes, i), "libraries_against");
        return noted;
}

/* What is asked about: what the plan wrote down, and what stands against the card since, maybe from a worker that died. */
static json_object *scope_of_now(json_object *args, StepRun *run) {
        json_object *scope = probe_scope(json_get(args, "scope"), run->since), *noted = noted_against(run);

        if (noted)
                json_set(scope, "libraries_against", json_ref(noted));
        return scope;
}

/* What a library says in a look at the light stands too, for whoever goes on or finishes this. Not before the step has noted its first answers: a look
 * may come before its "do" is on record, and a journal with a note of a step that was not begun cannot be read. */
static void note_against(json_object *scope, StepRun *run) {
        _cleanup_json_ json_object *standing = libraries_standing(scope);
        json_object *note;

        if (!prove_noted(run) || json_len(standing) == 0 || json_object_equal(standing, noted_against(run)))
                return;
        note = json_object_new_object();
        json_set(note, "libraries_against", json_ref(standing));
        (void) step_note(run, note);
}

int prove_ask(json_object *args, StepRun *run, bool before_power_off, char **ret_why) {
        _cleanup_json_ json_object *scope = scope_of_now(args, run);

        int r = probes_ask(scope, before_power_off, ret_why);
        if (r == 0 && !before_power_off)
                note_against(scope, run);
        return r;
}

int prove_all(json_object *args, StepRun *run, char **ret_why) {
        _cleanup_json_ json_object *scope = scope_of_now(args, run), *report = NULL;
        _cleanup_json_ json_object *early = early_take(json_get(args, "scope"));

        drop(run);
        if (!probes_report_behind(scope, early, &report)) {
                note_against(scope, run);
                *ret_why = probes_why(report);
                return 0;
        }
        run->proof.scope = json_ref(json_get(args, "scope"));
        run->proof.report = TAKE_PTR(report);
        run->proof.asked_usec = now_wall();
        run->proof.until = now_monotonic() + BREATH_USEC;
        return 1;
}

/* The answers of this breath, whether all of them are yes, and when they were given. */
static bool answers(json_object *args, StepRun *run, json_object **ret, uint64_t *ret_usec) {
        _cleanup_json_ json_object *scope = scope_of_now(args, run);

        if (run->proof.report && now_monotonic() < run->proof.until && json_object_equal(run->proof.scope, json_get(args, "scope"))) {
                *ret = json_ref(run->proof.report);
                *ret_usec = run->proof.asked_usec;
                return true;
        }
        bool all = probes_report(scope, false, ret);
        *ret_usec = now_wall();
        return all;
}

int prove_note(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *report = NULL, *standing = NULL;
        _cleanup_free_ char *why = NULL;
        json_object *note = json_object_new_object();
        uint64_t usec = 0;

        bool all = answers(args, run, &report, &usec);
        drop(run);
        json_set(note, "probes", json_ref(report));
        json_set_u64(note, "asked_usec", usec);
        standing = libraries_standing(json_get(args, "scope"));
        if (standing)
                json_set(note, "libraries_against", json_ref(standing));
        int r = step_note(run, note);
        if (r < 0)
                return r;
        if (all)
                return 0;
        why = probes_why(report);
        return step_fail(run, -EBUSY, "not proven safe: %s", why ?: "out of memory");
}

/* Asking again finds the same complaint, unless somebody has acknowledged it; and of some nobody can. */
void prove_remedy(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *scope = probe_scope(json_get(args, "scope"), run->since), *since = NULL;
        _cleanup_free_ char *answer = NULL, *line = NULL, *target = slot_word(json_str(json_get(args, "scope"), "slot"));

        if (probe_kernel_log.ask(scope, &answer) > 0)
                step_remedy(run, "safe-remove remove %s  # asks again and sets the light; leave the card in until it says safe", target);
        else if (kernel_log_acknowledge(scope, &since, &line) > 0)
                step_remedy(run, "safe-remove remove %s --acknowledge=kernel-log  # if the kernel's complaint is not about this card: asks again "
                            "without it, and the record says so", target);
        else
                step_remedy(run, "shutdown -r now  # nothing that this kernel says of the card's memory can be relied on; leave the card in until "
                            "then");
}

bool prove_noted(StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_array(json_at(run->notes, i), "probes"))
                        return true;
        return false;
}
