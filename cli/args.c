/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>

#include "cli/text/output.h"
#include "args-options.h"
#include "args.h"

static bool row_is_for(const OptionRow *row, const Verb *verb) {
        if (!row->verbs || !verb)
                return true;

        size_t n = strlen(verb->name);
        for (const char *p = row->verbs; *p; p = strchr(p, ' ') + 1)
                if (strncmp(p, verb->name, n) == 0 && p[n] == ' ')
                        return true;
        return false;
}

static const OptionRow *row_by_letter(int letter) {
        for (size_t i = 0; i < OPTION_ROWS; i++)
                if (option_rows[i].letter == letter)
                        return &option_rows[i];
        return NULL;
}

static ExitCode fail_option(int c, const char *text) {
        const OptionRow *row = row_by_letter(optopt);

        if (c == ':')
                return fail(CODE_USAGE, NULL, "option '--%s' needs a value: --%s=%s", row->name, row->name, row->value);
        if (row)
                return fail(CODE_USAGE, NULL, "option '--%s' takes no value", row->name);
        if (optopt)
                return fail(CODE_USAGE, NULL, "unknown option '-%c'; 'safe-remove --help' lists them", optopt);
        return fail(CODE_USAGE, NULL, "unknown option '%s'; 'safe-remove --help' lists them", text);
}

static ExitCode parse_options(int argc, char **argv, Args *a, bool seen[static OPTION_ROWS]) {
        struct option longs[OPTION_ROWS + 1] = { 0 };
        char shorts[3 * OPTION_ROWS + 2] = ":";
        size_t n = 1;

        for (size_t i = 0; i < OPTION_ROWS; i++) {
                int has = !option_rows[i].value ? no_argument : option_rows[i].value[0] == '[' ? optional_argument : required_argument;
                longs[i] = (struct option){ option_rows[i].name, has, NULL, option_rows[i].letter };
                if (option_rows[i].letter >= 256)
                        continue;
                shorts[n++] = (char) option_rows[i].letter;
                for (int k = has; k > 0; k--)
                        shorts[n++] = ':';
        }

        for (;;) {
                int c = getopt_long(argc, argv, shorts, longs, NULL);
                if (c < 0)
                        return CODE_DONE;
                if (c == ':' || c == '?')
                        return fail_option(c, argv[optind - 1]);

                const OptionRow *row = row_by_letter(c);
                seen[row - option_rows] = true;
                ExitCode code = row->set(a, optarg);
                if (code != CODE_DONE)
                        return code;
        }
}

static ExitCode find_verb(const char *name, const Verb **ret) {
        for (size_t i = 0; i < verb_table_size; i++)
                if (streq(verb_table[i].name, name)) {
                        *ret = &verb_table[i];
                        return CODE_DONE;
                }

        _cleanup_free_ char *names = strdup("");
        for (size_t i = 0; names && i < verb_table_size; i++) {
                char *more = strf("%s%s%s", names, i > 0 ? ", " : "", verb_table[i].name);
                free(names);
                names = more;
        }
        return fail(CODE_USAGE, NULL, "unknown verb '%s'; there are: %s", name, names ?: "");
}

static ExitCode check_operands(const Verb *verb, int n, char **operands) {
        if (verb->operand_required && n < 1)
                return fail(CODE_USAGE, NULL, "'%s' needs %s %s, such as: safe-remove %s 2", verb->name,
                            strchr("AEIOU", verb->operand[0]) ? "an" : "a", verb->operand, verb->name);
        if (!verb->operand && n > 0)
                return fail(CODE_USAGE, NULL, "'%s' takes no operand; '%s' is one too many", verb->name, operands[0]);
        if (n > 1 && !verb->several)
                return fail(CODE_USAGE, NULL, "'%s' takes one %s; '%s' is one too many", verb->name, verb->operand,
                            operands[1]);
        for (int i = 0; i < n; i++)
                if (operands[i][0] == '\0')
                        return fail(CODE_USAGE, NULL, "the %s of '%s' is empty", verb->operand, verb->name);
        return CODE_DONE;
}

ExitCode args_parse(int argc, char **argv, Args *ret) {
        bool seen[OPTION_ROWS] = { false };
        Args a = { 0 };

        opterr = 0;
        ExitCode code = parse_options(argc, argv, &a, seen);
        if (code == CODE_DONE && optind < argc)
                code = find_verb(argv[optind], &a.verb);
        if (code != CODE_DONE)
                return code;

        if (!a.help && !a.version) {
                if (!a.verb)
                        return fail(CODE_USAGE, NULL, "needs a verb, such as: safe-remove list; --help lists them");
                for (size_t i = 0; i < OPTION_ROWS; i++)
                        if (seen[i] && !row_is_for(&option_rows[i], a.verb))
                                return fail(CODE_USAGE, NULL, "'%s' has no option '--%s'; 'safe-remove %s --help' lists those it has", a.verb->name,
                                            option_rows[i].name, a.verb->name);
                code = check_operands(a.verb, argc - optind - 1, argv + optind + 1);
                if (code != CODE_DONE)
                        return code;
                a.target = argv[optind + 1];
                a.targets = argv + optind + 1;
                a.n_targets = (size_t) (argc - optind - 1);
        }

        *ret = a;
        return CODE_DONE;
}

static void print_option_help(const OptionRow *row) {
        _cleanup_free_ char *left = NULL;
        const char *value = row->value ?: "";

        if (value[0] == '[')
                left = strf("--%s[=%s", row->name, value + 1);
        else
                left = strf("--%s%s%s", row->name, *value ? "=" : "", value);
        if (row->letter < 256)
                printf("  -%c, %-26s %s\n", row->letter, left ?: "", row->help);
        else
                printf("      %-26s %s\n", left ?: "", row->help);
}

void args_print_help(const Verb *verb) {
        printf("safe-remove %s%s%s%s [OPTION...]\n\n", verb ? verb->name : "VERB", verb && verb->operand ? " " : "",
               verb ? verb->operand ?: "" : " [TARGET...]", verb && verb->several ? "..." : "");
        puts(verb ? verb->help : "Makes pulling a CXL memory card out of a running server safe.");

        if (!verb) {
                puts("\nVerbs:");
                for (size_t i = 0; i < verb_table_size; i++)
                        printf("  %-11s %-12s %s\n", verb_table[i].name, verb_table[i].operand ?: "", verb_table[i].help);
                puts("\nTARGET: a slot (2, slot:2), a PCI function (0000:0d:00.0), a port (port:0000:0c:00.0), mem1, region0, dax0.0, node1,\n"
                     "memory147, nmem0, namespace0.0, /dev/pmem0, a mount point, or serial:0x1. A bare number is a slot.");
        }
        puts("\nOptions:");
        for (size_t i = 0; i < OPTION_ROWS; i++)
                if (row_is_for(&option_rows[i], verb))
                        print_option_help(&option_rows[i]);
        puts("\nExit status:");
        for (size_t i = 0; i < exit_code_table_size; i++)
                printf("  %3d  %s\n", (int) exit_code_table[i].code, exit_code_table[i].meaning);
        puts("\nMore in safe-remove(8).");
}
