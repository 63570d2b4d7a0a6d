/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/source/question.h"

/* A document on its way to those who asked for it: each has it as the text of a reply where it is small, or through a stream that is filled
 * as fast as its reader reads. So nothing that is not read swells the daemon, and no reply comes near what the bus allows. */

/* As the text of a reply. */
int answer_reply(Answer *a, sd_bus_message *call);

/* Streams that are being read, and their reading ends' quotas. */
typedef struct Streams Streams;

int streams_new(sd_event *event, Streams **ret);
void streams_free(Streams *s);

/* May `user` (sub-uid.h) have another one, of so many bytes? Where all users' have become too long, those of one who leaves more unread end
 * early. Root has places of its own. */
bool streams_make_room(Streams *s, uint32_t user, bool privileged, size_t bytes);

/* Replies with the reading end. Who does not read it within its time gets an early end, which is no JSON. */
int streams_reply(Streams *s, Answer *a, sd_bus_message *call, uint32_t user, bool privileged);
