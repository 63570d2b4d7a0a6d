/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/cxl/library.h"

/* What memory cards say of themselves when they are asked: health, identity, alerts, partition and firmware slots by libcxl, the health of
 * NVDIMMs, bad blocks and scrubbing by libndctl; docs/PROTOCOL.md ("Card state") has the keys. What is not known is null. The libraries have
 * their own words for that (-1, 0xffff, UINT_MAX), none of which is ever a number here; nor is what makes no sense.
 *
 * The question is {"memdevs": [{"name", "serial"}], "nmems": [{"name", "id"}], "nd_regions": [{"name", "start"}]}. */
int card_state_ask(json_object *question, LibraryCall **ret);

/* What they said, a new reference; where nobody answered it says why among its `notes`. -EAGAIN: nobody has yet; the libraries have 2 s from
 * the question on. After anything else the call has had its answer. */
int card_state_take(LibraryCall *call, uint64_t wait_usec, json_object **ret);

/* One for which there was no time to ask. */
json_object *card_state_unknown(const char *why);

/* card-compare.c: tells in lines of what is not the same in two of them (NULL: nobody asked). What got worse, what the card is now that it was not, and
 * what is known of one of them alone is `worse`; what merely differs is told with false. What neither of them knows is told where the card failed to
 * answer, not where it does not offer it. Returns how much is worse; 0 is "the same, as far as it can be known". */
typedef void (*card_told_t)(void *userdata, bool worse, const char *text);
size_t card_state_compare(json_object *before, json_object *now, card_told_t tell, void *userdata);

/* In whoever asked: of an answer (NULL: none) all that is in the tables of what there can be. A new reference. */
json_object *card_state_checked(json_object *answer);
