/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Undoes what the kernel does to paths in its tables: blanks, line ends and backslashes come as a backslash and three octal
 * digits (fs/seq_file.c:mangle_path). In place: it only gets shorter. */
void octal_unescape(char *s);
