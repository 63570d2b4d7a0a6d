/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Who else writes to some of the kernel's attributes (fanotify(7), which takes CAP_SYS_ADMIN). Nobody is kept from it, and nobody waits for us. What a
 * process of our own program writes does not count, nor what one writes that has ended when we ask: it cannot be named any more. */
typedef struct WriteWatch WriteWatch;

/* Begins to watch these too (an array of paths); one that is not there is left out. `w`: what is watched already, or NULL. What is returned stands for
 * all of them; NULL: none can be watched. */
WriteWatch *write_watch_add(WriteWatch *w, json_object *paths);
void write_watch_end(WriteWatch *w); /* NULL is none */

/* The last of those who have written since this was asked: "process 812 (sh) of cron.service". Newly allocated; NULL: nobody who can be named. */
char *write_watch_who(WriteWatch *w);
