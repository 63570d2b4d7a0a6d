/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* From here on this process and those it starts see the recorded machine and nothing else of this one but its programs, libraries and device nodes like
 * /dev/null, which cannot be written. All of it is in memory, in namespaces of our own, and goes with the last of these processes, however that
 * ends. Needs no privileges where user namespaces are allowed. Negative errno, with *ret_error in words for people (NULL: out of memory). -EUSERS: the
 * namespaces are not allowed. */
int sandbox_enter(const char *machine, char **ret_error);

/* The same, but all else of this machine stays as it is, and can be written as before; and there is no end to how much is
 * recorded: for tests, whose recordings are their own, and whose programs and files are anywhere. */
int sandbox_lay_over(const char *machine, char **ret_error);

/* There, a folder for what lives as long as the boot of the recorded machine, not of this one. */
#define SANDBOX_RUN "/proc/.run"

/* For a child, before it becomes a program of the sandbox: the threads of its own process are to be seen, which sanitizers look for; no other process
 * is there but the recorded ones. */
int sandbox_show_self(void);
void sandbox_forget(pid_t pid);
