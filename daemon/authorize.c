/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "authorize.h"
#include "bus-error.h"

int authorize_sender(sd_bus_message *m, json_object **ret_by) {
        sd_bus_creds *creds = NULL;
        const char *comm = NULL;
        pid_t pid = 0;
        uid_t uid;

        int r = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID | SD_BUS_CREDS_COMM | SD_BUS_CREDS_AUGMENT,
                        &creds);
        if (r < 0)
                return r;
        _cleanup_(sd_bus_creds_unrefp) _unused_ sd_bus_creds *owned = creds;

        /* What was read from /proc about a pid is no ground for a decision: the bus must have said it. */
        if (sd_bus_creds_get_augmented_mask(creds) & SD_BUS_CREDS_EUID)
                return -EPERM;
        r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return r;
        (void) sd_bus_creds_get_pid(creds, &pid);
        (void) sd_bus_creds_get_comm(creds, &comm);

        json_object *by = json_object_new_object();
        json_set_u64(by, "uid", uid);
        json_set_u64(by, "pid", (uint64_t) pid);
        json_set_str(by, "comm", comm);
        *ret_by = by;
        return 0;
}

int authorize_change(sd_bus_message *m, json_object **ret_by, sd_bus_error *reterr) {
        _cleanup_json_ json_object *by = NULL;

        int r = authorize_sender(m, &by);
        if (r < 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED, "It is not known who asks for this: %s.", strerror(-r));

        /* Whoever runs the daemon owns what it can do: root in production, the developer in a test. */
        uint64_t uid = json_u64(by, "uid");
        if (uid != 0 && uid != geteuid())
                return sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED,
                                "Only root may remove a card or cancel a removal. Try again with sudo.");

        *ret_by = TAKE_PTR(by);
        return 0;
}
