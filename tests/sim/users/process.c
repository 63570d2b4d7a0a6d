/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that use the card.
 *
 * Modelled: state, status (masks of signals), descriptors, mappings, folder, program, control group, parents; SIGSTOP, SIGCONT, SIGTERM, SIGKILL, each at
 * once, late or never; a hang in the kernel (D) that lasts for a time or for ever; a group's freezer (v2), which a hang keeps from standing still; who
 * ignores SIGTERM, breeds while he is looked at, is set going again by somebody, comes back after his end, or stays as a zombie.
 * Not modelled: threads beside the first, tracers, pages (nobody's pages can be counted here), sockets, io_uring, units of a system manager, groups in
 * groups, other namespaces. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "users/private.h"
#include "users/process.h"
#include "users/rivals.h"

enum {
        FIRST_CHILD = 1000, /* a child's number is its parent's, and so much more */
};

/* --- files of /proc: changed as a whole, since others read them meanwhile */

static void whole_put(const char *text, const char *path) {
        static const char other[] = "/proc/.new"; /* a number is none that anybody takes for a process */

        tree_put(text, "%s", other);
        if (rename(other, path) < 0)
                sim_die("%s: %s", path, strerror(errno));
}

/* An empty file, where a line would be one too many. */
void process_empty_put(const char *format, pid_t pid) {
        char path[64];

        (void) snprintf(path, sizeof(path), format, pid);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0)
                sim_die("%s: %s", path, strerror(errno));
        close(fd);
}

static void whole_get(char ret[static TEXT], const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, TEXT - 1);

        if (fd >= 0)
                close(fd);
        ret[n < 0 ? 0 : n] = '\0';
        if (n > 0 && ret[n - 1] == '\n')
                ret[n - 1] = '\0';
}

void process_said(pid_t pid, const char *what, char ret[static TEXT]) {
        tree_get(ret, TEXT, USERS "/%d/%s", pid, what);
}

/* Of what it says in milliseconds: simulated nanoseconds; NEVER. `otherwise` where it says nothing. */
uint64_t process_said_time(pid_t pid, const char *what, uint64_t otherwise) {
        char text[TEXT];

        process_said(pid, what, text);
        return !*text ? otherwise : strcmp(text, "never") == 0 ? NEVER : strtoull(text, NULL, 10) * MSEC;
}

char process_state(pid_t pid) {
        char path[64], text[TEXT];

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        whole_get(text, path);
        const char *end = strrchr(text, ')');
        return end ? end[2] : 0;
}

void process_state_put(pid_t pid, char state) {
        static const char *const files[] = { "/proc/%d/stat", "/proc/%d/task/%d/stat" };
        char path[96], text[TEXT];

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                (void) snprintf(path, sizeof(path), files[i], pid, pid);
                whole_get(text, path);
                strrchr(text, ')')[2] = state;
                whole_put(text, path);
        }
        sim_trace("process %d: %c", pid, state);
}

uint64_t process_mask(pid_t pid, const char *mask) {
        char path[64], text[TEXT], key[32];

        (void) snprintf(path, sizeof(path), "/proc/%d/status", pid);
        (void) snprintf(key, sizeof(key), "\n%s:\t", mask);
        whole_get(text, path);
        const char *at = strstr(text, key);
        return at ? strtoull(at + strlen(key), NULL, 16) : 0;
}

bool process_is_pending(pid_t pid, int signal) {
        return process_mask(pid, "ShdPnd") >> (signal - 1) & 1;
}

void process_pending_put(pid_t pid, int signal, bool is) {
        static const char *const files[] = { "/proc/%d/status", "/proc/%d/task/%d/status" };
        uint64_t mask = process_mask(pid, "ShdPnd"), bit = UINT64_C(1) << (signal - 1);
        char path[96], text[TEXT], digits[20];

        (void) snprintf(digits, sizeof(digits), "%016" PRIx64, is ? mask | bit : mask & ~bit);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                (void) snprintf(path, sizeof(path), files[i], pid, pid);
                whole_get(text, path);
                memcpy(strstr(text, "\nShdPnd:\t") + strlen("\nShdPnd:\t"), digits, 16);
                whole_put(text, path);
        }
}

/* --- beginning and end */

bool process_is(pid_t pid) {
        return pid > 0 && tree_has("/proc/%d/stat", pid) && tree_has(USERS "/%d/comm", pid);
}

static void uses_link(pid_t pid) {
        char line[PATH_MAX], path[PATH_MAX], maps[TEXT] = "";
        unsigned fd = 3;

        (void) snprintf(path, sizeof(path), USERS "/%d/uses", pid);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f)) {
                uint64_t at = UINT64_C(0x7f0000000000) + fd * UINT64_C(0x200000);
                line[strcspn(line, "\n")] = '\0';
                if (!tree_has("%s", line))
                        continue; /* it is fenced */
                tree_link(line, "/proc/%d/fd/%u", pid, fd);
                tree_put("pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t5", "/proc/%d/fdinfo/%u", pid, fd);
                tree_link(line, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, at, at + 0x200000);
                size_t n = strlen(maps);
                (void) snprintf(maps + n, sizeof(maps) - n, "%" PRIx64 "-%" PRIx64 " rw-s 00000000 00:05 %u %s\n", at, at + 0x200000, 900 + fd, line);
                fd++;
        }
        if (f)
                (void) fclose(f);
        if (!*maps) {
                process_empty_put("/proc/%d/maps", pid);
                return;
        }
        maps[strlen(maps) - 1] = '\0';
        tree_put(maps, "/proc/%d/maps", pid);
}

static void folders_make(pid_t pid) {
        static const char *const folders[] = { "", "/task", "/task/%d", "/fd", "/fdinfo", "/map_files", "/ns" };
        char path[PATH_MAX], name[64];

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void) snprintf(name, sizeof(name), folders[i], pid);
                (void) snprintf(path, sizeof(path), "/proc/%d%s", pid, name);
                if (mkdir(path, 0755) < 0)
                        sim_die("%s: %s", path, strerror(errno));
        }
}

static void texts_make(pid_t pid, const char *comm, uint64_t uid, pid_t parent) {
        static const char *const folders[] = { "/proc/%d", "/proc/%d/task/%d" };
        char folder[96], text[TEXT], term[TEXT];
        char state = process_said_time(pid, "hangs", 0) > 0 ? 'D' : 'S';

        process_said(pid, "term", term);
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void) snprintf(folder, sizeof(folder), folders[i], pid, pid);
                (void) snprintf(text, sizeof(text), "%d (%s) %c %d %d %d 0 -1 4194304 100 0 0 0 1 1 0 0 20 0 1 0 %d 8192 256 18446744073709551615 0 0 0 0 0 0 0 "
                                "0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0", pid, comm, state, parent, pid, pid, pid % 100000 + 400);
                tree_put(text, "%s/stat", folder);
                (void) snprintf(text, sizeof(text), "Name:\t%s\nUmask:\t0022\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\nUid:\t%ju\t%ju\t%ju\t%ju\nGid:\t%ju\t%ju\t%ju\t%ju\n"
                                "Threads:\t1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t%016x\n"
                                "SigCgt:\t0000000000000000", comm, pid, pid, parent, uid, uid, uid, uid, uid, uid, uid, uid,
                                strcmp(term, "ignore") == 0 ? 1u << (SIGTERM - 1) : 0);
                tree_put(text, "%s/status", folder);
        }
}

void process_start(pid_t pid) {
        char comm[TEXT], group[TEXT], text[TEXT];
        pid_t parent = (pid_t) tree_number(USERS "/%d/parent", pid);
        uint64_t hangs;

        process_said(pid, "comm", comm);
        folders_make(pid);
        texts_make(pid, comm, tree_number(USERS "/%d/uid", pid), parent > 0 ? parent : 1);
        tree_put(comm, "/proc/%d/comm", pid);
        process_said(pid, "cgroup", group);
        (void) snprintf(text, sizeof(text), "0::%.4000s", *group ? group : "/");
        tree_put(text, "/proc/%d/cgroup", pid);
        process_empty_put("/proc/%d/numa_maps", pid);
        process_empty_put("/proc/%d/cmdline", pid);
        (void) snprintf(text, sizeof(text), "/usr/bin/%.1000s", comm);
        tree_link(text, "/proc/%d/exe", pid);
        process_said(pid, "cwd", text);
        tree_link(*text ? text : "/", "/proc/%d/cwd", pid);
        tree_link("/", "/proc/%d/root", pid);
        uses_link(pid);
        (void) snprintf(text, sizeof(text), USERS "/%d/fifo", pid);
        if (mkfifo(text, 0600) < 0 && errno != EEXIST)
                sim_die("%s: %s", text, strerror(errno));
        group_of(pid, group);
        if (*group)
                group_list(group, pid, true);
        hangs = process_said_time(pid, "hangs", 0);
        if (hangs > 0)
                timer_add(pid, "goes-on", hangs);
        sim_trace("process %d (%s) is there", pid, comm);
}

/* Descriptors and mappings go before the process does. */
static void lets_go(pid_t pid) {
        static const char *const folders[] = { "/proc/%d/fd", "/proc/%d/map_files" };
        char path[64];

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                (void) snprintf(path, sizeof(path), folders[i], pid);
                DIR *d = opendir(path);
                for (struct dirent *e; d && (e = readdir(d));)
                        (void) unlinkat(dirfd(d), e->d_name, 0);
                if (d)
                        (void) closedir(d);
        }
        process_empty_put("/proc/%d/maps", pid);
}

static int take_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

void process_end(pid_t pid, const char *by) {
        char path[64], gone[64], group[TEXT], text[TEXT];

        if (!process_is(pid) || process_state(pid) == 'Z')
                return;
        lets_go(pid);
        if (tree_has(USERS "/%d/zombie", pid))
                process_state_put(pid, 'Z');
        sim_trace("process %d ends by %s", pid, by);
        if (!rival_is_acting())
                tree_put(by, STORE "/ended/%d", pid);
        group_of(pid, group);
        if (*group)
                group_list(group, pid, false);
        (void) snprintf(path, sizeof(path), USERS "/%d/fifo", pid);
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && write(fd, "", 1) == 1)
                close(fd);
        (void) snprintf(path, sizeof(path), "/proc/%d", pid);
        (void) snprintf(gone, sizeof(gone), "/proc/.gone-%d", pid);
        if (!tree_has(USERS "/%d/zombie", pid)) {
                if (rename(path, gone) < 0)
                        sim_die("%s: %s", path, strerror(errno));
                (void) nftw(gone, take_one, 16, FTW_DEPTH | FTW_PHYS);
        }
        uint64_t back = process_said_time(pid, "back", NEVER), left = tree_number(USERS "/%d/backs", pid);
        if (back == NEVER || (tree_has(USERS "/%d/backs", pid) && left == 0))
                return;
        (void) snprintf(text, sizeof(text), "%ju", (uintmax_t) (left > 0 ? left - 1 : 0));
        if (left > 0)
                tree_put(text, USERS "/%d/backs", pid);
        timer_add(pid, "start", back);
}

/* What its descriptors lead to, a line each. */
static void uses_now(pid_t pid, char ret[static TEXT]) {
        char link[64], target[PATH_MAX];
        size_t at = 0;

        *ret = '\0';
        for (unsigned fd = 3; at < TEXT - 1; fd++) {
                (void) snprintf(link, sizeof(link), "/proc/%d/fd/%u", pid, fd);
                ssize_t n = readlink(link, target, sizeof(target) - 1);
                if (n < 0)
                        break;
                target[n] = '\0';
                at += (size_t) snprintf(ret + at, TEXT - at, "%s%s", at > 0 ? "\n" : "", target);
        }
}

/* Another number, as every process gets. A child has what its parent has, and who is started opens what it says. */
void process_copy(pid_t from, pid_t parent) {
        static const char *const words[] = { "comm", "uid", "cgroup", "uses", "term", "kill", "stop", "cwd", "back", "backs" };
        char path[64], text[TEXT];
        pid_t pid = from + FIRST_CHILD;

        while (tree_has(USERS "/%d", pid))
                pid++;
        (void) snprintf(path, sizeof(path), USERS "/%d", pid);
        if (mkdir(path, 0755) < 0)
                sim_die("%s: %s", path, strerror(errno));
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                if (!tree_has(USERS "/%d/%s", from, words[i]))
                        continue;
                (void) snprintf(path, sizeof(path), USERS "/%d/%s", from, words[i]);
                whole_get(text, path);
                tree_put(text, USERS "/%d/%s", pid, words[i]);
        }
        if (parent == from) {
                uses_now(from, text);
                tree_put(text, USERS "/%d/uses", pid);
        }
        (void) snprintf(text, sizeof(text), "%d", parent);
        tree_put(text, USERS "/%d/parent", pid);
        process_start(pid);
}
