/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control groups (v2) of simulated processes, and their freezer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "users/private.h"
#include "users/process.h"

#define GROUPS "/sys/fs/cgroup"

void group_of(pid_t pid, char ret[static TEXT]) {
        char group[TEXT];

        process_said(pid, "cgroup", group);
        if (!*group)
                *ret = '\0';
        else if (snprintf(ret, TEXT, GROUPS "%s", group) >= TEXT)
                sim_die("the name of a group is too long");
}

bool group_each(const char *group, bool (*is_it)(pid_t pid)) {
        char path[PATH_MAX + 16], line[32];
        bool found = false;

        (void) snprintf(path, sizeof(path), "%s/cgroup.procs", group);
        FILE *f = fopen(path, "re");
        while (f && !found && fgets(line, sizeof(line), f))
                found = process_is(sim_number(line)) && is_it(sim_number(line));
        if (f)
                (void) fclose(f);
        return found;
}

static bool is_any(pid_t pid) {
        (void) pid;
        return true;
}

static bool does_hang(pid_t pid) {
        return process_state(pid) == 'D';
}

bool group_is_asked(const char *group) {
        return *group && tree_number("%s/cgroup.freeze", group) == 1;
}

/* Somebody may have it open and read again: it stays that file. */
void group_tell(const char *group) {
        char path[PATH_MAX + 16], text[64];
        bool populated = group_each(group, is_any);

        (void) snprintf(path, sizeof(path), "%s/cgroup.events", group);
        int n = snprintf(text, sizeof(text), "populated %d\nfrozen %d\n", populated, group_is_asked(group) && !group_each(group, does_hang));
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || pwrite(fd, text, (size_t) n, 0) != n)
                sim_die("%s: %s", path, strerror(errno));
        close(fd);
}

void group_list(const char *group, pid_t pid, bool comes) {
        char path[PATH_MAX + 16], line[32], text[TEXT] = "";
        size_t at = 0;

        (void) snprintf(path, sizeof(path), "%s/cgroup.procs", group);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sim_number(line) != pid)
                        at += (size_t) snprintf(text + at, sizeof(text) - at, "%s", line);
        if (f)
                (void) fclose(f);
        if (comes)
                at += (size_t) snprintf(text + at, sizeof(text) - at, "%d\n", pid);
        if (at >= sizeof(text))
                sim_die("%s: too many processes", group);
        text[at > 0 ? at - 1 : 0] = '\0';
        tree_put(text, "%s", path);
        group_tell(group);
}
