/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "kernel/log/audit.h"
#include "kernel/sysfs/public-path.h"
#include "asker.h"

enum {
        NUMBER_LENGTH = 16,
};

/* (uint32_t) -1 is "nobody has logged in" for both of them (include/linux/audit.h). */
static void take_number(int dirfd, const char *file, json_object *by, const char *key) {
        _cleanup_free_ char *text = NULL;
        uint64_t number = UINT32_MAX;

        if (read_file_at_most(dirfd, file, NUMBER_LENGTH, &text, NULL) < 0)
                return;
        text[strcspn(text, "\n")] = '\0';
        if (parse_u64(text, &number) >= 0 && number < UINT32_MAX)
                json_set_u64(by, key, number);
}

/* A session's processes are in session-NUMBER.scope of logind's. */
static void take_unit(int dirfd, json_object *by) {
        _cleanup_free_ char *unit = NULL, *cgroup = NULL;

        if (process_unit_and_cgroup(dirfd, &unit, &cgroup) < 0)
                return;
        if (unit)
                json_set_str(by, "unit", unit);
        const char *scope = cgroup ? strstr(cgroup, "/session-") : NULL, *name = scope ? scope + strlen("/session-") : NULL;
        size_t length = name ? strcspn(name, "./") : 0;
        if (length == 0 || !startswith(name + length, ".scope"))
                return;
        _cleanup_free_ char *session = strndup(name, length);
        json_set_str(by, "session", session);
}

/* Everybody is told of the rest of a removal by its properties. */
static void take_privacy(json_object *by) {
        PathView view = { 0 };

        if (path_view_proc_hides(&view) != PROC_HIDES_NOTHING)
                json_set_bool(by, "private", true);
        path_view_done(&view);
}

void asker_find(json_object *by) {
        uint64_t pid = json_u64(by, "pid");
        _cleanup_free_ char *path = strf("/proc/%ju", (uintmax_t) pid);
        struct stat st;

        if (!json_has(by, "uid") || pid == 0 || !path)
                return;
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0 || fstat(dirfd, &st) < 0 || st.st_uid != json_u64(by, "uid"))
                return;
        take_number(dirfd, "loginuid", by, "login_uid");
        take_number(dirfd, "sessionid", by, "audit_session");
        take_unit(dirfd, by);
        take_privacy(by);
}

char *asker_record(json_object *by, json_object *what, bool done) {
        static const struct {
                const char *key, *field;
        } told[] = {
                { "uid", "asked-uid" }, { "login_uid", "asked-auid" }, { "audit_session", "asked-ses" }, { "pid", "asked-pid" }, { "comm", "asked-comm" },
                { "unit", "asked-unit" },
        };
        _cleanup_json_ json_object *fields = json_object_new_object();

        json_object_object_foreach(what, key, value)
                json_set(fields, key, json_ref(value));
        for (size_t i = 0; i < ELEMENTSOF(told); i++)
                json_set(fields, told[i].field, json_ref(json_get(by, told[i].key)));
        json_set_str(fields, "exe", "safe-remove-worker");
        json_set_str(fields, "res", done ? "success" : "failed");
        return audit_text(fields);
}

char *asker_audit(const char *record) {
        int r = record ? audit_write(record) : -ENOMEM;

        /* A kernel without audit, and a container that may not: there is no such log to be complete. */
        return r >= 0 || r == -EPROTONOSUPPORT || r == -ECONNREFUSED ? NULL : strdup(strerror(-r));
}
