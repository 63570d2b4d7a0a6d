/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits for the verb, and for the stream that becomes standard input and output; both come once, through standard input. `word` is READY_WORD as
 * the argument, which becomes the verb for whoever looks at the processes, and *ret_verb is it. Returns when there is one. Where the program or a library
 * that it was linked with is another file now than it was, the new program is run instead. Does not return where there is no verb: the starter
 * is gone. Negative errno, told on standard error. */
int ready_wait(char *word, const char **ret_verb);
