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

/* One that cannot be read, which a newer version wrote (-EPROTONOSUPPORT) or which is damaged: its first and its last line, each NULL where not even
 * that can be. */
typedef struct UnreadRecord {
        uint64_t id;
        int error;
        json_object *start, *end;
} UnreadRecord;

void unread_record_done(UnreadRecord *u);

/* By such a first line: may it have been one of this slot? Its slots' names are there in all forms. */
bool record_may_be_of(json_object *start, const char *slot);

typedef struct RecordQuestion {
        bool (*fits)(const Record *r, void *userdata);
        bool (*may_fit)(const UnreadRecord *u, void *userdata); /* NULL: each of a newer version may, and none that is damaged */
        bool any_stuck;         /* one that got stuck earlier or on its way back as well: its light is on, whatever became of its card since */
        void *userdata;
} RecordQuestion;

/* Did it turn back, and got stuck on that way? Some of what it took down is down still: what its journal's `undone` does not have. Not one that has taken a
 * mapping by force: what it left is for a person. */
bool record_is_left_down(const Record *r);

/* The newest removal that left something of its card down and that fits. It took everything down: its ending was safe or released, it was
 * a self-test that has switched the power on again, or it was stuck only after its point of no return; or record_is_left_down(). -ENOENT when there is none. Another error: the records
 * cannot be listed, or not read; or one that is newer than any that fits, and may be the one, is in *ret_unread (may be NULL), and this is its error. */
int record_find(const RecordQuestion *q, Record **ret, UnreadRecord *ret_unread);

/* Is there a later record that fits? The newest one is asked about first. 1: yes. 0: no. A negative errno: as above. */
int record_find_later(const Record *r, const RecordQuestion *q, UnreadRecord *ret_unread);

/* Is it that of a finishing of this removal that ended safe? */
bool record_finishes(const Record *later, const Record *r);
