/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "base/util.h"
#include "output.h"
#include "pager.h"
#include "wrap.h"

enum {
        COLUMNS_DEFAULT = 80,
        COLUMNS_MIN = 20,
        COLUMNS_MAX = 10000,
};

Output output = { .legend = true };

static const char *const color_codes[_COLOR_MAX] = {
        [COLOR_NONE] = "",
        [COLOR_BOLD] = "\033[1m",
        [COLOR_DIM] = "\033[2m",
        [COLOR_GOOD] = "\033[1;32m",
        [COLOR_WARN] = "\033[1;33m",
        [COLOR_BAD] = "\033[1;31m",
};

const char *color_start(Color color) {
        return output.color ? color_codes[color] : "";
}

const char *color_end(void) {
        return output.color ? "\033[0m" : "";
}

void print_colored(Color color, const char *format, ...) {
        va_list ap;

        fputs(color_start(color), stdout);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        if (color != COLOR_NONE)
                fputs(color_end(), stdout);
}

size_t terminal_columns(void) {
        const char *columns = getenv("COLUMNS");
        struct winsize w = { 0 };
        uint64_t n;

        if (!columns || parse_u64(columns, &n) < 0)
                n = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : COLUMNS_DEFAULT;
        return n < COLUMNS_MIN ? COLUMNS_MIN : n > COLUMNS_MAX ? COLUMNS_MAX : (size_t) n;
}

size_t terminal_rows(void) {
        struct winsize w = { 0 };

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_row : 0;
}

static bool is_longer_than_terminal(const char *text) {
        size_t rows = terminal_rows(), lines = 1; /* the prompt that follows */

        for (const char *p = text; (p = strchr(p, '\n')); p++)
                lines++;
        return rows > 0 && lines > rows;
}

static struct {
        FILE *terminal;         /* the real standard output, while another one stands in for it */
        char *text;
        size_t size;
} kept;

void output_keep(void) {
        FILE *f = kept.terminal || output.columns == 0 ? NULL : open_memstream(&kept.text, &kept.size);

        if (!f)
                return;
        kept.terminal = stdout;
        stdout = f;
}

char *output_take(void) {
        if (!kept.terminal)
                return NULL;
        fclose(stdout);
        stdout = TAKE_PTR(kept.terminal);

        _cleanup_free_ char *text = TAKE_PTR(kept.text);
        return text ? text_wrap(text, output.columns) : NULL;
}

void output_release(void) {
        if (!kept.terminal)
                return;

        _cleanup_free_ char *wrapped = output_take();
        if (wrapped && (!output.pager || !is_longer_than_terminal(wrapped) || !pager_show(wrapped, output.utf8)))
                fputs(wrapped, stdout);
}

const char *output_as_it_is(void) {
        return kept.terminal ? TEXT_AS_IT_IS : "";
}

/* Standard output may be kept back, and is wrapped later then. */
static size_t columns_of(FILE *f) {
        int fd = fileno(f);

        return fd >= 0 && isatty(fd) ? terminal_columns() : 0;
}

void output_line(FILE *f, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = strfv(format, ap);
        va_end(ap);
        _cleanup_free_ char *wrapped = text ? text_wrap(text, columns_of(f)) : NULL;
        fputs(wrapped ?: text ?: "", f);
}

static struct {
        FILE *out;              /* standard output, while remarks do not go there; NULL: they do */
        char *text;
        size_t size;
} remarks;

void output_remarks_begin(void) {
        FILE *f = output.legend ? NULL : open_memstream(&remarks.text, &remarks.size);

        if (!f)
                return;
        remarks.out = stdout;
        stdout = f;
}

void output_remarks_end(void) {
        if (!remarks.out)
                return;
        fclose(stdout);
        stdout = TAKE_PTR(remarks.out);

        _cleanup_free_ char *text = TAKE_PTR(remarks.text);
        output_line(stderr, "%s", text ?: "");
}

static ExitCode tell(ExitCode code, const char *error, const char *hint, char *message) {
        if (message)
                utf8_make_printable(message);

        /* What was printed so far belongs before the error, also when both end up in one file. */
        output_release();
        fflush(stdout);
        if (output.json == JSON_OFF) {
                _cleanup_free_ char *line = strf("safe-remove: %s%s%s", message ?: "out of memory", hint ? "; " : "", hint ?: "");
                output_line(stderr, "%s\n", line ?: "safe-remove: out of memory");
                return code;
        }
        _cleanup_json_ json_object *o = json_object_new_object();
        json_set_str(o, "schema", "safe-remove/error/1");
        json_set_str(o, "code", exit_code_name(code));
        json_set_u64(o, "exit", code);
        json_set_str(o, "error", error);
        json_set_str(o, "message", message);
        json_set_str(o, "hint", hint);
        print_json(o);
        return code;
}

ExitCode fail(ExitCode code, const char *error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *message = strfv(format, ap);
        va_end(ap);
        return tell(code, error, NULL, message);
}

ExitCode fail_with_hint(ExitCode code, const char *error, const char *hint, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *message = strfv(format, ap);
        va_end(ap);
        /* A sentence that goes on. */
        size_t n = message ? strlen(message) : 0;
        if (hint && n > 0 && message[n - 1] == '.')
                message[n - 1] = '\0';
        return tell(code, error, hint, message);
}

ExitCode fail_memory(void) {
        return fail(CODE_FAILED, NULL, "out of memory");
}

ExitCode fail_file(const char *path, int r) {
        return fail_with_hint(CODE_FAILED, NULL, "name another file: --output=FILE", "%s: %s", path, r == -EMEDIUMTYPE ? "it is there, and is no file" : strerror(-r));
}

/* Recursion is bounded by the depth that json_parse() accepts. */
void json_make_printable(json_object *o) {
        if (json_object_is_type(o, json_type_string)) {
                const char *text = json_object_get_string(o);
                if (utf8_is_printable(text))
                        return;
                _cleanup_free_ char *copy = strdup(text);
                if (copy)
                        utf8_make_printable(copy);
                json_object_set_string(o, copy ?: "?");
        } else if (json_object_is_type(o, json_type_array)) {
                for (size_t i = 0; i < json_len(o); i++)
                        json_make_printable(json_at(o, i));
        } else if (json_object_is_type(o, json_type_object)) {
                json_object_object_foreach(o, key, value) {
                        (void) key;
                        json_make_printable(value);
                }
        }
}

void print_json(json_object *o) {
        puts((output.json == JSON_PRETTY ? json_text_pretty(o) : json_text(o)) ?: "null");
}

/* The folder may be anybody's: what somebody has put there beforehand is not written into, and a device or a link is
 * not taken for a file. */
int output_write_file(const char *path, const char *text, mode_t mode) {
        _cleanup_free_ char *temp = strf("%s.%d.new", path, getpid());
        struct stat st;

        if (!temp)
                return -ENOMEM;
        if (lstat(path, &st) >= 0 && !S_ISREG(st.st_mode))
                return -EMEDIUMTYPE;
        _cleanup_close_ int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        int r = write_all(fd, text, strlen(text));
        if (r >= 0 && fchmod(fd, mode) < 0)
                r = -errno;
        if (r >= 0 && rename(temp, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(temp);
        return r;
}

int output_check_folder(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t) (slash - path)) : strdup(".");

        return !folder ? -ENOMEM : access(folder, W_OK | X_OK) < 0 ? -errno : 0;
}
