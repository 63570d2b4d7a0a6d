/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* How an NVDIMM's overwrite ended. The kernel asks the module while it goes on and keeps nothing of the answer; its debug message of it is all that
 * there is (drivers/nvdimm/security.c:__nvdimm_security_overwrite_query). ioctl() does not let the question through
 * (drivers/acpi/nfit/core.c:acpi_nfit_clear_to_send). */

/* 1: the kernel would say how one ends. 0: it can, and is not told to. -EOPNOTSUPP: it cannot (CONFIG_DYNAMIC_DEBUG); another negative errno: that
 * is not known. */
int overwrite_is_told(void);

/* The same by the text of dynamic_debug's list, whatever that is. */
int overwrite_told_by(const char *text);

/* Where it is told to, and how: a path (static) that takes OVERWRITE_TELL; NULL: there is none. It stays so until the machine is started anew: one line
 * of the log after an overwrite, which whoever goes on for another worker needs as well. */
const char *overwrite_control(void);
#define OVERWRITE_TELL "func __nvdimm_security_overwrite_query +p"

/* What it said last of the module's, after that place of the kernel's log (KmsgMark.sequence). 1: completed. 0: failed. -ENODATA: nothing, or it
 * cannot be read any more. */
int overwrite_ended(const char *nmem, uint64_t since);
