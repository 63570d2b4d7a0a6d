/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/source/question.h"

/* A document on its way to those who asked for it: each has it as the text of a reply where it is small, or through a stream that is filled
 * as fast as its reader reads. So nothing that is not read swells the daemon, and no reply comes near what the bus allows. */

/* As the text of a reply. */
int answer_reply(Answer *a, sd_bus_message *call);

/* Of a short one: what its text says. -EBADMSG where it is no JSON. */
int answer_parse(const Answer *a, json_object **ret);

/* Streams that are being read, and their reading ends' quotas. */
typedef struct Streams Streams;

int streams_new(sd_event *event, Streams **ret);
void streams_free(Streams *s);

/* May `user` (sub-uid.h) have another one, of so many bytes? Where all users' have become too long, those of one who leaves more unread end
 * early. Root has places of its own. */
bool streams_make_room(Streams *s, uint32_t user, bool privileged, size_t bytes);

/* Replies with a number and the length, "ut": for whoever cannot be handed a descriptor. It is read piece by piece under that number, within the same
 * time, by `uid` alone. */
int streams_keep(Streams *s, Answer *a, sd_bus_message *call, uint32_t uid, uint32_t user, bool privileged);

/* The next piece of what is kept under that number for this user, in `ret`, as many whole characters as fit; "" is the end, and it is kept no
 * longer. -ENOENT: nothing is kept for him there. */
int streams_read_kept(Streams *s, uint32_t number, uint32_t uid, char **ret);

/* Replies with the reading end. Who does not read it within its time gets an early end, which is no JSON. */
int streams_reply(Streams *s, Answer *a, sd_bus_message *call, uint32_t user, bool privileged);
