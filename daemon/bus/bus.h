/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* The bus listens to the manager and its removals, and asks them for what callers want. Freed before the manager, of which nothing is to be
 * heard any more then; what was told is flushed. */
int bus_new(Manager *manager, Bus **ret);
void bus_free(Bus *b); /* NULL is fine */
DEFINE_CLEANUP_FUNC(Bus, bus_free)

/* System bus, root's own socket and everybody's. Fails, with a line in the journal, where another daemon is there already: it must not have its
 * removals resumed by this one. */
int bus_open(Bus *b);
