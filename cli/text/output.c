/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "base/util.h"
#include "output.h"

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

ExitCode fail(ExitCode code, const char *error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *message = strfv(format, ap);
        va_end(ap);
        if (message)
                utf8_make_printable(message);

        /* What was printed so far belongs before the error, also when both end up in one file. */
        fflush(stdout);
        if (output.json == JSON_OFF) {
                fprintf(stderr, "safe-remove: %s\n", message ?: "out of memory");
                return code;
        }
        _cleanup_json_ json_object *o = json_object_new_object();
        json_set_str(o, "schema", "safe-remove/error/1");
        json_set_str(o, "code", exit_code_name(code));
        json_set_u64(o, "exit", code);
        json_set_str(o, "error", error);
        json_set_str(o, "message", message);
        print_json(o);
        return code;
}

ExitCode fail_memory(void) {
        return fail(CODE_FAILED, NULL, "out of memory");
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
