/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Made-up values in the place of those that a machine's owner may not want to show: the same for the same value throughout a recording, and of the same
 * form, so that plans are the same but for them. safe-remove(8) has the list ("snapshot"). */
typedef struct Names Names;

Names *names_new(void);
void names_free(Names *n);
DEFINE_CLEANUP_FUNC(Names, names_free)

/* A path or the target of a link; and the text of the file of that path. Newly allocated; NULL when out of memory. */
char *names_path(Names *n, const char *path);
char *names_text(Names *n, const char *path, const char *text);
