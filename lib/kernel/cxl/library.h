/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"

/* What libcxl, libdaxctl and libndctl say. They wait for udev's queue up to 5 s a list, skip devices of which an attribute is missing, and have
 * loops that an unreadable attribute keeps from ending. So whatever they are asked, they are asked in a process of its own, which has 2 s and
 * ends itself then; whoever asks goes on meanwhile and takes the answer, or none. Nothing is asked between a press and its hold. */

#define LIBRARY_USEC (2 * USEC_PER_SEC)

struct cxl_ctx;
struct daxctl_ctx;
struct ndctl_ctx;

/* In that process: the libraries' contexts, made when they are first asked for. What a library logs is kept for the answer. 0 or a negative
 * errno; nobody has to let go of them. */
typedef struct Library Library;
int library_cxl(Library *l, struct cxl_ctx **ret);
int library_daxctl(Library *l, struct daxctl_ctx **ret);
int library_ndctl(Library *l, struct ndctl_ctx **ret);

/* Fills the answer, an empty object, from what the libraries say to the question (borrowed, or NULL). A negative errno is the answer where it
 * fails. */
typedef int (*library_work_t)(Library *l, json_object *question, json_object *answer);

/* A question that has been put. */
typedef struct LibraryCall LibraryCall;
int library_ask(library_work_t work, json_object *question, LibraryCall **ret);

/* The answer: what the work has filled, with `said`, an array of the lines that the libraries logged meanwhile ("libcxl: mem0: ..."; an omission
 * of theirs is among them). Waits for it as long as that, and not beyond the 2 s. A new reference. -EAGAIN: none yet; -ETIME: it came to
 * no end in its 2 s, or there is no time for it; -EBADMSG: nonsense; -ECHILD: it died; or what the work returned. After any but -EAGAIN the call
 * has had its answer. */
int library_answer(LibraryCall *call, uint64_t wait_usec, json_object **ret);

/* Hears each line that a library has logged, when its answer is taken. One for all; NULL: nobody. */
typedef void (*library_listener_t)(void *userdata, const char *line);
void library_set_listener(library_listener_t said, void *userdata);

/* Ends the process if it has not answered. */
void library_call_free(LibraryCall *call);
DEFINE_CLEANUP_FUNC(LibraryCall, library_call_free)
