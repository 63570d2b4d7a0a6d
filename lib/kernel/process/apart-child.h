/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The processes of apart.h, and what they run. */

/* Runs in such a process, which has no descriptors but what it opens itself. 0 or a negative errno; *ret_text, newly allocated,
 * is handed to the parent in either case when it is set. */
typedef int (*apart_work_t)(void *data, char **ret_text);

/* Our ends of the pipes to it. */
typedef struct ApartChild {
        int pid;                /* 0: it has answered, or ended */
        uint64_t start_time;    /* 0: nobody has asked */
        int answer, go;
} ApartChild;

#define APART_CHILD_NONE ((ApartChild) { .answer = -EBADF, .go = -EBADF })

void child_close(ApartChild *c);

/* The answer: this, then the text. One that ends closes its end of the pipe after it. */
typedef struct ApartAnswerHead {
        int error;
        size_t length;
} ApartAnswerHead;

/* A process that does one thing and ends. With a gate it begins at a byte from `go`, and does not where that is closed. 0 or a negative errno. */
int child_fork(apart_work_t work, void *data, bool interruptible, bool has_gate, ApartChild *ret);

/* A process that does one thing after the other, as long as each of them ends. It is made by a process that knows nothing of the machine yet
 * (ready.h). A copy of this process has none: its descriptors are others' there. */
typedef struct ApartHelper {
        pid_t owner;            /* whose it is, while it is kept; 0: there is none */
        ApartChild child;       /* pid 0: it is asked for */
} ApartHelper;

enum {
        HELPER_DATA_MAX = 8 * 1024,
};

/* From now on there can be some. 0 or a negative errno. */
int helpers_make_ready(void);

/* Asks for one that will be needed, where none is kept. */
void helper_ask(ApartHelper *h);

/* Takes it out to be told something. False: there is none. `other`: who may have been asked for before. */
bool helper_take(ApartHelper *h, ApartHelper *other, ApartChild *ret);

/* Has it do that, with a copy of `n` bytes of data. A negative errno: it has ended before. */
int helper_order(const ApartChild *c, apart_work_t work, const void *data, size_t n, bool interruptible);

/* Takes over one that has answered, for the next time. False: another one is kept already. */
bool helper_keep(ApartHelper *h, ApartChild *c);
