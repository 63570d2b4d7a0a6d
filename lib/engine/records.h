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

/* The newest removal that took everything of its card down and of which `fits` says yes. Its ending was safe or released, it was
 * a self-test that has switched the power on again, or it was stuck only after its point of no return. Records that cannot be read are passed over.
 * -ENOENT when there is none. -EPROTONOSUPPORT: a newer version of this program wrote one that is newer than any that fits, and it may be the one. */
int record_find(bool (*fits)(const Record *r, void *userdata), void *userdata, Record **ret);

/* Is there a later record of which `fits` says yes? The newest one is asked about first. 1: yes. 0: no; a record that cannot be read is none,
 * and a blocker of every plan for its slot (RECORD_UNREAD). A negative errno: the records cannot be listed, -ENOMEM, or -EPROTONOSUPPORT: a newer
 * version wrote one of them. */
int record_find_later(const Record *r, bool (*fits)(const Record *later, void *userdata), void *userdata);

/* Is it that of a finishing of this removal that ended safe? */
bool record_finishes(const Record *later, const Record *r);
