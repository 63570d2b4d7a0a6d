/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What --help prints: of the command, or of one verb. */
#include "cli/args.h"
#include "output.h"
#include "wrap.h"

enum {
        HELP_INDENT = 32,       /* where the words about an option begin */
};

static void print_option_help(const OptionRow *row) {
        const char *value = row->value ?: "";
        bool optional = value[0] == '[', is_short = row->letter < 256;

        int column = is_short ? printf("  -%c, ", row->letter) : printf("      ");
        column += printf("--%s%s%s%s", row->name, optional ? "[" : "", *value ? "=" : "", optional ? value + 1 : value);
        text_print_words(row->help, (size_t) column, HELP_INDENT);
}

static void print_verbs(const Verb *verbs) {
        static const char *const groups[_VERB_GROUP_MAX] = {
                [VERB_LOOKS] = "Looking (nothing is changed)",
                [VERB_CHANGES] = "Removing and restoring",
                [VERB_FOLLOWS] = "Following and proving",
                [VERB_SETS_UP] = "Setting up and reporting",
        };

        puts("\nVerbs:");
        for (size_t g = 0; g < _VERB_GROUP_MAX; g++) {
                bool first = true;
                for (const Verb *v = verbs; v->name; v++) {
                        if (v->group != g)
                                continue;
                        if (first)
                                printf(" %s\n", groups[g]);
                        first = false;
                        text_print_words(v->help, (size_t) printf("  %-11s %s", v->name, v->operand ?: ""), 26);
                }
        }
}

static bool returns(const Verb *verb, ExitCode code) {
        static const ExitCode all[] = { CODE_DONE, CODE_FAILED, CODE_USAGE, CODE_UNREACHABLE, CODE_BUSY, CODE_NOT_AUTHORIZED };

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (code == all[i])
                        return true;
        for (size_t i = 0; verb && i < ELEMENTSOF(verb->codes); i++)
                if (code == verb->codes[i])
                        return true;
        return !verb;
}

void args_print_help(const Verb *verbs, const Verb *verb) {
        if (verb && verb->command) /* what stands behind the command is the command's */
                printf("safe-remove %s [OPTION...] [--] %s [ARGUMENT...]\n\n", verb->name, verb->operand);
        else if (verb && verb->refuses)
                printf("safe-remove %s %s [VERB] [OPTION...] [OPERAND...]\n\n", verb->name, verb->operand);
        else
                printf("safe-remove %s%s%s%s [OPTION...]\n\n", verb ? verb->name : "VERB", verb && verb->operand ? " " : "",
                       verb ? verb->operand ?: "" : " [TARGET...]", verb && verb->several && !strstr(verb->operand, "...") ? "..." : "");
        text_print_words(verb ? verb->help : "Makes pulling a CXL memory card out of a running server safe.", 0, 0);

        if (!verb) {
                print_verbs(verbs);
                puts("\nTARGET: a slot (2, slot:2), a PCI function (0000:0d:00.0), a port\n"
                     "(port:0000:0c:00.0), mem1, region0, dax0.0, node1, memory147, nmem0,\n"
                     "namespace0.0, /dev/pmem0, a mount point, or serial:0x1. A bare number is a slot.");
        }
        puts("\nOptions:");
        for (size_t i = 0; i < option_rows_size; i++)
                if (option_is_for(&option_rows[i], verb) && !(verb && option_rows[i].of_pages && !verb->pages))
                        print_option_help(&option_rows[i]);
        puts("\nExit status:");
        for (size_t i = 0; i < exit_code_table_size; i++)
                if (returns(verb, exit_code_table[i].code))
                        text_print_words(exit_code_table[i].meaning, (size_t) printf("  %3d", (int) exit_code_table[i].code), 7);
        puts("\nMore in safe-remove(8).");
}
