/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* Where the kernel's log was when the slot's last removal of this boot began, if that ended safe: what was in the slot before is proved gone.
 * 0: there was none, or it did not. For a look, which asks no disk without an end to it: -EINPROGRESS when the records do not answer within two
 * seconds, or an earlier reader of a look's waits for them still. */
int verify_safe_since(const Slot *slot, uint64_t *ret);
