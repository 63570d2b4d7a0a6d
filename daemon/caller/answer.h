/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "base/json.h"

/* A worker's document on its way to those who asked for it: kept once, outside of this process's heap, and handed to each as the text of
 * a reply where it is small, or through a stream that is filled as fast as its reader reads. So nothing that is not read swells the
 * daemon, and no reply comes near what the bus allows. */

enum {
        ANSWER_INLINE_MAX = 64 * 1024,         /* of a reply's text; more goes by a stream */
        ANSWER_BYTES_MAX = 64 * 1024 * 1024,
        ANSWER_OF_USER_MAX = 12 * 1024 * 1024, /* twice a look at a machine with many terabytes */
};

typedef struct Answer Answer;

int answer_new(size_t most, Answer **ret); /* bytes; beyond that -EFBIG */
Answer *answer_ref(Answer *a);
Answer *answer_unref(Answer *a); /* NULL is fine */

static inline void answer_unrefp(Answer **a) {
        answer_unref(*a);
}

/* -EFBIG where it is too long. */
int answer_append(Answer *a, const char *text, size_t length);
int answer_append_answer(Answer *a, const Answer *from);
size_t answer_size(const Answer *a);

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
