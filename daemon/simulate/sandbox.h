/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* From here on this process and those it starts see the recorded machine and nothing else of this one but its programs, libraries and device nodes like
 * /dev/null, which cannot be written. All of it is in memory, in namespaces of our own, and goes with the last of these processes, however that
 * ends. Needs no privileges where user namespaces are allowed. Negative errno, with *ret_error in words for people (NULL: out of memory). */
int sandbox_enter(const char *machine, char **ret_error);

/* For a child, before it becomes a program of the sandbox: the threads of its own process are to be seen, which sanitizers look for; no other process
 * is there but the recorded ones. */
int sandbox_show_self(void);
void sandbox_forget(pid_t pid);
