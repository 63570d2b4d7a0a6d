/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* What an unprivileged user can do to those who look at the whole machine. Each makes its trouble, says "ready" and goes on for ever; a
 * negative errno: it could not. */

int siege_namespaces(unsigned n);            /* so many mount namespaces that only descriptors keep */
int siege_sources(unsigned n);               /* one namespace with so many mounts, each with a source of 4,000 bytes */
int siege_binds(unsigned n, const char *from, bool again); /* one namespace with so many bind mounts of that folder, or of one of the root file
                                              * system; again: each that goes is made anew */
int siege_crowd(unsigned n, unsigned life_msec); /* so many processes that come and go; life 0: that stay */
int siege_bus(unsigned connections, const char *methods); /* calls of every method in the file, and nothing is ever read; a line each:
                                              * "path interface member signature text", "-" for an empty one */

/* The other side: tells when the button's press was recorded and when the hot-plug service lost its driver. */
int siege_watch(const char *service);
