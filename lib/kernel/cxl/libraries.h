/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* What libcxl, libdaxctl and libndctl see of this machine's memory cards, each asked in a process of its own (library.h): one that waits for udev
 * keeps none of the others. An array of three:
 *      {"library": "libcxl", "memdevs": [{"name", "bdf", "serial"}],
 *       "regions": [{"name", "start", "size", "targets": [{"position", "decoder", "memdev"}]}], "said": ["line"]}
 *      {"library": "libdaxctl", "daxes": [{"name", "start", "size", "driven"}], "said"}
 *      {"library": "libndctl", "namespaces": [{"name", "region", "start", "size"}], "nmems": [{"name", "id"}], "said"}
 * A key that is not there is one that the library does not know (it has numbers that stand for that, and zeros for what it could not parse);
 * `said` is what it logged: each line is an error, and mostly of something that it has left out.
 *      {"library", "silent": "why"}
 * is one that has not answered. */
typedef struct Libraries Libraries;

/* Asks all three. gone (borrowed; NULL: nothing): an array of PCI functions of which none may be there any more before they look. What cannot be
 * started is silent. 0 or -ENOMEM. */
int libraries_ask(json_object *gone, Libraries **ret);

/* What libudev's udev_queue_get_queue_is_empty() looks at, and so what the libraries wait for. */
bool udev_is_busy(void);

/* Takes the answers that there are, and waits for the others for so long at most. True: nobody is waited for any more. */
bool libraries_hear(Libraries *l, uint64_t wait_usec);

/* The same for whoever must not be late because of udev: waits for as long as its queue is empty. They are silent for no other reason
 * then, but for their 2 s. */
bool libraries_hear_unless_busy(Libraries *l);

/* By what has been heard so far: there is nothing that more time, or another question, would change. */
bool libraries_have_answered(const Libraries *l);

/* The document, by what has been heard so far. New reference. */
json_object *libraries_seen(const Libraries *l);

/* What they have against what we see of a card that has come back, asked a second time where there is something: it may have been on its way still.
 * They have 2 s each time. ours: a new reference to what we see (testimony.h), or NULL where nobody can look: nothing is held against that. An array
 * as in testimony.h, of contradictions alone; who does not answer has nothing against it. */
json_object *libraries_against(json_object *(*ours)(void *userdata), void *userdata);

/* Ends those that have not answered. */
void libraries_free(Libraries *l);
DEFINE_CLEANUP_FUNC(Libraries, libraries_free)
