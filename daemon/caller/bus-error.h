/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "base/util.h"

#define BUS_ERROR_PREFIX "org.saferemove1.Error."
#define BUS_ERROR_MALFORMED_NAME BUS_ERROR_PREFIX "MalformedName"
#define BUS_ERROR_UNKNOWN_NAME BUS_ERROR_PREFIX "UnknownName"
#define BUS_ERROR_AMBIGUOUS_NAME BUS_ERROR_PREFIX "AmbiguousName"
#define BUS_ERROR_NO_SLOT BUS_ERROR_PREFIX "NoSlot"
#define BUS_ERROR_BAD_OPTION BUS_ERROR_PREFIX "BadOption"
#define BUS_ERROR_BUSY BUS_ERROR_PREFIX "Busy"
#define BUS_ERROR_NOT_RUNNING BUS_ERROR_PREFIX "NotRunning"
#define BUS_ERROR_TOO_LATE BUS_ERROR_PREFIX "TooLate"
#define BUS_ERROR_NOT_AUTHORIZED BUS_ERROR_PREFIX "NotAuthorized"
#define BUS_ERROR_NOT_PROVEN BUS_ERROR_PREFIX "NotProven"
#define BUS_ERROR_TOO_LARGE BUS_ERROR_PREFIX "TooLarge"
#define BUS_ERROR_STALE BUS_ERROR_PREFIX "Stale"
#define BUS_ERROR_NO_LIGHT BUS_ERROR_PREFIX "NoLight"
#define BUS_ERROR_FAILED BUS_ERROR_PREFIX "Failed"

/* The error's name for a worker's error code; Failed for one we do not know. */
const char *bus_error_of_code(const char *code);
