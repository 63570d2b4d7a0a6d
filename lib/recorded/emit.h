/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

typedef struct Names Names;

/* A recording that is being written, entry by entry; each path once, the first that comes. */
typedef struct Emit {
        FILE *out;
        Names *names;           /* what made-up names stand for (names.h); NULL: the real ones are kept */
        void *seen;             /* tsearch(3)'s */
        json_object *missing;   /* {"path", "why"} of what is there and could not be read */
        int error;              /* the first one: of memory, or of writing */
} Emit;

void emit_done(Emit *e);

void emit_folder(Emit *e, const char *path);
void emit_link(Emit *e, const char *path);
void emit_text(Emit *e, const char *path, const char *text, size_t length);
void emit_gone(Emit *e, const char *path);

/* A file of the kernel's, as long as it is no longer than that (0: as an attribute may be). One that nobody may read by its mode is left out; one that
 * we may not is missing. Returns whether it was recorded. */
bool emit_file(Emit *e, const char *path, size_t max);

bool emit_has(const Emit *e, const char *path);
void emit_missing(Emit *e, const char *path, const char *why);
