/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* How many pages of a character device, or of the files of a file system, a process has in its page tables right now, whatever it
 * has mapped: 0 after the kernel took them away. -ESRCH when the process is gone; -ETIME when it could not
 * be looked at in some seconds, as where it hangs. */
int holder_pages_present(const Holder *h, TargetKind kind, dev_t dev, uint64_t *ret);
