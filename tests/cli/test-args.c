/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/args.h"
#include "check.h"

enum {
        WORDS_MAX = 8,
};

static const Verb verbs[] = {
        { "look", "TARGET", true, "", NULL, .several = true },
        { "hold", "COMMAND...", true, "", NULL, .several = true, .command = true },
        { 0 },
};

static ExitCode parse(const char *const *words, Args *a) {
        char *argv[WORDS_MAX + 2] = { (char *) "safe-remove" };
        int argc = 1;

        for (; words[argc - 1]; argc++)
                argv[argc] = (char *) words[argc - 1];
        return args_parse(verbs, argc, argv, a);
}

int main(void) {
        Args a;

        /* Options stand where they like, */
        CHECK_INT(parse((const char *const[]){ "--no-legend", "look", "2", "--no-color", "3", NULL }, &a), CODE_DONE);
        CHECK_INT(a.no_legend && a.no_color && a.n_targets == 2 && streq(a.targets[1], "3"), true);

        /* but what is behind a command's name is the command's, */
        CHECK_INT(parse((const char *const[]){ "--no-legend", "hold", "--no-color", "sleep", "--version", "-x", NULL }, &a), CODE_DONE);
        CHECK_INT(a.no_legend && a.no_color && !a.version, true);
        CHECK_INT(a.n_targets == 3 && streq(a.target, "sleep") && streq(a.targets[1], "--version") && streq(a.targets[2], "-x"), true);

        /* and what is behind "--" is no option at all. */
        CHECK_INT(parse((const char *const[]){ "look", "--", "--help", NULL }, &a), CODE_DONE);
        CHECK_INT(!a.help && a.n_targets == 1 && streq(a.target, "--help"), true);
        CHECK_INT(parse((const char *const[]){ "hold", "--no-wait", "true", NULL }, &a), CODE_USAGE);
        return 0;
}
