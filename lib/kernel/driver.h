/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Which driver a device of a bus is bound to; *ret is NULL when it is bound to none. -ENODEV without the device. */
int driver_of(const char *bus, const char *device, char **ret);

/* The bind and unbind attributes of a driver: newly allocated paths. */
char *driver_bind_path(const char *bus, const char *driver);
char *driver_unbind_path(const char *bus, const char *driver);
