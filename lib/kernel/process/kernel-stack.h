/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Where a process waits in the kernel: the names of the functions of its kernel stack, the innermost first, "a, b, c"; of its wait channel alone where
 * the stack may not be read. Newly allocated; NULL: nobody knows. Asked in a process of its own, half a second at most. */
char *kernel_stack(int pid);

/* The same of the text of /proc/PID/stack; what is no name of a function is left out. NULL where nothing is left. */
char *kernel_stack_names(const char *text);
