/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What `watch` shows: borrowed, all of it made printable. */
typedef struct WatchView {
        json_object *slots;     /* as client_objects() gives them, with their memory */
        json_object *removals;  /* the same, newest first; what has a "plan" has more to show */
        json_object *doing;     /* what the step of a removal is at, by the removal's id */
        json_object *events;    /* lines, the latest last */
        const char *problem;    /* why this may be old; NULL: it is not */
        const char *machine;
} WatchView;

/* The lines of a screen of that size, the latest events at its end; output.columns is its width. What there is no room for is left out, and that is
 * said: of slots those first of which there is the least to tell. Newly allocated; NULL when out of memory. */
char *watch_view(const WatchView *v, size_t rows);

/* For who keeps a removal's properties: those that are times, where `changed` has them (it may be the removal itself), are kept by the clock that nobody sets as well, by which they are
 * shown. The wall clock is that of the machine that it runs on. */
void watch_view_keep_times(json_object *removal, json_object *changed);

/* Does anything of it change with time alone? */
bool watch_view_runs(const WatchView *v);
