/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The simulated processes' own files among themselves. */

#include "model.h"

#define USERS STORE "/process" /* a folder for each number: what the history says of it, a file for each word */
#define NEVER UINT64_MAX
#define MSEC UINT64_C(1000000)

enum {
        TEXT = 4096,
        PROCESSES_MAX = 128,
};

/* process.c: what the history says of it, "" where it says nothing; of milliseconds: simulated nanoseconds, NEVER. */
void process_said(pid_t pid, const char *what, char ret[static TEXT]);
uint64_t process_said_time(pid_t pid, const char *what, uint64_t otherwise);
/* 'R', 'S', ... of its stat; and a mask of signals of its status. */
char process_state(pid_t pid);
void process_state_put(pid_t pid, char state);
bool process_is_pending(pid_t pid, int signal);
uint64_t process_mask(pid_t pid, const char *mask);
void process_pending_put(pid_t pid, int signal, bool is);
void process_empty_put(const char *format, pid_t pid);
void process_end(pid_t pid, const char *by);
/* Somebody with another number, as every process gets one. A child has what its parent has, and who is started opens what it says. */
void process_copy(pid_t from, pid_t parent);

/* signals.c: whether it stands still, by a signal or in its group's freezer. */
bool process_stands(pid_t pid);
/* What has been sent takes effect, as far as anything lets it. */
void process_act(pid_t pid);
int process_go_on(pid_t pid);

/* groups.c: control groups by their folders; "": in none. */
void group_of(pid_t pid, char ret[static TEXT]);
bool group_each(const char *group, bool (*is_it)(pid_t pid));
bool group_is_asked(const char *group);
void group_tell(const char *group);
void group_list(const char *group, pid_t pid, bool comes);

/* timers.c: a word of a process that happens later. */
void timer_add(pid_t pid, const char *what, uint64_t in);
