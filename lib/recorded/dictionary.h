/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What a made-up value stands for: the same one each time, counted by kind. Nothing in it tells of the real one. */
typedef struct Dictionary {
        void *words;            /* tsearch(3)'s */
        unsigned counts[5];
} Dictionary;

typedef enum WordKind {
        WORD_NAME,
        WORD_UUID,
        WORD_QUALIFIED,         /* of NVMe or iSCSI: "nqn.…", "iqn.…" */
        WORD_ADDRESS,           /* of a network */
        WORD_SERIAL,
} WordKind;

void dictionary_done(Dictionary *d);

/* Owned by the dictionary; NULL when out of memory. `length` bytes of `real`. */
const char *dictionary_word(Dictionary *d, WordKind kind, const char *real, size_t length);

/* The number that stands for a serial number; 0 is none, and stays that. */
uint64_t dictionary_serial(Dictionary *d, uint64_t real);
