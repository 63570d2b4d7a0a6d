/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "policy.h"

/* A worker reads the files, since a file system may never answer. */
#define CHECK_USEC (20 * USEC_PER_SEC)

static void tell_warnings(json_object *warnings) {
        for (size_t i = 0; i < json_len(warnings); i++) {
                json_object *w = json_at(warnings, i);
                const char *file = json_str(w, "file") ?: "?", *message = json_str(w, "message") ?: "?";
                uint64_t line = json_u64(w, "line");

                if (line > 0)
                        log_write(LOG_WARNING, LOG_MESSAGE_POLICY, NULL, "%s:%" PRIu64 ": %s", file, line, message);
                else
                        log_write(LOG_WARNING, LOG_MESSAGE_POLICY, NULL, "%s: %s", file, message);
        }
}

bool manager_policy_checked(json_object *line) {
        json_object *files = json_array(line, "files"), *warnings = json_array(line, "warnings");

        if (!files)
                return false;
        tell_warnings(warnings);
        log_plain(LOG_INFO, "Reloaded: %zu file%s with settings and rules, %zu warning%s. Plans from now on go by them; a removal that runs goes on with "
                  "those that it began with.", json_len(files), json_len(files) == 1 ? "" : "s", json_len(warnings), json_len(warnings) == 1 ? "" : "s");
        return true;
}

static void on_checked(json_object *answer, const char *why_not, void *userdata) {
        Manager *m = userdata;

        if (!manager_policy_checked(answer))
                log_plain(LOG_ERR, "The files with settings and rules cannot be looked through: %s. Each plan tries again.",
                          json_str(answer, "message") ?: why_not ?: "?");
        question_free(TAKE_PTR(m->reload));
        if (m->reload_again) {
                m->reload_again = false;
                manager_reload(m);
        } else
                (void) sd_notify(0, "READY=1");
}

void manager_reload(Manager *m) {
        _cleanup_json_ json_object *request = json_object_new_object();

        if (m->reload) {
                m->reload_again = true; /* the files may have changed since they were read */
                return;
        }
        (void) sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_monotonic());
        int r = question_ask(m->event, "check-policy", request, CHECK_USEC, on_checked, m, &m->reload);
        if (r < 0)
                on_checked(NULL, strerror(-r), m);
}

void manager_free_reload(Manager *m) {
        question_free(m->reload);
}
