/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* Where the kernel's log was when the slot's last removal of this boot began, if that ended safe: what was in the slot before is proved gone.
 * 0: there was none, or it did not. */
uint64_t verify_safe_since(const Slot *slot);
