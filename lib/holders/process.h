/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/process/process-stat.h"

/* What /proc/PID says about a process, through a descriptor of that folder. */
int process_start_time(int dirfd, uint64_t *ret);
int process_uid(int dirfd, uint32_t *ret);
/* The user who began it, and whether /proc hides from him what it does (a program with rights of its own, or one that is not to be looked
 * into: what is in its folder is another user's then, fs/proc/base.c:task_dump_owner). */
int process_user(int dirfd, uint32_t *ret_uid, bool *ret_hidden);
int process_comm(int dirfd, char **ret);
int process_exe(int dirfd, char **ret);   /* *ret is NULL where nobody may know it */
int process_unit(int dirfd, char **ret);  /* *ret is NULL outside of every unit */

/* Both out of one look at /proc/PID/cgroup: the path in the unified hierarchy, NULL where there is none. */
int process_unit_and_cgroup(int dirfd, char **ret_unit, char **ret_cgroup);

/* Has it any beside the first? */
bool process_has_threads(int dirfd);

/* A first thread that has ended shows nothing of what the others share: no mappings, files, folders, namespaces, program. 1: *ret is the
 * folder of one that lives, /proc/TID, which has all that a process's has; the start time in it is the thread's own. 0: the first one lives,
 * or nobody does. -ENOMEM. */
int process_open_living(int dirfd, int *ret);

/* Where to read what all threads share: that folder, or the process's own where there is none. */
static inline int process_shared(int dirfd, int living) {
        return living >= 0 ? living : dirfd;
}

/* dirfd: /proc/PID. -ENOENT or -ESRCH when it has ended, -EBADMSG on rubbish. */
int process_stat(int dirfd, ProcessStat *ret);

/* 1 when it takes no notice of the signal: neither a handler nor the kernel's own way. */
int process_ignores(int dirfd, int signal);

/* 1 when the signal is left to the kernel's own way, neither caught, ignored nor blocked by the main thread. */
int process_takes(int dirfd, int signal);

/* 1 when the signal waits for the process, or for its main thread: it takes effect when that comes out of the kernel. */
int process_has_pending(int dirfd, int signal);

/* Is any of its threads where no signal gets through ('D')? Of who has made more of them than anybody needs some are asked. */
bool process_hangs(int pid);
bool thread_hangs(int pid, int tid);
char thread_state(int pid, int tid); /* as in /proc/PID/stat; 0: it has ended */

/* In what states its threads are; those that have ended count nowhere. */
typedef struct ThreadStates {
        size_t stopped;         /* by a signal ('T') */
        size_t traced;          /* by their tracer, or by a signal while they have one ('t') */
        size_t hanging;         /* where no signal gets through ('D') */
        size_t running;         /* all others, also who waits */
} ThreadStates;

/* dirfd: /proc/PID. -ESRCH when none of them lives. */
int process_threads(int dirfd, ThreadStates *ret);

/* 1 when one of its threads stands still, by a signal or for its tracer. *ret_turns: how often all of them together have left a processor: at two looks
 * with the same number none has run in between. (Who is traced call by call stands at many looks, and gets on.) dirfd: /proc/PID. */
int process_stands(int dirfd, uint64_t *ret_turns);

/* Signals one of its threads that runs. The kernel gives a process's signal to the first thread, also where that one hangs, and then to
 * nobody else (kernel/signal.c:complete_signal). 0 also when none runs. */
int process_signal_running(int dirfd, int pid, int signal);

/* The process that traces it, or one of its threads; 0 when nobody does; a negative errno. dirfd: /proc/PID. */
int process_tracer(int dirfd);

/* The same of a thread that stands still for its tracer ('t'). */
int process_kept_by(int dirfd);

/* /proc/PID and a descriptor of the process, of the one that began at start_time (jiffies) and of no later one with its number.
 * -ESRCH: all of it has ended (a zombie). Either pointer may be NULL. */
int process_open(int pid, uint64_t start_time, int *ret_dirfd, int *ret_pidfd);

/* The command, to be pasted, with which a person ends a process: by its unit where it has one (unit may be NULL). Newly allocated. */
char *process_end_command(const char *unit, int pid);

/* The parsers behind them. */
/* The number behind this line's key ("\nUid:\t"), the first of several. -EBADMSG without one, or when it is larger than max. */
int status_number(const char *status, const char *key, uint64_t max, uint64_t *ret);
int status_uid(const char *status, uint32_t *ret);
int status_ignores(const char *status, int signal);
int status_takes(const char *status, int signal);
int status_tracer(const char *status);
int cgroup_unit(const char *cgroup, char **ret);
int cgroup_unified(const char *cgroup, char **ret);
