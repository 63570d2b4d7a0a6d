/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* STATE_DIR, or what SAFE_REMOVE_STATE_DIR says: removals/ID/ for each removal, incidents/ID/ for each card that was pulled, `lock` for the one that has the machine, numbers/ID for the
 * newest that may have left no record. */
const char *state_dir(void);

/* What could not be written for this reason may be later: there is no room, or the file system is read-only for now, or somebody has the lock. */
bool state_may_come(int error);

/* Newly allocated STATE_DIR/removals/ID; -EINVAL unless id is a plain decimal number. */
int removal_dir(const char *id, char **ret);

/* The numbers that the entries of a folder of the state directory are called by, ascending; the array is the caller's. None where there is no folder. */
int state_ids(const char *folder, uint64_t **ret, size_t *ret_n);

/* Ids of all removals, ascending; the array and its strings belong to the caller (removal_ids_free). */
int removal_ids(uint64_t **ret, size_t *ret_n);

/* A number names one removal for ever, also one that found nothing to do and left no record: kept durably, from its beginning on, in the place
 * of lower ones. And the highest that any has or had; 0: none. */
int removal_number_keep(const char *id);
int removal_number_highest(uint64_t *ret);

/* A file of a record, as read_regular_file() reads it; for whoever may hang, which is no event loop. -EFBIG: longer than any record. */
int record_file_read(const char *path, char **ret, size_t *ret_length);

/* Each record of a journal in turn, which is the caller's to keep by a reference. A line that cannot be read is passed over: the last one may be torn by a
 * power loss. Negative errno: there is no journal, or it cannot be read. */
typedef void (*record_take_t)(json_object *record, void *userdata);
int record_each(const char *path, record_take_t take, void *userdata);

/* Whether the record in a removal's folder is that of a finished one, and this version's to do something about: a newer version's is not. */
bool removal_has_ended(const char *dir);

/* Whether it began in this boot and has not ended, for who looks at all of them before somebody's deadline: of one that is over no
 * more than a page is read, however long it is. May say yes of a record that cannot be read, or of one that ended with a long story. */
bool removal_may_be_under_way(const char *dir);

/* A file of the state directory (which is made if need be) for flock(2) to work on. */
int state_lock_open(const char *name, int *ret_fd);

/* One removal at a time changes memory and regions: an exclusive lock, held until the descriptor is closed. -EWOULDBLOCK
 * when another has it. */
int machine_lock(int *ret_fd);
