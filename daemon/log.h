/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <syslog.h>

#include <inttypes.h>

#include "base/json.h"
#include "base/util.h"

/* What the journal can be searched for: each has its MESSAGE_ID and its entry in units/safe-remove.catalog. */
typedef enum LogMessage {
        LOG_MESSAGE_NONE,
        LOG_MESSAGE_BUTTON,
        LOG_MESSAGE_GIVEN_BACK,
        LOG_MESSAGE_REQUEST,
        LOG_MESSAGE_REQUEST_UNSERVED,
        LOG_MESSAGE_STARTED,
        LOG_MESSAGE_STEP,
        LOG_MESSAGE_SAFE,
        LOG_MESSAGE_RESTORED,
        LOG_MESSAGE_REFUSED,
        LOG_MESSAGE_STUCK,
        LOG_MESSAGE_RELEASED,
        LOG_MESSAGE_RESTORE_STARTED,
        LOG_MESSAGE_REBUILT,
        LOG_MESSAGE_TESTED,
        LOG_MESSAGE_INCOMPLETE,
        LOG_MESSAGE_RESUMED,
        LOG_MESSAGE_CARD_GONE,
        LOG_MESSAGE_INCIDENT,
        LOG_MESSAGE_FALSE_ALARM,
        LOG_MESSAGE_CARD_LOST,
        LOG_MESSAGE_DISK_LOST,
        LOG_MESSAGE_WITHDRAWN,
        LOG_MESSAGE_EVENTS_LOST,
        LOG_MESSAGE_SOURCE_FAILED,
        LOG_MESSAGE_POLICY,
        LOG_MESSAGE_STAYS,
        LOG_MESSAGE_DENIED,
        _LOG_MESSAGE_MAX,
} LogMessage;

/* What a line is about: fields SAFE_REMOVE_REMOVAL=, _SLOT=, _SLOTS=, _PORT=, _STEP=, _OUTCOME=, _SERIAL=, _BY_UID=, _BY_SESSION=, _BY_UNIT=, _ACTION=, _LIBRARY= and
 * _CERTIFICATE=. NULL is left
 * out. Of several slots each has a _SLOT= and a _SERIAL= of its own, so that whoever filters by one finds it. */
typedef struct LogSubject {
        const char *removal;
        const char *slot;
        const char *port;       /* of a slot whose name the guard does not know: SAFE_REMOVE_PORT= */
        json_object *others;    /* more slots: {"name", "card"} each; or NULL */
        const char *slots;      /* all of them in one, for the catalog: "2 3"; NULL: the one */
        const char *step;
        const char *outcome;
        const char *serial;
        const char *by_uid;
        const char *by_session; /* of logind */
        const char *by_unit;    /* of systemd */
        const char *action;     /* of polkit, that was refused */
        const char *library;    /* that has logged it: "libcxl" */
        const char *certificate; /* the digest, so that whoever keeps the journal elsewhere can tell a rewritten chain */
} LogSubject;

/* To the journal; where there is none (tests, a terminal) to standard error. `subject` may be NULL. */
void log_write(int priority, LogMessage message, const LogSubject *subject, const char *format, ...) _printf_(4, 5);

#define log_plain(priority, ...) log_write((priority), LOG_MESSAGE_NONE, NULL, __VA_ARGS__)
