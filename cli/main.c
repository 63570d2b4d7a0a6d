/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/text/output.h"
#include "cli/verb/verbs.h"
#include "args.h"

static const Verb verbs[] = {
        { "list",    NULL,          false, "the slots: card, memory, state, LEDs", verb_list },
        { "show",    "TARGET",      true,  "a card's memory: regions, dax devices, nodes, blocks", verb_show },
        { "plan",    "TARGET",      true,  "what removing it would do, without doing it", verb_plan, true },
        { "explain", "TARGET",      true,  "why it cannot be removed, and what to do about that", verb_explain, true },
        { "remove",  "TARGET",      true,  "take a card out of use and power its slot off", verb_remove, true },
        { "restore", "TARGET",      true,  "put back what a removal took down, when the card is in again", verb_restore },
        { "cancel",  "ID|TARGET",   true,  "stop a removal and put everything back", verb_cancel },
        { "status",  "[ID|TARGET]", false, "running removals, else the last one", verb_status },
        { "monitor", NULL,          false, "print events as they come", verb_monitor },
        { "history", NULL,          false, "past removals, newest first", verb_history },
        { "verify",  "TARGET",      true,  "ask the kernel again whether a slot is safe", verb_verify },
        { "certificate", "[ID]",    false, "the sealed record of a removal and its proof", verb_certificate },
        { "cat-config", NULL,       false, "the files with settings and rules, as they are read", verb_cat_config },
        { "policy",  "check [FILE]", false, "what is wrong in them, or in the files named after it", verb_policy, true },
        { 0 },
};

static void output_setup(const Args *a) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool dumb = !term || streq(term, "dumb");

        output.legend = !a->no_legend;
        output.color = output.json == JSON_OFF && !a->no_color && !(no_color && *no_color) && !dumb && isatty(STDOUT_FILENO);
}

static ExitCode run(int argc, char **argv) {
        Args a;

        ExitCode code = args_parse(verbs, argc, argv, &a);
        if (code != CODE_DONE)
                return code;

        output_setup(&a);
        if (a.version) {
                puts("safe-remove " PROJECT_VERSION);
                return CODE_DONE;
        }
        if (a.help) {
                args_print_help(verbs, a.verb);
                return CODE_DONE;
        }
        return a.verb->run(&a);
}

int main(int argc, char **argv) {
        ExitCode code = run(argc, argv);
        /* A full disk or a closed pipe must not look like success. */
        if (fflush(stdout) != 0 && code == CODE_DONE)
                code = CODE_FAILED;
        return (int) code;
}
