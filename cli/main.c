/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>

#include "cli/text/output.h"
#include "cli/verb/verbs.h"
#include "args.h"

/* What a plan may end with beside the codes that every verb has. */
#define PLAN_CODES CODE_NOTHING, CODE_NOT_FOUND, CODE_BLOCKED, CODE_AMBIGUOUS

static const Verb verbs[] = {
        { "list", NULL, false, "the slots: card, memory, state, LEDs", verb_list, .pages = true },
        { "show", "TARGET", true, "a card's memory: regions, dax devices, nodes, blocks", verb_show, .pages = true,
          .codes = { CODE_NOT_FOUND, CODE_BLOCKED, CODE_AMBIGUOUS } },
        { "plan", "TARGET", true, "what removing it would do, without doing it", verb_plan, .pages = true, .several = true, .codes = { PLAN_CODES, CODE_VETOED } },
        { "explain", "TARGET", true, "why it cannot be removed, and what to do about that", verb_explain, .pages = true, .several = true,
          .codes = { PLAN_CODES, CODE_VETOED } },
        { "remove", "TARGET", true, "take a card out of use and power its slot off", verb_remove, .several = true, .group = VERB_CHANGES,
          .codes = { PLAN_CODES, CODE_VETOED, CODE_RESTORED, CODE_STUCK, CODE_STALE, CODE_DETACHED } },
        { "restore", "TARGET", true, "put back what a removal took down, when the card is in again", verb_restore, .group = VERB_CHANGES,
          .codes = { PLAN_CODES, CODE_STUCK, CODE_DETACHED } },
        { "self-test", "TARGET", true, "take an idle card down as far as that goes, and put it back", verb_self_test, .group = VERB_CHANGES,
          .codes = { PLAN_CODES, CODE_VETOED, CODE_RESTORED, CODE_STUCK, CODE_NOT_PROVEN, CODE_DETACHED } },
        { "replace", "TARGET", true, "remove, wait for the new card, restore", verb_replace, .group = VERB_CHANGES,
          .codes = { PLAN_CODES, CODE_VETOED, CODE_RESTORED, CODE_STUCK, CODE_STALE, CODE_NO_CARD, CODE_DETACHED } },
        { "cancel", "ID|TARGET", true, "stop a removal and put everything back", verb_cancel, .group = VERB_CHANGES,
          .codes = { CODE_NOTHING, CODE_NOT_FOUND, CODE_BLOCKED, CODE_STUCK, CODE_AMBIGUOUS, CODE_DETACHED } },
        { "status", "[ID|TARGET]", false, "running removals, else the last one", verb_status, .pages = true, .group = VERB_FOLLOWS,
          .codes = { CODE_NOTHING, CODE_NOT_FOUND } },
        { "monitor", NULL, false, "print events as they come", verb_monitor, .group = VERB_FOLLOWS },
        { "watch", NULL, false, "slots, what runs and events, live on the whole terminal", verb_watch, .group = VERB_FOLLOWS },
        { "history", NULL, false, "past removals, newest first", verb_history, .pages = true, .group = VERB_FOLLOWS },
        { "metrics", NULL, false, "how things are, as Prometheus reads it", verb_metrics, .group = VERB_FOLLOWS },
        { "verify", "TARGET", true, "ask the kernel again whether a slot is safe", verb_verify, .pages = true, .group = VERB_FOLLOWS,
          .codes = { CODE_NOTHING, CODE_NOT_FOUND, CODE_BLOCKED, CODE_AMBIGUOUS, CODE_NOT_PROVEN } },
        { "locate", "TARGET", true, "have the slot's attention LED blink for a while", verb_locate, .group = VERB_FOLLOWS,
          .codes = { CODE_NOT_FOUND, CODE_BLOCKED, CODE_AMBIGUOUS } },
        { "certificate", "[ID]", false, "show the tamper-evident record of a removal", verb_certificate, .pages = true, .group = VERB_FOLLOWS,
          .codes = { CODE_NOT_FOUND, CODE_NOT_PROVEN } },
        { "incident", "[ID]", false, "a card that was pulled without having been removed: what is on record", verb_incident, .pages = true,
          .group = VERB_FOLLOWS, .codes = { CODE_NOT_FOUND } },
        { "inhibit", "COMMAND", true, "run a command, and keep the cards meanwhile", verb_inhibit, .several = true, .command = true, .group = VERB_SETS_UP,
          .codes = { CODE_NOT_FOUND }, .example = "rsync -a /srv /backup" },
        { "inhibitors", NULL, false, "who keeps cards, or has their removal wait", verb_inhibitors, .pages = true, .group = VERB_SETS_UP },
        { "holders", "TARGET", true, "who uses the card, and what a removal does about that", verb_holders, .pages = true, .several = true,
          .group = VERB_FOLLOWS, .codes = { CODE_NOTHING, CODE_NOT_FOUND, CODE_AMBIGUOUS } },
        { "cat-config", NULL, false, "the files with settings and rules, as they are read", verb_cat_config, .group = VERB_SETS_UP },
        { "policy", "check [FILE...]|reload", false, "check: what is wrong in the files with settings and rules, or in those named; reload: have the daemon read them anew", verb_policy, .several = true,
          .group = VERB_SETS_UP, .codes = { CODE_CONFIG } },
        { "snapshot", NULL, false, "record this machine for a report, names left out", verb_snapshot, .group = VERB_SETS_UP },
        { "simulate", "MACHINE", true, "any look at a recorded machine: simulate MACHINE VERB...", verb_simulate, .group = VERB_SETS_UP,
          .refuses = simulate_refuses, .example = "tests/roots/ram2.root plan 2" },
        { "hook-test", "PATH|NAME", true, "run a hook with a made-up card, and say how it is taken", verb_hook_test, .group = VERB_SETS_UP,
          .codes = { CODE_NOT_FOUND }, .example = "./50-mine" },
        { 0 },
};

static void output_setup(const Args *a) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool dumb = !term || streq(term, "dumb"), terminal = output.json == JSON_OFF && isatty(STDOUT_FILENO);

        (void) setlocale(LC_CTYPE, "");
        output.utf8 = streq(nl_langinfo(CODESET), "UTF-8");
        output.legend = !a->no_legend;
        output.color = terminal && !a->no_color && !(no_color && *no_color) && !dumb;
        output.columns = terminal ? terminal_columns() : 0;
        output.pager = terminal && !a->no_pager && !dumb && a->verb && a->verb->pages;
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
        code = a.machine ? simulate_start(a.machine) : CODE_DONE;
        if (code != CODE_DONE)
                return code;
        if (!a.verb || a.verb->pages)
                output_keep();
        code = a.verb ? a.verb->run(&a) : verb_overview(&a);
        output_release();
        return code;
}

int main(int argc, char **argv) {
        ExitCode code = run(argc, argv);
        /* A full disk or a closed pipe must not look like success. */
        errno = 0;
        if ((fflush(stdout) != 0 || ferror(stdout)) && code == CODE_DONE) {
                fprintf(stderr, "safe-remove: standard output cannot be written: %s; see: df\n", errno ? strerror(errno) : "something of it is missing");
                code = CODE_FAILED;
        }
        return (int) code;
}
