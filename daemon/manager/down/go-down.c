/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager/records.h"
#include "daemon/manager/removals.h"
#include "go-down.h"

static void call_all_off(Manager *m, const char *why) {
        for (size_t i = 0; i < m->n_removals; i++) {
                Removal *r = m->removals[i];

                if (!removal_runs(r))
                        continue;
                bool back = removal_cancel(r, why) >= 0;
                char uid[24];
                LogSubject subject = removal_subject(r, uid);
                log_write(LOG_NOTICE, LOG_MESSAGE_NONE, &subject, "The machine is about to be %s: %s %s of slot %s %s.", streq(why, "suspend") ? "suspended" : "shut down",
                          r->kind == KIND_RESTORE ? "restoration" : "removal", r->id, removal_label(r), !back ? "goes on to its end" : r->kind == KIND_RESTORE ? "is stopped, and gives its slot back" : "is put back");
        }
}

/* Of the list other ones come and go while one is taken up. */
static void take_up_died(Manager *m) {
        for (size_t i = 0; i < m->n_removals;) {
                Removal *r = m->removals[i++];

                if (!r->died_since)
                        continue;
                r->died_since = false;
                if (r->given_up) {
                        manager_removal_died(r, m);
                        i = 0;
                }
        }
}

void manager_go_down(Manager *m, const char *why) {
        bool over = m->going_down && !why;

        m->going_down = why;
        if (why)
                call_all_off(m, why);
        if (!over)
                return;
        take_up_died(m);
        manager_look_for_late(m);
        manager_consider_restoring(m);
}
