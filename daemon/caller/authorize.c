/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/bus/bus-error.h"
#include "authorize.h"
#include "who.h"

/* Whoever runs the daemon owns what it can do: root in production, the developer in a test. */
int authorize_change(json_object *by, sd_bus_error *reterr) {
        return who_is_privileged(by) ? 0 : sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED,
                        "Only root may remove a card or cancel a removal. Try again with sudo.");
}
