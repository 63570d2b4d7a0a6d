/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"

enum {
        OPTION_ROWS = 16,
};

/* One row per option: what getopt_long() gets, what --help says, and which verbs take it all come from here. */
typedef struct OptionRow {
        const char *name;
        int letter;             /* above every character: without a short form */
        const char *value;      /* "[...]": optional */
        const char *verbs;      /* NULL: all; else words, each with a blank behind it */
        ExitCode (*set)(Args *a, const char *value);
        const char *help;
} OptionRow;

extern const OptionRow option_rows[OPTION_ROWS];
