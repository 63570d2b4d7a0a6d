/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <limits.h>

#include "base/id-map.h"
#include "holders/look-gaps.h"

/* Every process of the machine once, and then again those that came meanwhile. The kernel lists /proc in one go, so who is
 * short-lived is gone when their turn comes, and who took something over from one that ended is not in the list
 * (fs/proc/base.c:proc_pid_readdir).
 *
 * Anybody can have as many processes as the kernel allows, each with so much that a look at it takes long. So root's come first, and then
 * always one of the user whose processes took the least time so far: whoever has too many keeps the look from his own ones alone.
 * Zeroed before use; not for two threads at a time. */
typedef struct RollOwner {
        uint32_t uid;           /* who began it; of those in user namespaces who made the outermost one */
        uint64_t spent_usec;    /* never any of root's */
        size_t place;           /* in the heap of those with somebody left */
        int *pids;
        size_t n, next, n_allocated;
} RollOwner;

typedef struct ProcessRoll {
        DIR *proc;
        unsigned long *called;  /* a bit for each process number */
        size_t n_words;
        unsigned passes;        /* that are over */
        size_t n_new;           /* in this one */
        bool listed;            /* this one's processes are with their owners */
        RollOwner *owners;
        size_t n_owners, n_owners_allocated;
        IdMap by_key;           /* of the owners */
        size_t *heap;           /* of the owners, the next one first */
        size_t n_heap, n_heap_allocated;
        bool by_pidfd;          /* is asked whose a process is: these are processes, no recorded ones, and the kernel answers */
        bool has_sessions;      /* and in which session a process is says something: these are the numbers of the first process namespace */
        bool has_kthreadd;      /* and there is the thread that makes all of the kernel's own */
        uint64_t host_users;    /* kernel/process/user-ns.h */
        IdMap users;            /* other user namespaces, in `makers` */
        uint32_t *makers;
        size_t n_makers, n_makers_allocated;
        size_t turn;            /* whose process process_roll_next() called last, */
        uint64_t since;         /* and when; 0: nobody's */
} ProcessRoll;

int process_roll_begin(ProcessRoll *r);
void process_roll_done(ProcessRoll *r);

/* Before the first call: the process is not called at all. -ENOMEM. */
int process_roll_leave_out(ProcessRoll *r, size_t pid);

/* 1 with the name of a folder of /proc (a process number) that was not called yet; 0: nobody is left; or a negative errno. Takes what passes
 * until the next call for the time that the process took. */
int process_roll_next(ProcessRoll *r, char ret[static NAME_MAX + 1]);

/* The same for who has to wait for others between two passes. 0: this pass is over. *ret_owner: for process_roll_spent(). */
int process_roll_next_in_pass(ProcessRoll *r, char ret[static NAME_MAX + 1], size_t *ret_owner);

/* A process of that owner took so long. */
void process_roll_spent(ProcessRoll *r, size_t owner, uint64_t usec);

/* Whether this one is a thread of the kernel's that has no address space, and neither descriptors nor folders but those of kthreadd, who is called
 * himself. May wait as long as a look at the process. */
bool process_roll_shares_kthreadd(const ProcessRoll *r, int pid);

/* The time is over: notes how many were not called in this pass, and the user whose processes took most of it, where there is one beside root. */
void process_roll_over(const ProcessRoll *r, Gaps *gaps);

/* Begins the next pass, where it is worth it: somebody new was found by the last one, and there were not too many yet, as there is
 * always somebody new on a busy machine. */
bool process_roll_again(ProcessRoll *r);
