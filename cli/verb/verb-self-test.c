/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test is a removal that is put back on purpose. With its power switched it is two requests: what the first has taken down a restoration puts
 * back, as after any removal, since names and addresses may be others by then. */
#include <errno.h>
#include <inttypes.h>

#include "cli/ask.h"
#include "cli/removal.h"
#include "cli/text/confirm.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "cli/text/plan-text.h"
#include "verbs.h"

/* What somebody says yes to is what is done: the request goes out with the digest of that plan. */
static ExitCode confirm(Args *a, json_object **ret_plan, char **ret_digest) {
        ExitCode code = ask_joins(a, "remove", ret_digest);
        if (code != CODE_DONE || *ret_digest) {
                a->digest = *ret_digest;
                return code;
        }
        code = ask_plan(a, client_plan, ret_plan);
        if (code != CODE_DONE || !streq_ptr(json_str(*ret_plan, "verdict"), "ready"))
                return code;
        if (!confirm_plan(*ret_plan, a))
                return confirm_declined();
        a->digest = json_str(*ret_plan, "digest");
        return CODE_DONE;
}

static bool is_powered(json_object *removal) {
        return streq_ptr(json_str(removal, "outcome"), "tested") && streq_ptr(json_str(removal, "code"), "powered");
}

/* Its slot: the name that was asked for may be another card's by now. */
static ExitCode put_back(const Args *a, json_object *removal, json_object **ret) {
        _cleanup_free_ char *target = strf("slot:%s", json_str(removal, "slot") ?: "?");
        char *targets[] = { target };
        const Args back = { .verb = a->verb, .target = target, .targets = targets, .n_targets = 1, .no_ask_password = a->no_ask_password };

        return target ? ask_and_wait(&back, "restoration", client_restore, ret, NULL) : fail_memory();
}

static ExitCode get_report(const char *id, json_object **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        return code == CODE_DONE ? client_test_report(bus, id, ret) : code;
}

static uint64_t sum(json_object *steps, const char *key) {
        uint64_t all = 0;

        for (size_t i = 0; i < json_len(steps); i++)
                all += json_u64(json_at(steps, i), key);
        return all;
}

static void print_part(const char *label, json_object *part) {
        json_object *steps = json_array(part, "steps");
        uint64_t down = sum(steps, "do_usec"), back = sum(steps, "undo_usec");

        printf("  %-12s %zu steps, %s", label, json_len(steps), FORMAT_DURATION(down));
        if (back > 0)
                printf("; put back in %s", FORMAT_DURATION(back));
        puts("");
}

static const char *light_word(json_object *light, const char *which) {
        return json_str(light, which) ?: "none";
}

/* As a person who stands there has seen them. */
static void print_lights(json_object *report) {
        json_object *lights = json_array(report, "lights");

        for (size_t i = 0; i < json_len(lights); i++) {
                json_object *asked = json_get(json_at(lights, i), "asked"), *read = json_get(json_at(lights, i), "read");
                bool same = !asked || json_object_equal(asked, read);
                printf("  %-12s power %s, attention %s%s", i == 0 ? "lights" : "", light_word(read, "power"), light_word(read, "attention"),
                       same ? "\n" : "");
                if (!same)
                        printf(": asked for power %s, attention %s\n", light_word(asked, "power"), light_word(asked, "attention"));
        }
        if (json_len(lights) == 0)
                printf("  %-12s none that could be tested\n", "lights");
}

static void print_report(json_object *report) {
        const char *verdict = json_str(report, "verdict");

        print_lights(report);
        print_part("taken down", report);
        if (json_get(report, "restoration"))
                print_part("restored", json_get(report, "restoration"));
        printf("  %-12s ", "verdict");
        print_colored(streq_ptr(verdict, "passed") ? COLOR_GOOD : COLOR_BAD, "%s", verdict ?: "?");
        puts("");
}

static ExitCode write_report(const Args *a, json_object *report) {
        _cleanup_free_ char *text = strf("%s\n", json_text_pretty(report));

        int r = text ? output_write_file(a->output, text, 0600) : -ENOMEM;
        return r < 0 ? fail_file(a->output, r) : CODE_DONE;
}

/* What was restored with a difference is not what was there. */
static ExitCode exit_code_of_test(json_object *removal, json_object *restoration) {
        /* Called off where there was no way back: no test. */
        if (!restoration && streq_ptr(json_str(removal, "outcome"), "safe"))
                return exit_code_of_removal("restored", "cancelled");
        if (!restoration)
                return exit_code_of_removal(json_str(removal, "outcome"), json_str(removal, "code"));
        ExitCode code = exit_code_of_removal(json_str(restoration, "outcome"), json_str(restoration, "code"));
        return code == CODE_DONE && json_len(json_array(restoration, "lost")) > 0 ? CODE_NOT_PROVEN : code;
}

/* A slot without a card leaves no record, of which there could be a report. */
static ExitCode tell(const Args *a, json_object *removal, json_object *restoration, const char *leds) {
        _cleanup_json_ json_object *report = NULL;
        ExitCode code = exit_code_of_test(removal, restoration);

        if (code == CODE_NOTHING) {
                if (output.json == JSON_OFF)
                        json_set_bool(removal, "self_test", true); /* there is no plan to say so */
                return removal_report(removal, leds);
        }
        if (output.json == JSON_OFF)
                (void) removal_report(restoration ?: removal, restoration ? NULL : leds);
        if (output.json == JSON_OFF && !a->output && streq_ptr(json_str(removal, "outcome"), "refused"))
                return code;
        ExitCode got = get_report(json_str(removal, "id") ?: "", &report);
        if (got != CODE_DONE)
                return code == CODE_DONE ? got : code;
        if (output.json != JSON_OFF)
                print_json(report);
        else {
                output_keep();
                print_report(report);
                output_release();
        }
        if (a->output)
                got = write_report(a, report);
        return code == CODE_DONE ? got : code;
}

ExitCode verb_self_test(const Args *a) {
        _cleanup_json_ json_object *plan = NULL, *removal = NULL, *restoration = NULL;
        _cleanup_free_ char *leds = NULL, *digest = NULL;
        Args with = *a;
        ExitCode code = CODE_DONE;

        if (a->no_wait && a->with_power)
                return fail(CODE_USAGE, NULL, "--no-wait and --with-power contradict each other: what was on the card is put back when its power is on again, and "
                            "this command does that; such as: %s self-test %s --no-wait", client_command(), a->target);
        if (a->no_wait && a->output)
                return fail(CODE_USAGE, NULL, "--no-wait and --output contradict each other: there is a report when the test has ended; such as: %s self-test %s "
                            "--no-wait", client_command(), a->target);

        /* Not when it is over: the report would be lost. */
        int w = a->output && !a->dry_run ? output_check_folder(a->output) : 0;
        if (w < 0)
                return fail_file(a->output, w);
        with.self_test = a->with_power ? "power" : "held";
        if (a->dry_run) {
                output_keep();
                code = ask_for_plan(&with, client_plan, plan_show);
                output_release();
                return code;
        }
        if (confirm_can_ask(a))
                code = confirm(&with, &plan, &digest);
        if (code == CODE_DONE && a->no_wait)
                return ask_and_follow(&with, "self-test", client_remove);
        if (code == CODE_DONE)
                code = ask_and_wait(&with, "self-test", client_remove, &removal, &leds);
        if (code == CODE_DETACHED && a->with_power && output.json == JSON_OFF)
                output_line(stderr, "when its power is on again, what was on it is put back by: %s restore %s\n", client_command(), a->target);
        if (code != CODE_DONE)
                return code;
        if (is_powered(removal))
                code = put_back(a, removal, &restoration);
        return code == CODE_DONE ? tell(a, removal, restoration, leds) : code;
}
