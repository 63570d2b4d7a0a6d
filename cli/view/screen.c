/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "cli/text/output.h"
#include "cli/text/wrap.h"
#include "screen.h"

/* ECMA-48 and what all terminals of today have of xterm: another page of the screen, lines that do not wrap (a character may be wider than we count
 * it), no cursor; and the way back. */
#define ENTER "\033[?1049h\033[?7l\033[?25l\033[H\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?7h\033[?1049l"

static int take_keys(Screen *s) {
        struct termios raw;

        if (!isatty(STDIN_FILENO))
                return 0;
        if (tcgetattr(STDIN_FILENO, &s->before) < 0)
                return -errno;
        raw = s->before;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
                return -errno;
        s->has_keys = true;
        return 0;
}

static int keep_errors(Screen *s) {
        _cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC), kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (null < 0 || kept < 0 || dup2(null, STDERR_FILENO) < 0)
                return -errno;
        s->error_fd = TAKE_FD(kept);
        return 0;
}

int screen_enter(Screen *s) {
        *s = (Screen) { .error_fd = -EBADF };
        int r = take_keys(s);
        if (r >= 0)
                r = keep_errors(s);
        s->entered = true; /* what was done of it is taken back */
        if (r >= 0) {
                fputs(ENTER, stdout);
                fflush(stdout);
        }
        return r;
}

void screen_leave(Screen *s) {
        if (!s->entered)
                return;
        s->entered = false;
        free(TAKE_PTR(s->shown));
        fputs(LEAVE, stdout);
        fflush(stdout);
        if (s->has_keys)
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
        if (s->error_fd >= 0) {
                (void) dup2(s->error_fd, STDERR_FILENO);
                (void) close(TAKE_FD(s->error_fd));
        }
}

/* Bytes of the color at s; 0: it is none. */
static size_t color_length(const char *s) {
        size_t n = startswith(s, "\033[") ? strlen("\033[") : 0;

        if (n > 0)
                n += strspn(s + n, "0123456789;");
        return n > 0 && s[n] == 'm' ? n + 1 : 0;
}

/* One character of a line: what is said of it on the screen. Returns how many bytes it takes in the line. */
static size_t put_character(FILE *f, const char *s, size_t n) {
        size_t color = color_length(s), length = utf8_length(s, n), control = utf8_control_length(s);

        if (color > 0 && color <= n) {
                fwrite(s, 1, color, f);
                return color;
        }
        if (length == 0 || control > 0 || (length > 1 && !output.utf8)) {
                fputc('?', f);
                return length > 0 ? length : 1;
        }
        fwrite(s, 1, length, f);
        return length;
}

static void put_line(FILE *f, const char *line, size_t n, size_t columns) {
        _cleanup_free_ char *copy = strndup(line, n);
        const char *more = output.utf8 ? "\u2026" : "...";
        size_t shown = copy ? text_clip(copy, columns) : 0;
        bool cut = copy && copy[shown];

        if (cut)
                shown = text_clip(copy, columns - (output.utf8 ? 1 : strlen("...")));
        /* What was there goes first: behind a line that takes all columns the cursor is still in the last one. */
        fputs("\033[K", f);
        for (size_t i = 0; i < shown;)
                i += put_character(f, copy + i, shown - i);
        fprintf(f, "%s%s", color_end(), cut ? more : "");
}

static char *make_frame(const char *text, size_t rows, size_t columns) {
        char *frame = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&frame, &size);

        if (!f)
                return NULL;
        fputs("\033[H", f);
        for (size_t row = 0; row < rows; row++) {
                size_t n = strcspn(text, "\n");
                fputs(row > 0 ? "\r\n" : "", f);
                put_line(f, text, n, columns);
                text += n + (text[n] == '\n');
        }
        if (fclose(f) == 0)
                return frame;
        free(frame);
        return NULL;
}

void screen_paint(Screen *s, const char *text, size_t rows, size_t columns) {
        _cleanup_free_ char *frame = make_frame(text, rows, columns);

        if (!frame || streq_ptr(frame, s->shown))
                return;
        fputs(frame, stdout);
        fflush(stdout);
        free(s->shown);
        s->shown = TAKE_PTR(frame);
}
