/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The system's own tools (systemctl, lvchange, mdadm, ...), where they know more than we should: run without a shell, with an
 * environment of nothing but PATH and the C locale, standard input empty. */
typedef struct CommandOptions {
        const char *what;       /* what it changes, for a person: told before it starts (apart.h), and it dies with us; NULL: it only looks */
        uint64_t timeout_usec;
        bool (*cancelled)(void *userdata);      /* asked several times a second; may be NULL */
        void *userdata;
} CommandOptions;

typedef struct CommandResult {
        int status;             /* the exit status: 0 to 255 */
        char *out, *err;        /* what it said (the first megabyte), without the newlines at the end; never NULL */
} CommandResult;

void command_result_done(CommandResult *r);

/* Is there a program of that name where command_run() would look for it? */
bool command_exists(const char *name);

/* Runs argv[0] (NULL-terminated; without a slash it is looked for in the system's folders for programs) to its end. 0 when it
 * came to an end by itself, whatever its exit status; -ENOENT when there is no such program; -ECHILD when a signal ended it;
 * -ETIME or -ECANCELED when we ended it, or did not begin it (base/clock.h); -EINPROGRESS when it should have ended and does not: it is left behind. */
int command_run(const char *const *argv, const CommandOptions *options, CommandResult *ret);
