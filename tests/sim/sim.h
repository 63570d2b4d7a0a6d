/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A kernel that is simulated below the system calls. The machine is a recorded one (tests/roots), unpacked into memory and entered; what is read of
 * it is read from there, by us and by the libraries. A write to one of its attributes comes here instead, and does to the tree what the kernel would
 * have done to sysfs. All that the model remembers stands in that tree too (STORE), so that it is one for all processes of the machine, and outlives
 * them. */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STORE "/sys/.sim"

/* tree.c: what happens goes to STORE "/trace", a line each. After sim_die() the history proves nothing. */
void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What a text of the machine's own begins with; 0 where that is no number. */
int sim_number(const char *text);
_Noreturn void sim_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* tree.c: the machine's files. Paths are those that the machine shows, without links in them. All of these end the process where memory is out or the
 * tree is not as the model left it: a simulation that has gone wrong proves nothing. */
bool tree_has(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tree_put(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Without the newline; "" where there is none. */
void tree_get(char *ret, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
uint64_t tree_number(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tree_link(const char *target, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Where a link leads; false: nowhere. */
bool tree_resolve(char ret[static PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With all that is in it, and the links that lead into it. */
void tree_remove(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Away from where it is seen, with all links that lead into it, and back. */
void tree_hide(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool tree_show(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* kernel.c: the value is written to the attribute; 0 or a negative errno. What the next write is to leave out of its effects (model.h, Half) is said
 * before it. */
int kernel_attr_write(const char *path, const char *value);
void kernel_set_half(unsigned mask);
/* Is such an attribute there, of which the recording says nothing since it cannot be read? */
bool kernel_has_attr(const char *path);

/* kernel-slot.c: a byte of a function's configuration space, open as fd, is written. */
void kernel_register_write(const char *path, int fd, off_t at, uint8_t value);
/* kernel-lights.c. Notes "BROKEN" where a slot's lights say what is not true. */
void kernel_check_lights(void);

/* interpose-log.c: a record of the kernel's log. */
void kernel_log(unsigned priority, const char *text);

/* events.c: somebody is about to write to the machine. */
void note_touched(void);

/* actor.c: what STORE "/actors/NUMBER" says is done. interpose.c: by a process that is not in the model. */
void actor_acts(int64_t number);
void actor_acts_now(int64_t number);
