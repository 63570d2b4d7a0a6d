/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine/journal.h"

/* Reads the records of a removal that has ended, for putting back what it took down. */
typedef struct Record {
        char *id;
        Journal *journal;       /* its start, end and notes; nothing can be written to it */
        Plan *plan;
} Record;

void record_free(Record *r);
DEFINE_CLEANUP_FUNC(Record, record_free)

/* The newest removal that took everything of its card down and of which `fits` says yes. Its ending was safe or released, or it
 * was stuck only after its point of no return. Records that cannot be read are passed over. -ENOENT when there is none. */
int record_find(bool (*fits)(const Record *r, void *userdata), void *userdata, Record **ret);

/* Has somebody finished it since: is there a later record of a finishing of it that ended safe? 1: yes. 0: no; a record that cannot be read is none,
 * and a blocker of every plan for its slot (RECORD_UNREAD). A negative errno: the records cannot be listed, or -ENOMEM. */
int record_was_finished(const Record *r);
