/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "base/clock.h"
#include "format.h"
#include "output.h"

const char *format_size(char buf[static FORMAT_MAX], uint64_t bytes) {
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        uint64_t unit = 1;
        size_t u = 0;

        while (u + 1 < ELEMENTSOF(units) && bytes / unit >= 1024) {
                unit *= 1024;
                u++;
        }

        uint64_t whole = bytes / unit, tenth = 0;
        if (u > 0) {
                /* Rounded down: a number of free bytes must never be shown larger than it is. */
                tenth = bytes % unit / (unit / 1024) * 10 / 1024;
        }
        if (tenth > 0 && whole < 100)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, tenth, units[u]);
        else
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " %s", whole, units[u]);
        return buf;
}

const char *format_duration(char buf[static FORMAT_MAX], uint64_t usec) {
        uint64_t sec = usec / USEC_PER_SEC;

        if (usec < 100 * USEC_PER_MSEC)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " ms", usec / USEC_PER_MSEC);
        else if (sec < 10)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " s", sec, usec % USEC_PER_SEC / 100000);
        else if (sec < 60)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " s", sec);
        else if (sec < 3600)
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " min %02" PRIu64 " s", sec / 60, sec % 60);
        else
                snprintf(buf, FORMAT_MAX, "%" PRIu64 " h %02" PRIu64 " min", sec / 3600, sec / 60 % 60);
        return buf;
}

const char *format_time(char buf[static FORMAT_MAX], uint64_t usec) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec == 0 || !localtime_r(&t, &tm) || strftime(buf, FORMAT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(buf, FORMAT_MAX, "-");
        return buf;
}

size_t format_width(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                if (((unsigned char) *s & 0xc0) != 0x80)
                        n++;
        return n;
}

typedef struct Cell {
        char *text;
        Color color;
} Cell;

enum {
        GAP = 2,                /* blanks between columns */
        TEXT_MIN = 24,          /* a column that is wider has a text, and may be wrapped to this */
        BELOW_INDENT = 4,
};

struct Table {
        size_t n_columns;
        bool *right;
        size_t *spare;          /* the n-th to be left out, from 1; 0: never */
        size_t n_spare;
        Cell *cells;            /* row after row; the first row is the header */
        size_t n_cells, n_allocated;
};

void table_free(Table *t) {
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t->right);
        free(t->spare);
        free(t);
}

int table_cell(Table *t, Color color, const char *text) {
        int r = vec_grow((void **) &t->cells, t->n_cells, &t->n_allocated, sizeof(Cell));
        if (r < 0)
                return r;

        char *copy = strdup(text && *text ? text : "-");
        if (!copy)
                return -ENOMEM;
        t->cells[t->n_cells++] = (Cell){ .text = copy, .color = color };
        return 0;
}

int table_cellf(Table *t, Color color, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = strfv(format, ap);
        va_end(ap);
        return text ? table_cell(t, color, text) : -ENOMEM;
}

Table *table_new(const char *const *headers, size_t n_columns) {
        _cleanup_table_ Table *t = calloc(1, sizeof(Table));
        if (!t)
                return NULL;

        t->n_columns = n_columns;
        t->right = calloc(n_columns, sizeof(bool));
        t->spare = calloc(n_columns, sizeof(size_t));
        if (!t->right || !t->spare)
                return NULL;
        for (size_t i = 0; i < n_columns; i++)
                if (table_cell(t, COLOR_DIM, headers[i]) < 0)
                        return NULL;
        return TAKE_PTR(t);
}

void table_align_right(Table *t, size_t column) {
        t->right[column] = true;
}

void table_spare(Table *t, size_t column) {
        t->spare[column] = ++t->n_spare;
}

static size_t column_width(const Table *t, size_t column, size_t first) {
        size_t widest = 0;

        for (size_t i = first + column; i < t->n_cells; i += t->n_columns) {
                size_t w = format_width(t->cells[i].text);
                if (w > widest)
                        widest = w;
        }
        return widest;
}

/* How a table is laid out. */
typedef struct Layout {
        size_t left_out;        /* spare columns */
        bool below;             /* the last column's text stands below its row */
        bool blocks;            /* a line a cell */
} Layout;

static bool is_shown(const Table *t, size_t column, const Layout *l) {
        return t->spare[column] == 0 || t->spare[column] > l->left_out;
}

/* Of all columns but the last. */
static size_t width_before_last(const Table *t, size_t first, const Layout *l) {
        size_t width = 0;

        for (size_t c = 0; c + 1 < t->n_columns; c++)
                if (is_shown(t, c, l))
                        width += column_width(t, c, first) + GAP;
        return width;
}

static Layout find_layout(const Table *t, size_t first, size_t indent) {
        size_t last = column_width(t, t->n_columns - 1, first), room = output.columns > indent ? output.columns - indent : 0;
        bool is_text = last > TEXT_MIN && !t->right[t->n_columns - 1];
        Layout l = { 0 };

        if (output.columns == 0)
                return l;
        for (;; l.left_out++) {
                size_t before = width_before_last(t, first, &l);
                if (before + last <= room || (is_text && before + TEXT_MIN <= room))
                        return l;
                if (is_text && before - GAP <= room)
                        return (Layout){ .left_out = l.left_out, .below = true };
                /* What is left out has to be said. */
                if (l.left_out == t->n_spare || !output.legend)
                        return (Layout){ .blocks = true };
        }
}

static void print_cell(const Cell *cell) {
        fputs(color_start(cell->color), stdout);
        fputs(cell->text, stdout);
        fputs(cell->color ? color_end() : "", stdout);
}

static void print_row(const Table *t, size_t row, size_t first, const Layout *l, const char *indent) {
        size_t n = t->n_columns - l->below;

        fputs(indent, stdout);
        for (size_t c = 0; c < n; c++) {
                const Cell *cell = &t->cells[row + c];
                int fill = (int) (column_width(t, c, first) - format_width(cell->text));
                bool last = c + 1 == n;

                if (!is_shown(t, c, l))
                        continue;
                /* No blanks behind the last column: they wrap on a narrow terminal and end up in golden files. */
                printf("%*s", t->right[c] ? fill : 0, "");
                print_cell(cell);
                printf("%*s%s", t->right[c] || last ? 0 : fill, "", last ? "\n" : "  ");
        }
        if (!l->below)
                return;
        printf("%s%*s", indent, BELOW_INDENT, "");
        print_cell(&t->cells[row + n]);
        putchar('\n');
}

static void print_blocks(const Table *t, const char *indent) {
        size_t widest = 0;

        for (size_t c = 0; c < t->n_columns; c++) {
                size_t width = format_width(t->cells[c].text);
                widest = width > widest ? width : widest;
        }
        for (size_t row = t->n_columns; row + t->n_columns <= t->n_cells; row += t->n_columns) {
                if (row > t->n_columns)
                        putchar('\n');
                for (size_t c = 0; c < t->n_columns; c++) {
                        fputs(indent, stdout);
                        print_cell(&t->cells[c]);
                        printf("%*s", (int) (widest - format_width(t->cells[c].text) + GAP), "");
                        print_cell(&t->cells[row + c]);
                        putchar('\n');
                }
        }
}

static void tell_left_out(const Table *t, const Layout *l, const char *indent) {
        _cleanup_free_ char *names = NULL;

        for (size_t c = 0; c < t->n_columns; c++)
                if (!is_shown(t, c, l))
                        (void) text_add(&names, ", ", "%s", t->cells[c].text);
        if (names)
                printf("%s(no room for: %s)\n", indent, names);
}

void table_print(const Table *t, const char *indent) {
        size_t first = output.legend ? 0 : t->n_columns;
        Layout l = find_layout(t, first, strlen(indent));

        if (l.blocks) {
                print_blocks(t, indent);
                return;
        }
        for (size_t i = first; i + t->n_columns <= t->n_cells; i += t->n_columns)
                print_row(t, i, first, &l, indent);
        tell_left_out(t, &l, indent);
}
