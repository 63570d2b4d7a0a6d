/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What the CLI exits with. Scripts depend on the numbers: never renumber, only add. exit_code_table is the one list;
 * --help prints it and a test compares the man page with it. */
typedef enum ExitCode {
        CODE_DONE = 0,
        CODE_FAILED = 1,
        CODE_NOTHING = 2,
        CODE_NOT_FOUND = 3,
        CODE_VETOED = 4,
        CODE_BLOCKED = 5,
        CODE_RESTORED = 6,
        CODE_STUCK = 7,
        CODE_REBOOT = 8,
        CODE_AMBIGUOUS = 9,
        CODE_STALE = 10,
        CODE_NOT_PROVEN = 11,
        CODE_NO_CARD = 12,
        CODE_USAGE = 64,
        CODE_UNREACHABLE = 69,
        CODE_BUSY = 75,
        CODE_NOT_AUTHORIZED = 77,
        CODE_CONFIG = 78,
        CODE_DETACHED = 130,
} ExitCode;

typedef struct ExitCodeRow {
        ExitCode code;
        const char *name;       /* the "code" of safe-remove/error/1 */
        const char *meaning;
} ExitCodeRow;

extern const ExitCodeRow exit_code_table[];
extern const size_t exit_code_table_size;

const char *exit_code_name(ExitCode code);

/* A D-Bus error name that a call came back with. */
ExitCode exit_code_of_error(const char *name);

/* How a removal ended: its outcome and end code, see docs/PROTOCOL.md. */
ExitCode exit_code_of_removal(const char *outcome, const char *code);

/* The verdict of a plan. */
ExitCode exit_code_of_verdict(const char *verdict);
