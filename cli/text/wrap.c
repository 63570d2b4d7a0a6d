/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"
#include "wrap.h"

enum {
        GAP = 2,                /* blanks that end a column */
        TEXT_MIN = 24,          /* columns that a text needs to be read with pleasure */
        HANG_MORE = 4,          /* of a line that has no columns */
        HELP_COLUMNS = 80,
};

/* Bytes of the escape sequence at s (ESC [ ... letter), which takes no room; 0: none. */
static size_t escape_length(const char *s) {
        size_t n = strlen("\033[");

        if (!startswith(s, "\033["))
                return 0;
        while (s[n] && !(s[n] >= '@' && s[n] <= '~'))
                n++;
        return s[n] ? n + 1 : n;
}

static bool is_tail(char c) {
        return ((unsigned char) c & 0xc0) == 0x80;
}

size_t text_clip(const char *s, size_t columns) {
        size_t i = 0, n = 0;

        while (s[i]) {
                size_t escape = escape_length(s + i);
                bool starts = escape == 0 && !is_tail(s[i]);
                if (starts && n == columns)
                        break;
                n += starts;
                i += escape > 0 ? escape : 1;
        }
        return i;
}

/* Columns of the n bytes at s. */
static size_t width_of(const char *s, size_t n) {
        size_t width = 0;

        for (size_t i = 0; i < n;) {
                size_t escape = escape_length(s + i);
                width += escape == 0 && !is_tail(s[i]);
                i += escape > 0 ? escape : 1;
        }
        return width;
}

/* Blanks at its beginning: on a narrow terminal fewer than it has, so that there is room for its text. */
static size_t leading_of(const char *line, size_t columns) {
        size_t leading = strspn(line, " ");

        return leading + TEXT_MIN <= columns ? leading : columns > TEXT_MIN ? columns - TEXT_MIN : 0;
}

/* Where the last column of the line begins: that is where the next line goes on. */
static size_t hang_of(const char *line, size_t n, size_t columns) {
        size_t leading = leading_of(line, columns), hang = leading + HANG_MORE;

        for (size_t i = leading; i + GAP < n; i++) {
                size_t blanks = line[i] == ' ' ? strspn(line + i, " ") : 0;
                if (blanks < GAP || i + blanks >= n)
                        continue;
                size_t column = width_of(line, i + blanks);
                if (column + TEXT_MIN <= columns)
                        hang = column;
                i += blanks - 1;
        }
        return hang + TEXT_MIN <= columns ? hang : leading;
}

static int wrap_line(FILE *f, const char *line, size_t n, size_t columns) {
        size_t hang, column = 0, i = 0;

        if (n > 0 && *line == *TEXT_AS_IT_IS)
                return fprintf(f, "%.*s", (int) (n - 1), line + 1);
        if (columns == 0 || width_of(line, n) <= columns)
                return fprintf(f, "%.*s", (int) n, line);

        size_t narrower = strspn(line, " ") - leading_of(line, columns);
        line += narrower;
        n -= narrower;
        hang = hang_of(line, n, columns);
        while (i < n) {
                size_t blanks = 0, word = 0;
                while (i + blanks < n && line[i + blanks] == ' ')
                        blanks++;
                while (i + blanks + word < n && line[i + blanks + word] != ' ')
                        word++;
                size_t width = width_of(line + i + blanks, word);
                /* A word that no line has room for stands alone: it may be an id. */
                if (column > hang && column + blanks + width > columns) {
                        fprintf(f, "\n%*s", (int) hang, "");
                        column = hang;
                        i += blanks;
                        blanks = 0;
                }
                fprintf(f, "%.*s", (int) (blanks + word), line + i);
                column += blanks + width;
                i += blanks + word;
        }
        return 0;
}

char *text_wrap(const char *text, size_t columns) {
        char *wrapped = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&wrapped, &size);

        if (!f)
                return NULL;
        while (*text) {
                size_t n = strcspn(text, "\n");
                wrap_line(f, text, n, columns);
                text += n;
                if (*text == '\n')
                        fputc(*text++, f);
        }
        if (fclose(f) == 0)
                return wrapped;
        free(wrapped);
        return NULL;
}

void text_print_words(const char *words, size_t column, size_t indent) {
        if (column >= indent) {
                putchar('\n');
                column = 0;
        }
        printf("%*s", (int) (indent - column), "");
        column = indent;
        while (*words) {
                size_t n = strcspn(words, " ");
                if (column > indent && column + 1 + n > HELP_COLUMNS) {
                        printf("\n%*s", (int) indent, "");
                        column = indent;
                }
                column += (size_t) printf("%s%.*s", column > indent ? " " : "", (int) n, words);
                words += n + strspn(words + n, " ");
        }
        putchar('\n');
}
