/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "base/ini.h"

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

int ini_parse(const char *file, const char *text, ini_take_t take, void *userdata, json_object *warnings) {
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        IniLine line = { 0 };
        char *rest = copy;
        for (char *next; (next = strsep(&rest, "\n"));) {
                line.number++;
                _cleanup_free_ char *wrong = line_take(next, &line, take, userdata);
                if (wrong)
                        json_append_strf(warnings, "%s:%u: %s", file, line.number, wrong);
        }
        return 0;
}
