/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What may be done with a write that does not come back. A signal to the writing task ends the offlining of
 * memory (mm/memory_hotplug.c:offline_pages looks for pending signals); nothing ends a write to slot power,
 * unbind or commit: there the writing process is left behind and reported. */
typedef enum WriteKind {
        WRITE_ABANDONABLE,
        WRITE_INTERRUPTIBLE,
} WriteKind;

/* Asked several times a second while a write runs; true ends an interruptible write with -ECANCELED.
 * (An abandonable one goes on: its outcome is needed to know what to undo.) */
typedef bool (*write_cancelled_t)(void *userdata);

typedef struct WriteOptions {
        WriteKind kind;
        uint64_t timeout_usec;
        write_cancelled_t cancelled;
        void (*meanwhile)(void *userdata);      /* called once it is under way; NULL: nothing is to be done then */
        void *userdata;
} WriteOptions;

/* Writes `value` to the attribute `path` in another process (apart.h). 0 when the kernel accepted it, the kernel's
 * negative errno, -ETIME when the deadline passed and the writer was ended, -ECANCELED likewise, -EINPROGRESS when it was left
 * behind, whether it could not be ended or did not end. A stop signal that interrupts the write (offlining ends with EINTR at any) is no failure: once the writer
 * goes on it is made again. "Accepted" is not "done": read the kernel again. */
int kernel_write(const char *path, const char *value, const WriteOptions *options);
