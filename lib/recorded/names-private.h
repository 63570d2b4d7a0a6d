/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "recorded/dictionary.h"

/* names.c is about paths, names-mount.c about mounts, names-records.c about removals, names-text.c about what else is in a file. */

typedef struct Names {
        Dictionary dictionary;
} Names;

/* glob(7)'s patterns, after the last one NULL. */
bool names_match(const char *word, const char *const *patterns);

/* Appends a made-up value; NULL is -ENOMEM. */
int names_add_made(char **text, const char *made);

/* Appends a text with its UUIDs, qualified names, long hexadecimal numbers and addresses of networks made up. */
int names_add_text(Names *n, char **text, const char *from);

bool names_is_uuid(const char *word);
bool names_is_qualified(const char *word);

/* A word that is nothing but a key or an id: 16 hexadecimal digits and more. */
bool names_is_secret(const char *word);

/* The name of a device-mapper's device. */
char *names_mapping(Names *n, const char *name);

/* A line of a removal's journal, and its plan: who asked, and what was done when, without words. */
int names_add_journal(Names *n, char **out, char *line);
int names_add_plan(Names *n, char **out, const char *text);

/* A line of mountinfo, which it takes to pieces, with its end. */
int names_add_mount(Names *n, char **out, char *line);
