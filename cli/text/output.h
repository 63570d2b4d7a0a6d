/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"
#include "cli/exit-code.h"

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
        _JSON_MODE_MAX,
} JsonMode;

typedef enum Color {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_DIM,
        COLOR_GOOD,
        COLOR_WARN,
        COLOR_BAD,
        _COLOR_MAX,
} Color;

/* How this run prints: set once from the command line, read by everything that writes. */
typedef struct Output {
        JsonMode json;
        bool legend;
        bool color;
} Output;

extern Output output;

/* Data goes to stdout, everything said about it to stderr. */
void print_colored(Color color, const char *format, ...) _printf_(2, 3);
const char *color_start(Color color);   /* "" without color */
const char *color_end(void);

/* In JSON mode one object (safe-remove/error/1) on stdout, else one line on stderr. `error` is the D-Bus error name or
 * NULL. Returns the code, so that a caller can say what went wrong and leave in one statement. */
ExitCode fail(ExitCode code, const char *error, const char *format, ...) _printf_(3, 4);
ExitCode fail_memory(void);

/* Names and command lines of processes are somebody else's text: control characters in it (an escape sequence that
 * repaints the terminal) become '?', line ends a blank. Works through the whole tree. */
void json_make_printable(json_object *o);

/* One object in the mode's form, with a line end. */
void print_json(json_object *o);

/* A table: the first row is the header, printed unless --no-legend. Cells are copied. */
typedef struct Table Table;

/* The caller's; NULL when out of memory. */
Table *table_new(const char *const *headers, size_t n_columns);
void table_free(Table *t);
DEFINE_CLEANUP_FUNC(Table, table_free)
#define _cleanup_table_ _cleanup_(table_freep)

void table_align_right(Table *t, size_t column);
int table_cell(Table *t, Color color, const char *text); /* fills left to right; NULL and "" print as "-" */
int table_cellf(Table *t, Color color, const char *format, ...) _printf_(3, 4);
void table_print(const Table *t, const char *indent);
