/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One record, four cache lines. A record that is all there cannot be mistaken for one that is half there, for an older one,
 * or for one of another number. */
typedef struct Record {
        uint64_t number;        /* from 1: zeros are no record */
        uint64_t payload[30];
        uint64_t sum;
} Record;

void record_make(uint64_t number, Record *ret);
bool record_is(const Record *record, uint64_t number);

/* Writes back the cache lines of a range and waits until they are where MAP_SYNC promises that they stay. */
void persist(const void *start, size_t size);

/* All return an exit status. */
int write_records(const char *data, const char *log, size_t size, unsigned pause_usec, bool use_msync);
int verify_records(const char *data, const char *log);
