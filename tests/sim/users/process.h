/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The processes of the simulated machine: folders of its /proc, and what each of them does when it is told something. None of them runs: they change when
 * they are signalled, when their group is frozen, and when a time of theirs has come. All of these are called inside of the model. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

bool process_is(pid_t pid);
/* Makes its folder from what STORE "/process/PID" says of it (world.py). */
void process_start(pid_t pid);
/* 0 or a negative errno, as kill(2). */
int process_signal(pid_t pid, int signal);
/* A descriptor that can be read once the process has ended, or a negative errno; and whose it is, or 0. */
int process_pidfd(pid_t pid);
pid_t process_of_fd(int fd);
int process_group_freeze(const char *path, const char *value);
/* Somebody has listed /proc: who breeds has another child. */
void process_listed(void);
/* A file that they have open has another name. */
void process_files_follow(const char *from, const char *to);
/* Uses anybody that file of /dev? Its number, or 0. */
pid_t process_using(const char *node);
/* The same of anything in a folder, and of the folder as somebody's own. */
pid_t process_within(const char *folder);

/* A block of memory has come: whoever onlines those does so a while later. */
void world_block_came(uint64_t id);
/* What is to happen later: when the next of it is due (simulated, nanoseconds; UINT64_MAX: nothing is), and to let all happen that is due. */
uint64_t world_next(void);
void world_turn(void);
