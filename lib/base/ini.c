/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "base/ini.h"
#include "config.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* U+FEFF */

enum {
        LINE_BYTES_MAX = 4096,
        WARNINGS_MAX = 50,     /* of a file; all of them stand in each plan */
};

char *strip(char *s) {
        while (isspace((unsigned char) *s))
                s++;
        for (char *e = s + strlen(s); e > s && isspace((unsigned char) e[-1]);)
                *--e = '\0';
        return s;
}

/* `text` stays as long as lines point to it: the section of those that follow. */
static char *line_take(char *text, IniLine *line, ini_take_t take, void *userdata) {
        text = strip(text);
        if (!*text || *text == '#' || *text == ';')
                return NULL;

        line->key = line->value = NULL;
        if (*text == '[') {
                line->section = text;
                return take(line, userdata);
        }

        char *equals = strchr(text, '=');
        if (equals) {
                *equals = '\0';
                line->value = strip(equals + 1);
        }
        line->key = strip(text);
        return take(line, userdata);
}

static char *line_check(char *text, size_t length, IniLine *line, ini_take_t take, void *userdata) {
        _cleanup_free_ char *why = NULL;

        if (memchr(text, '\0', length))
                why = strdup("there is a NUL byte in it");
        else if (length > LINE_BYTES_MAX && *text != '#' && *text != ';')
                why = strf("it is longer than %d bytes", LINE_BYTES_MAX);
        else
                return line_take(text, line, take, userdata);
        IniLine unreadable = { .number = line->number, .section = line->section, .unreadable = why };
        return why ? take(&unreadable, userdata) : NULL;
}

int ini_parse(const char *file, const char *text, size_t length, ini_take_t take, void *userdata, json_object *warnings) {
        size_t mark = length >= strlen(BYTE_ORDER_MARK) && memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0 ? strlen(BYTE_ORDER_MARK) : 0;
        _cleanup_free_ char *copy = malloc(length + 1);
        unsigned n_wrong = 0;
        IniLine line = { 0 };

        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, length);
        copy[length] = '\0';

        for (char *at = copy + mark, *next; at; at = next) {
                size_t left = (size_t) (copy + length - at);
                char *end = memchr(at, '\n', left);
                next = end ? end + 1 : NULL;
                if (end)
                        *end = '\0';
                line.number++;
                _cleanup_free_ char *wrong = line_check(at, end ? (size_t) (end - at) : left, &line, take, userdata);
                if (wrong && ++n_wrong <= WARNINGS_MAX)
                        json_append_strf(warnings, "%s:%u: %s", file, line.number, wrong);
        }
        if (n_wrong > WARNINGS_MAX)
                json_append_strf(warnings, "%s: %u lines more cannot be used", file, n_wrong - WARNINGS_MAX);
        return 0;
}

char *ini_hint(const char *word, const void *rows, size_t n, size_t size) {
        const char *near = text_nearest(word, rows, n, size);

        return near ? strf("; did you mean %s?", near) : strdup("");
}

const char *const *config_folders(void) {
        static const char *folders[CONFIG_FOLDERS_MAX + 1];
        static char copy[4096];
        char *rest = copy;
        size_t n = 0;

        /* Tests bring folders of their own. */
        (void) snprintf(copy, sizeof(copy), "%s", getenv("SAFE_REMOVE_CONFIG_DIRS") ?: CONFIG_VENDOR_DIR ":/run/safe-remove:" CONFIG_DIR);
        for (char *folder; n < CONFIG_FOLDERS_MAX && (folder = strsep(&rest, ":"));)
                folders[n++] = folder;
        folders[n] = NULL;
        return folders;
}
