/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/exit-code.h"
#include "check.h"

static void test_errors(void) {
        static const struct {
                const char *name;
                int code;
        } rows[] = {
                { "org.saferemove1.Error.MalformedName", 64 },
                { "org.saferemove1.Error.BadOption", 64 },
                { "org.saferemove1.Error.UnknownName", 3 },
                { "org.saferemove1.Error.AmbiguousName", 9 },
                { "org.saferemove1.Error.NoSlot", 5 },
                { "org.saferemove1.Error.Busy", 75 },
                { "org.saferemove1.Error.NotRunning", 2 },
                { "org.saferemove1.Error.TooLate", 5 },
                { "org.saferemove1.Error.NotAuthorized", 77 },
                { "org.saferemove1.Error.NotProven", 11 },
                { "org.saferemove1.Error.Stale", 10 },
                { "org.saferemove1.Error.Failed", 1 },
                { "org.freedesktop.DBus.Error.ServiceUnknown", 69 },
                { "org.freedesktop.DBus.Error.Spawn.ChildExited", 69 },
                { "org.freedesktop.systemd1.UnitMasked", 69 },
                { "org.freedesktop.DBus.Error.AccessDenied", 77 },
                { "org.example.SomethingNew", 1 },
                { NULL, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                CHECK_INT(exit_code_of_error(rows[i].name), rows[i].code);
}

static void test_removals(void) {
        static const struct {
                const char *outcome, *code;
                int exit;
        } rows[] = {
                { "safe", "done", 0 },          { "nothing", "empty-slot", 2 }, { "refused", "blocked", 5 },
                { "refused", "stale", 10 },     { "restored", "stale", 10 },    { "restored", "failed", 6 },
                { "restored", "cancelled", 6 }, { "restored", "timeout", 6 },   { "refused", "cancelled", 6 },
                { "stuck", "stuck", 7 },        { "stuck", "timeout", 7 },      { "interrupted", NULL, 1 },
                /* A word of a later version must not look like success. */
                { "splendid", "done", 1 },      { "", "", 1 },                  { NULL, NULL, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                CHECK_INT(exit_code_of_removal(rows[i].outcome, rows[i].code), rows[i].exit);
}

static void test_verdicts(void) {
        CHECK_INT(exit_code_of_verdict("ready"), 0);
        CHECK_INT(exit_code_of_verdict("blocked"), 5);
        CHECK_INT(exit_code_of_verdict("nothing"), 2);
        CHECK_INT(exit_code_of_verdict("perhaps"), 1);
        CHECK_INT(exit_code_of_verdict(NULL), 1);
}

/* Every code that a table can lead to has a name, and no number is used twice. */
static void test_table(void) {
        for (size_t i = 0; i < exit_code_table_size; i++) {
                CHECK_STR(exit_code_name(exit_code_table[i].code), exit_code_table[i].name);
                for (size_t k = 0; k < i; k++)
                        CHECK_INT(exit_code_table[i].code == exit_code_table[k].code, 0);
        }
        CHECK_STR(exit_code_name((ExitCode) 99), NULL);
}

int main(void) {
        test_errors();
        test_removals();
        test_verdicts();
        test_table();
        return 0;
}
