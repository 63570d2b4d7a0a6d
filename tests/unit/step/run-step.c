/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run-step check|apply|verify|revert|unverify|describe STEP.json [NOTES]: one step by itself, for trying it on a machine that
 * may break. STEP.json: {"type": ..., "args": {...}}. unverify: verify() as the way back asks it. NOTES: where the step's notes
 * are kept between two runs, one a line. */
#include "base/clock.h"
#include "base/fileio.h"
#include "step/step.h"
#include "tests/unit/noted.h"

static const char *notes_path;

static int write_notes(StepRun *run, json_object *notes) {
        int r = keep_notes(run, notes);
        if (r < 0 || !notes_path)
                return r;
        _cleanup_fclose_ FILE *f = fopen(notes_path, "ae");
        if (!f)
                return -errno;
        for (size_t i = 0; i < json_len(notes); i++)
                fprintf(f, "%s\n", json_text(json_at(notes, i)));
        return 0;
}

static void show_progress(void *userdata, uint64_t done, uint64_t of, const char *text) {
        fprintf(stderr, "%ju/%ju %s\n", (uintmax_t) done, (uintmax_t) of, text);
}

static void read_notes(json_object *notes) {
        _cleanup_free_ char *text = NULL;

        if (!notes_path || read_file(notes_path, &text, NULL) < 0)
                return;
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                json_object *o = NULL;
                if (*line && json_parse(line, strlen(line), &o) >= 0)
                        json_object_array_add(notes, o);
        }
}

static int read_step(const char *path, Step *ret) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *text = NULL, *why = NULL;
        size_t n;

        int r = read_file(path, &text, &n);
        if (r >= 0)
                r = json_parse(text, n, &o);
        if (r >= 0)
                r = step_type_from_string(json_str(o, "type"));
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(-r));
                return r;
        }
        *ret = (Step) { .type = (StepType) r, .args = json_ref(json_get(o, "args")) };
        r = step_validate(ret, &why);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", path, why);
        return r;
}

static int run_verb(const char *verb, const Step *step, StepRun *run) {
        const StepOps *ops = step_ops(step->type);

        if (streq(verb, "describe")) {
                _cleanup_free_ char *does = NULL, *undo = NULL;
                ops->describe(step->args, &does, &undo);
                printf("does: %s\nundo: %s\n", does, undo ?: "-");
                return 0;
        }
        run->backwards = streq(verb, "revert") || streq(verb, "unverify");
        if (streq(verb, "check"))
                return ops->check ? ops->check(step->args, run) : 0;
        if (streq(verb, "apply"))
                return ops->apply(step->args, run);
        if (streq(verb, "revert"))
                return ops->revert ? ops->revert(step->args, run) : 0;
        int r = ops->verify(step->args, run);
        if (r >= 0)
                puts((const char *const[]) { "not applied", "partly applied", "applied" }[r]);
        return r;
}

int main(int argc, char **argv) {
        const StepLimits limits = { .offline_timeout_usec = 60 * USEC_PER_SEC, .write_timeout_usec = 60 * USEC_PER_SEC };
        StepRun run = { .limits = &limits, .note = write_notes, .progress = show_progress, .notes = json_object_new_array() };
        Step step = { 0 };

        if (argc < 3)
                return EXIT_FAILURE;
        notes_path = argc > 3 ? argv[3] : NULL;
        read_notes(run.notes);
        int r = read_step(argv[2], &step);
        if (r < 0)
                return EXIT_FAILURE;

        uint64_t start = now_monotonic();
        r = run_verb(argv[1], &step, &run);
        fprintf(stderr, "%s %s: %s (%ju ms)\n", argv[1], step_type_to_string(step.type), r < 0 ? strerror(-r) : "ok",
                (uintmax_t) ((now_monotonic() - start) / USEC_PER_MSEC));
        if (run.why)
                fprintf(stderr, "why: %s\n", run.why);
        if (run.remedy)
                fprintf(stderr, "remedy: %s\n", run.remedy);
        for (size_t i = 0; i < json_len(run.lost); i++)
                fprintf(stderr, "lost: %s\n", json_object_get_string(json_at(run.lost, i)));
        json_object_put(run.notes);
        json_object_put(step.args);
        step_run_done(&run);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
