/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine/chain.h"

/* The certificate of a finished removal, "safe-remove/certificate/1" (docs/PROTOCOL.md): what was done to which card, who asked,
 * what was forced and lost, which questions were asked before the light and what the kernel answered. It is made of the
 * removal's records alone, so that one can be written later whose worker died in between. */

/* A removal has been begun: the first one ever begins the chain, and what ended before has no certificate. */
int certificates_begin(uint64_t removal);

/* Writes the certificate of every finished removal that has none yet, oldest first. The caller has the chain's lock. */
int certificates_write(void);
