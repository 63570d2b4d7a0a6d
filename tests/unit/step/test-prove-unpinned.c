/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the step does where there is no such memory; where there is: tests/vm/scenarios/80-pins.py. */
#include <errno.h>

#include "step/step.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

static json_object *make(const char *kind, bool force) {
        json_object *o = json_object_new_object(), *ranges = json_object_new_array(), *range = json_object_new_object();

        json_set_u64(range, "start", UINT64_C(1) << 50);
        json_set_u64(range, "size", 1 << 21);
        json_set_str(range, "kind", kind);
        json_object_array_add(ranges, range);
        json_set(o, "ranges", ranges);
        json_set(o, "targets", json_object_new_array());
        json_set_bool(o, "force", force);
        json_set_u64(o, "timeout_sec", 0);
        return o;
}

static void begin(StepRun *run) {
        static const StepLimits limits = { .write_timeout_usec = 1000000 };

        *run = (StepRun) { .limits = &limits, .note = keep_notes, .notes = json_object_new_array() };
}

static void end(StepRun *run) {
        json_object_put(run->notes);
        step_run_done(run);
}

static void test_describe(void) {
        _cleanup_json_ json_object *args = make("device-dax", false), *forced = make("device-dax", true);
        _cleanup_free_ char *does = NULL, *does_forced = NULL, *undo = NULL;

        step_ops(STEP_PROVE_UNPINNED)->describe(args, &does, &undo);
        CHECK_STR(does, "count the references to every page of 0x4000000000000-0x40000001fffff: nobody may hold one");
        CHECK(!undo);
        step_ops(STEP_PROVE_UNPINNED)->describe(forced, &does_forced, &undo);
        CHECK(strstr(does_forced, "(forced: go on if somebody does)"));
}

static void test_arguments(void) {
        _cleanup_json_ json_object *args = make("paper", false);
        StepRun run;

        begin(&run);
        CHECK_INT(step_ops(STEP_PROVE_UNPINNED)->apply(args, &run), -EBADMSG);
        CHECK(run.why);
        CHECK_INT(json_len(run.notes), 0);
        end(&run);
}

/* No memory there, so nothing can be proven. With suspects on this machine the answer is no, and yes by force. Either way it is
 * written down, which is what makes the step done. */
static void test_unproven(void) {
        const StepOps *ops = step_ops(STEP_PROVE_UNPINNED);
        _cleanup_json_ json_object *args = make("device-dax", false), *forced = make("device-dax", true);
        StepRun run;

        begin(&run);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        int r = ops->apply(args, &run);
        CHECK(r == 0 || r == -EBUSY);
        CHECK((r == 0) == (json_len(run.notes) == 1));
        CHECK((r == -EBUSY) == (run.why != NULL));
        CHECK_INT(ops->verify(args, &run), r == 0 ? STEP_APPLIED : STEP_NOT_APPLIED);
        end(&run);

        begin(&run);
        CHECK_INT(ops->apply(forced, &run), 0);
        CHECK_INT(json_len(run.notes), 1);
        CHECK(json_str(json_at(run.notes, 0), r == 0 ? "unproven" : "forced"));
        CHECK_INT(ops->verify(forced, &run), STEP_APPLIED);
        run.backwards = true;
        CHECK_INT(ops->verify(forced, &run), STEP_NOT_APPLIED);
        end(&run);
}

/* System RAM is proven by its blocks going offline; there is nothing else to hold on to. */
static void test_system_ram(void) {
        _cleanup_json_ json_object *args = make("system-ram", false);
        StepRun run;

        begin(&run);
        CHECK_INT(step_ops(STEP_PROVE_UNPINNED)->apply(args, &run), 0);
        CHECK(json_str(json_at(run.notes, 0), "proven"));
        end(&run);
}

int main(void) {
        test_describe();
        test_arguments();
        test_unproven();
        test_system_ram();
        return 0;
}
