/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* The kernel's audit log, as libaudit writes to it: one AUDIT_USER record a call. */

/* "op=force-kill acct=1000 slot=2 ... res=success" out of the fields of an object: numbers and booleans as they are, texts as audit wants them, in quotes, or
 * in hexadecimal where they have what could be taken for another field. What is null is left out. Newly allocated; NULL: out of memory. */
char *audit_text(json_object *fields);

/* Has the kernel write it down, and waits half a second at most for its word. 0 also where audit is switched off; -EPROTONOSUPPORT: this kernel has
 * none; -EPERM: CAP_AUDIT_WRITE is missing; -ETIME. */
int audit_write(const char *text);

/* The kernel's answer to the message of that number, as it came over the socket: 0, or its negative errno; -EAGAIN: the answer to another one;
 * -EBADMSG: rubbish. */
int audit_answer(const void *data, size_t length, uint32_t sequence);
