/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>
#include <sys/types.h>

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
        bool as_it_is;          /* what the daemon says is not made printable: whoever prints it looks at each text */
        bool legend;
        bool color;
        bool utf8;              /* the locale has it */
        bool pager;             /* what is longer than the terminal goes to one */
        size_t columns;         /* of the terminal; 0: none, lines are as long as they are */
} Output;

extern Output output;

/* Data goes to stdout, everything said about it to stderr. */
void print_colored(Color color, const char *format, ...) _printf_(2, 3);
const char *color_start(Color color);   /* "" without color */
const char *color_end(void);

/* The width of the terminal now: $COLUMNS, else what it says itself, else 80. */
size_t terminal_columns(void);
size_t terminal_rows(void);     /* 0: not known */

/* From here on standard output is kept back. output_release() prints it: on a terminal with long lines wrapped, and in a pager if there are more
 * lines than the terminal has. So does fail(). */
void output_keep(void);
void output_release(void);

/* The same without printing it: what was kept back, wrapped; newly allocated, NULL when out of memory. */
char *output_take(void);

/* In front of a line that is a command, to be copied as a whole. "" where nothing is wrapped. */
const char *output_as_it_is(void);

/* A line or more, with the line end, to standard output or standard error: long ones wrapped, if that is a terminal. */
void output_line(FILE *f, const char *format, ...) _printf_(2, 3);

/* What is printed between these is a remark about a table. With --no-legend standard output has the table alone, and remarks go to standard error: nobody
 * who reads it by a script takes them for rows, and none is lost. */
void output_remarks_begin(void);
void output_remarks_end(void);

/* In JSON mode one object (safe-remove/error/1) on stdout, else one line on stderr. `error` is the D-Bus error name or
 * NULL. Returns the code, so that a caller can say what went wrong and leave in one statement. */
ExitCode fail(ExitCode code, const char *error, const char *format, ...) _printf_(3, 4);
ExitCode fail_with_hint(ExitCode code, const char *error, const char *hint, const char *format, ...) _printf_(4, 5); /* what to type next */
ExitCode fail_memory(void);
ExitCode fail_file(const char *path, int r); /* of output_write_file() */

/* Names and command lines of processes are somebody else's text: control characters in it (an escape sequence that
 * repaints the terminal) become '?', line ends a blank. Works through the whole tree. */
void json_make_printable(json_object *o);

/* One object in the mode's form, with a line end. */
void print_json(json_object *o);

/* Into this file, in the place of an older one: a reader sees the old or the new one. Negative errno; -EMEDIUMTYPE: it is there, and is no file. */
int output_write_file(const char *path, const char *text, mode_t mode);
int output_check_folder(const char *path); /* whether it could be written there */

/* A table: the first row is the header, printed unless --no-legend. Cells are copied. */
typedef struct Table Table;

/* The caller's; NULL when out of memory. */
Table *table_new(const char *const *headers, size_t n_columns);
void table_free(Table *t);
DEFINE_CLEANUP_FUNC(Table, table_free)
#define _cleanup_table_ _cleanup_(table_freep)

void table_align_right(Table *t, size_t column);

/* On a terminal that is too narrow for all columns, these are left out first, in the order of these calls; a line says which. */
void table_spare(Table *t, size_t column);
int table_cell(Table *t, Color color, const char *text); /* fills left to right; NULL and "" print as "-" */
int table_cellf(Table *t, Color color, const char *format, ...) _printf_(3, 4);

/* Where there is no room on the terminal: the last column is wrapped, or stands below its row, if it has a text; else spare columns are left out;
 * else each row becomes a block with a line a cell. No cell is ever cut off. */
void table_print(const Table *t, const char *indent);
