/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"
#include "engine/seal.h"

/* Nothing but a few small files is written under it. */
#define CHAIN_LOCK_USEC (10 * USEC_PER_SEC)

/* The certificates of finished removals, STATE_DIR/removals/ID/certificate.json, are numbered as they are written, and each carries the
 * digest of the one before it. STATE_DIR/chain.json, sealed like they are, has the two ends: the last one that was deleted with
 * its record because it was old, and the newest. */

typedef struct ChainLink {
        uint64_t number;        /* 0: none yet */
        uint64_t removal;
        char sha256[SHA256_HEX]; /* "" when there is none */
} ChainLink;

typedef struct Chain {
        bool exists;
        uint64_t first_removal; /* records from before have no certificate */
        ChainLink pruned, head;
        char *damaged;          /* why the chain cannot be trusted from its beginning, or NULL: kept for ever */
} Chain;

void chain_done(Chain *c);

/* Whoever writes holds this; who reads does not, and so keeps no removal from its ending. A removal stands for a moment between its ending
 * and its certificate. -ETIME when somebody else has it for longer than timeout_usec. */
int chain_lock(uint64_t timeout_usec, int *ret_fd);

/* What chain.json holds. -EBADMSG: it is something else. */
int chain_from_json(json_object *o, Chain *ret);

/* A missing file is an empty chain. -EBADMSG: it is not as it was written. */
int chain_load(Chain *ret);
int chain_save(const Chain *c);

/* One certificate's place in the chain. ret (its document) and ret_link may be NULL; ret_text, the file as it is, too. -ENOENT: that
 * removal has none. -EBADMSG: the text is not as it was sealed, or is another removal's. */
int chain_read(uint64_t removal, json_object **ret, char **ret_text, ChainLink *ret_link);

/* 1 with the place of that removal's certificate where its number is higher than `than`, else 0: for an ending, which asks this of many and has the
 * seal of none checked that says itself that it is older. Errors as above. */
int chain_read_newer(uint64_t removal, uint64_t than, ChainLink *ret);

/* The removal of the newest certificate; -ENOENT while there is none. */
int chain_newest(uint64_t *ret_removal);

/* Is everything there, in its order and unaltered, the records behind the certificates included? "safe-remove/chain/1":
 * {"verified", "certificates", "first", "last", "sha256", "pruned", "problems": [{"removal", "what"}]}.
 * Looks again, some times, where the chain became another one meanwhile; -EAGAIN: it did each time. */
int chain_verify(json_object **ret);

/* The same, for a second: what is not right must be so for longer than a moment. -EAGAIN: somebody writes, or it is another problem each
 * time. */
int chain_verify_patiently(json_object **ret);

/* Deletes the records of the oldest removals so that at most `keep` stay. One that has not ended is never deleted, nor one that a newer version wrote, nor one that is not in
 * the totals (totals.h), nor one whose certificate is not the oldest of all: the chain of certificates stays whole (chain.h). Where the totals cannot be read twice as many stay,
 * and what is deleted then is in no sum; where the chain is a newer version's those without a certificate go then, and no others. */
void removals_prune(size_t keep);
