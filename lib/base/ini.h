/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Files of [Section] and KEY=VALUE lines; comments begin with # or ;. */
typedef struct IniLine {
        unsigned number;
        const char *section;    /* with its brackets; NULL before the first */
        const char *key;        /* NULL: the section begins here */
        const char *value;      /* NULL: there was no '=', key is the whole line */
} IniLine;

/* What is wrong with the line, newly allocated, or NULL when it was taken. */
typedef char *(*ini_take_t)(const IniLine *line, void *userdata);

/* Hands over every line. What is wrong with one goes to `warnings` as "FILE:LINE: ..." and does not keep the next from being
 * read. Never fails but for -ENOMEM. */
int ini_parse(const char *file, const char *text, ini_take_t take, void *userdata, json_object *warnings);

/* Without the blanks around it; works in place. */
char *strip(char *s);
