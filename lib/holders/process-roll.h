/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <limits.h>

#include "base/util.h"

/* Every process of the machine once, and then again those that came meanwhile. The kernel lists /proc in one go, so who is
 * short-lived is gone when their turn comes, and who took something over from one that ended is not in the list
 * (fs/proc/base.c:proc_pid_readdir). Zeroed before use; not for two threads at a time. */
typedef struct ProcessRoll {
        DIR *proc;
        unsigned long *called;  /* a bit for each process number */
        size_t n_words;
        unsigned passes;        /* that are over */
        size_t n_new;           /* in this one */
} ProcessRoll;

int process_roll_begin(ProcessRoll *r);
void process_roll_done(ProcessRoll *r);

/* 1 with the name of a folder of /proc (a process number) that was not called yet; 0: nobody is left; or a negative errno. */
int process_roll_next(ProcessRoll *r, char ret[static NAME_MAX + 1]);

/* The same for who has to wait for others between two passes. 0: this pass is over. */
int process_roll_next_in_pass(ProcessRoll *r, char ret[static NAME_MAX + 1]);

/* Begins the next pass, where it is worth it: somebody new was found by the last one, and there were not too many yet, as there is
 * always somebody new on a busy machine. */
bool process_roll_again(ProcessRoll *r);
