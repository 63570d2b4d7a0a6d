/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the step does where there is no such memory, and with pages that show what the test says; on a card: tests/vm/scenarios/80-pins.py. */
#include <errno.h>

#include "kernel/pages/page-census.h"
#include "step/step.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

/* What the counts show, the last one again and again; without any the real one is asked. */
static struct {
        CensusVerdict says[4];
        size_t n, at;
        int error;
} census;

int __real_page_census_all(const CardMemory *memory, size_t n, CensusResult *ret);
int __wrap_page_census_all(const CardMemory *memory, size_t n, CensusResult *ret);

int __wrap_page_census_all(const CardMemory *memory, size_t n, CensusResult *ret) {
        if (census.error < 0)
                return census.error;
        if (census.n == 0)
                return __real_page_census_all(memory, n, ret);
        CensusVerdict verdict = census.says[census.at];
        if (census.at + 1 < census.n)
                census.at++;
        *ret = (CensusResult) { .verdict = verdict, .unit = 4096, .n_units = 512, .n_idle = 512, .idle = 1 };
        if (verdict == CENSUS_REFERENCED) {
                ret->n_idle--;
                ret->n_referenced = ret->n_references = 1;
                ret->ranges[ret->n_ranges++] = (CensusRange) { .start = UINT64_C(1) << 50, .size = 4096 };
        }
        return 0;
}

#define CENSUS_SAYS(...)                                                                        \
        do {                                                                                    \
                static const CensusVerdict said[] = { __VA_ARGS__ };                            \
                memset(&census, 0, sizeof(census));                                             \
                census.n = ELEMENTSOF(said);                                                    \
                memcpy(census.says, said, sizeof(said));                                        \
        } while (0)

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

/* No memory there, so nothing can be proven: the answer is no, whether anybody on this machine is suspected or not, and yes by force. That is
 * written down, which is what makes the step done. */
static void test_unproven(void) {
        const StepOps *ops = step_ops(STEP_PROVE_UNPINNED);
        _cleanup_json_ json_object *args = make("device-dax", false), *forced = make("device-dax", true);
        StepRun run;

        begin(&run);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK_INT(json_len(run.notes), 0);
        CHECK(run.why && strstr(run.why, "not provable here"));
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        end(&run);

        begin(&run);
        CHECK_INT(ops->apply(forced, &run), 0);
        CHECK_INT(json_len(run.notes), 1);
        CHECK(json_str(json_at(run.notes, 0), "unproven") || json_str(json_at(run.notes, 0), "forced"));
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

/* A page that somebody holds is a no, also where nobody can be named for it; by force it is written down. */
static void test_referenced(void) {
        const StepOps *ops = step_ops(STEP_PROVE_UNPINNED);
        _cleanup_json_ json_object *args = make("device-dax", false), *forced = make("device-dax", true);
        StepRun run;

        begin(&run);
        CENSUS_SAYS(CENSUS_REFERENCED);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK(run.why && strstr(run.why, "still after 0 s"));
        CHECK_INT(json_len(run.notes), 0);
        CHECK_INT(ops->apply(forced, &run), 0);
        CHECK(json_str(json_at(run.notes, 0), "forced"));
        end(&run);
}

/* One that goes meanwhile is none. */
static void test_goes_by_itself(void) {
        _cleanup_json_ json_object *args = make("device-dax", false);
        StepRun run;

        begin(&run);
        json_set_u64(args, "timeout_sec", 600);
        CENSUS_SAYS(CENSUS_REFERENCED, CENSUS_REFERENCED, CENSUS_CLEAN);
        CHECK_INT(step_ops(STEP_PROVE_UNPINNED)->apply(args, &run), 0);
        CHECK(json_str(json_at(run.notes, 0), "proven"));
        end(&run);
}

static bool wants_to_stop(void *userdata) {
        return true;
}

static void test_cancelled(void) {
        _cleanup_json_ json_object *args = make("device-dax", false);
        StepRun run;

        begin(&run);
        run.cancelled = wants_to_stop;
        json_set_u64(args, "timeout_sec", 600);
        CENSUS_SAYS(CENSUS_REFERENCED);
        CHECK_INT(step_ops(STEP_PROVE_UNPINNED)->apply(args, &run), -ECANCELED);
        CHECK_INT(json_len(run.notes), 0);
        end(&run);
}

/* Another worker believes what is written down until a page is held again, or nobody can count. */
static void test_gone_on_with(void) {
        const StepOps *ops = step_ops(STEP_PROVE_UNPINNED);
        _cleanup_json_ json_object *args = make("device-dax", false);
        StepRun run;

        begin(&run);
        CENSUS_SAYS(CENSUS_CLEAN);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CENSUS_SAYS(CENSUS_REFERENCED);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        census.error = -ENOMEM;
        CHECK_INT(ops->verify(args, &run), -ENOMEM);
        CHECK_INT(ops->apply(args, &run), -ENOMEM);
        CHECK(strstr(run.why, "cannot be counted"));
        end(&run);
        memset(&census, 0, sizeof(census));
}

int main(void) {
        test_describe();
        test_arguments();
        test_unproven();
        test_system_ram();
        test_referenced();
        test_goes_by_itself();
        test_cancelled();
        test_gone_on_with();
        return 0;
}
