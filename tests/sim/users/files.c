/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What simulated processes have open, and what they do where somebody looks at them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "users/private.h"
#include "users/process.h"

static bool each(bool (*is_it)(pid_t pid, const void *userdata), const void *userdata) {
        DIR *d = opendir(USERS);
        pid_t pids[PROCESSES_MAX];
        size_t n = 0;
        bool found = false;

        for (struct dirent *e; d && n < PROCESSES_MAX && (e = readdir(d));)
                if (e->d_name[0] != '.' && process_is(sim_number(e->d_name)))
                        pids[n++] = sim_number(e->d_name);
        if (d)
                (void) closedir(d);
        for (size_t i = 0; i < n && !found; i++)
                found = is_it(pids[i], userdata);
        return found;
}

static bool breed(pid_t pid, const void *userdata) {
        uint64_t left = tree_number(USERS "/%d/breeds", pid);
        char text[32];

        (void) userdata;
        if (left == 0 || process_state(pid) != 'S' || process_stands(pid))
                return false;
        (void) snprintf(text, sizeof(text), "%ju", (uintmax_t) left - 1);
        tree_put(text, USERS "/%d/breeds", pid);
        process_copy(pid, pid);
        return false;
}

void process_listed(void) {
        if (tree_has(USERS))
                (void) each(breed, NULL);
}

typedef struct Files {
        const char *from, *to;
} Files;

static void links_follow(const char *folder, const Files *f) {
        DIR *d = opendir(folder);
        char path[PATH_MAX], target[PATH_MAX];

        for (struct dirent *e; d && (e = readdir(d));) {
                (void) snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
                ssize_t n = readlink(path, target, sizeof(target) - 1);
                target[n < 0 ? 0 : n] = '\0';
                if (n < 0 || strcmp(target, f->from) != 0)
                        continue;
                (void) unlink(path);
                tree_link(f->to, "%s", path);
        }
        if (d)
                (void) closedir(d);
}

static bool files_follow(pid_t pid, const void *userdata) {
        char folder[64];

        (void) snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
        links_follow(folder, userdata);
        (void) snprintf(folder, sizeof(folder), "/proc/%d/map_files", pid);
        links_follow(folder, userdata);
        return false;
}

void process_files_follow(const char *from, const char *to) {
        if (tree_has(USERS))
                (void) each(files_follow, &(Files) { from, to });
}

static pid_t user;

static bool does_use(pid_t pid, const void *userdata) {
        char link[64], target[PATH_MAX];

        for (unsigned fd = 3; fd < 64; fd++) {
                (void) snprintf(link, sizeof(link), "/proc/%d/fd/%u", pid, fd);
                ssize_t n = readlink(link, target, sizeof(target) - 1);
                if (n < 0)
                        break;
                target[n] = '\0';
                if (strcmp(target, userdata) == 0)
                        user = pid;
        }
        return user == pid;
}

static bool is_within(const char *link, const char *folder) {
        char target[PATH_MAX];
        size_t length = strlen(folder);

        ssize_t n = readlink(link, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        return n > 0 && strncmp(target, folder, length) == 0 && (target[length] == '/' || target[length] == '\0');
}

static bool does_live_in(pid_t pid, const void *userdata) {
        char link[64];
        bool found;

        (void) snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
        found = is_within(link, userdata);
        for (unsigned fd = 3; fd < 64 && !found; fd++) {
                (void) snprintf(link, sizeof(link), "/proc/%d/fd/%u", pid, fd);
                found = is_within(link, userdata);
        }
        user = found ? pid : user;
        return found;
}

pid_t process_within(const char *folder) {
        user = 0;
        return tree_has(USERS) && each(does_live_in, folder) ? user : 0;
}

pid_t process_using(const char *node) {
        user = 0;
        return tree_has(USERS) && each(does_use, node) ? user : 0;
}
