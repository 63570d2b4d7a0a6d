/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files that stand before the C library, among themselves. */

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The C library's own. */
#define REAL(name) ((typeof(&name)) dlsym(RTLD_NEXT, #name))

enum {
        FDS = 4096,
};

/* The model is at work: its own calls are the machine's, not those of a process of it. */
extern __thread bool interposed_inside;

/* interpose.c: one thread at a time, of whichever process. */
void model_enter(void);
void model_leave(void);
/* 0 or a negative errno, as a call answers it. */
int answered(int r);
/* A call that changes the machine, as an event: what the model answers, or a fault. */
int interposed_call(const char *what, int (*act)(void *userdata), void *userdata);
/* The same of one that the kernel does at once or not at all: a signal, another name. */
int interposed_call_at_once(const char *what, int (*act)(void *userdata), void *userdata);
/* All descriptors from this one on are closed. */
void interpose_forget(unsigned first);

/* interpose-records.c: files below the folders of state and of the boot. Where the descriptor leads there, its path; else NULL. */
const char *records_path(int fd, char buffer[static PATH_MAX]);
ssize_t records_write(int fd, const char *path, const void *buffer, size_t n);

/* interpose-log.c: /dev/kmsg. A descriptor for reading it from its beginning on. */
int log_open(void);
bool log_is(int fd);
void log_close(int fd);
ssize_t log_read(int fd, char *buffer, size_t size);
ssize_t log_write(const void *buffer, size_t n);

/* interpose-process.c: a process of the simulation, by the beginning of a path below /proc. */
bool process_is_own(const char *pid);

/* users/interpose-signals.c, of syscall(2): false where it is about none of the machine's processes. */
bool process_call(long number, const long args[static 6], long *ret);
