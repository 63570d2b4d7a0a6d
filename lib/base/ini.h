/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Files of [Section] and KEY=VALUE lines; comments begin with # or ;. A byte order mark at the beginning and returns before the line ends are passed
 * over: other systems' editors leave them. */
typedef struct IniLine {
        unsigned number;
        const char *section;    /* with its brackets; NULL before the first */
        const char *key;        /* NULL: the section begins here */
        const char *value;      /* NULL: there was no '=', key is the whole line */
        const char *unreadable; /* why nobody can tell what stands there; then there is neither key nor value. NULL: it can be read */
} IniLine;

/* What is wrong with the line, newly allocated, or NULL when it was taken. */
typedef char *(*ini_take_t)(const IniLine *line, void *userdata);

/* Hands over every line of `length` bytes. What is wrong with one goes to `warnings` as "FILE:LINE: ..." and does not keep the next from being
 * read; of a file in which very many are wrong the first ones, and how many more. Never fails but for -ENOMEM. */
int ini_parse(const char *file, const char *text, size_t length, ini_take_t take, void *userdata, json_object *warnings);

/* For the end of what is said about an unknown word: "; did you mean GraceSec?" (text_nearest() has the arguments), or "". Newly allocated. */
char *ini_hint(const char *word, const void *rows, size_t n, size_t size);

enum {
        CONFIG_FOLDERS_MAX = 8,
};

/* The folders that have settings, rules and hooks in them, NULL-terminated, those that win last: /usr/lib/safe-remove, /run/safe-remove and
 * /etc/safe-remove. Static, until the next call. */
const char *const *config_folders(void);

/* Without the blanks around it; works in place. */
char *strip(char *s);
