/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Adds to a request's `by` what the kernel says of the process that asked: "login_uid" (who had logged in), "audit_session", "unit" (of systemd), "session" (of
 * logind); and "private" (true) where /proc keeps that from other users. A key is left out where it is not known: the process has ended, or its number has another user by now. The daemon does not look there
 * itself: whose control group a process has is told under a lock that others may hold for long. (A number that went to another process of the same
 * user is not noticed: this is for people, and nothing is decided by it.) */
void asker_find(json_object *by);

/* The text of an AUDIT_USER record about what he asked for. `what` are fields to be told before his own ("op" first), `done` whether it came to be. Newly
 * allocated; NULL: out of memory. */
char *asker_record(json_object *by, json_object *what, bool done);

/* Where it cannot be written, why: newly allocated, NULL else. A log that nobody reads makes a writer wait in the kernel, for a minute
 * (audit_backlog_wait_time): nothing that somebody waits for comes after it. */
char *asker_audit(const char *record);
