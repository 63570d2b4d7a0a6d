/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who of a plan's holders stands still, and by whose will that was is not asked: it is to be so afterwards. */
#include "holders/process.h"
#include "kernel/process/cgroup.h"
#include "plan/picture/picture.h"

static const char *was_told(json_object *before, const char *name) {
        return json_object_get_string(json_at(json_array(json_get(before, "frame"), name), 0));
}

/* Which of the holders' control groups are frozen, by whomever. What ended with its processes is told where they were ended. */
static void add_group(json_object *picture, const char *group, json_object *before) {
        _cleanup_free_ char *name = strf(GROUP_NAME "%s", group), *path = strf("/sys/fs/cgroup%s/cgroup.freeze", group);
        _cleanup_free_ char *quoted = shell_quoted(path);

        if (!name || !quoted)
                return;
        int frozen = cgroup_asked_to_freeze(group);
        _cleanup_free_ char *back = frozen >= 0 ? strf("echo %d > %s", frozen > 0, quoted) : NULL;
        const char *text = frozen > 0 ? "frozen" : frozen == 0 ? "not frozen" : was_told(before, name);
        if (text)
                picture_add(picture, name, text, back);
}

/* Whether it stands still by a signal: not where it has ended, or its tracer holds it, which may come and go without us. */
static void add_process(json_object *picture, json_object *holder, json_object *before) {
        int pid = (int) json_u64(holder, "pid");
        _cleanup_free_ char *name = strf(PROCESS_NAME "%d (%s)", pid, json_str(holder, "comm") ?: "?"), *back = NULL;
        _cleanup_close_ int dirfd = -EBADF;
        ThreadStates states;

        if (!name)
                return;
        if (process_open(pid, json_u64(holder, "start_time"), &dirfd, NULL) >= 0 && process_threads(dirfd, &states) >= 0 && states.traced == 0) {
                back = strf("kill -%s %d", states.stopped > 0 ? "STOP" : "CONT", pid);
                picture_add(picture, name, states.stopped > 0 ? "stopped" : "not stopped", back);
        } else if (was_told(before, name))
                picture_add(picture, name, was_told(before, name), NULL);
}

void picture_add_holders(json_object *picture, json_object *holders, json_object *before) {
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *holder = json_at(holders, i);
                const char *group = json_str(holder, "cgroup");
                if (group)
                        add_group(picture, group, before);
                if (json_u64(holder, "pid") > 0)
                        add_process(picture, holder, before);
        }
}
