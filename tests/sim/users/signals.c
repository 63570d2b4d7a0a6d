/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals to simulated processes, and who is told of their end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "users/private.h"
#include "users/process.h"

bool process_stands(pid_t pid) {
        char group[TEXT];

        group_of(pid, group);
        return process_state(pid) == 'T' || group_is_asked(group);
}

/* What has been sent takes effect, as far as anything lets it. */
void process_act(pid_t pid) {
        if (!process_is(pid) || process_state(pid) == 'D' || process_state(pid) == 'Z')
                return;
        if (process_is_pending(pid, SIGKILL)) {
                process_end(pid, "SIGKILL");
                return;
        }
        if (process_is_pending(pid, SIGSTOP) && process_state(pid) == 'S') {
                process_pending_put(pid, SIGSTOP, false);
                process_state_put(pid, 'T');
                uint64_t again = process_said_time(pid, "continued", NEVER);
                timer_add(pid, "continued", again);
        }
        if (process_is_pending(pid, SIGTERM) && !process_stands(pid))
                process_end(pid, "SIGTERM");
}

static int stop(pid_t pid) {
        process_pending_put(pid, SIGSTOP, true);
        uint64_t in = process_said_time(pid, "stop", 0);
        if (in == 0)
                process_act(pid);
        else
                timer_add(pid, "act", in);
        return 0;
}

int process_go_on(pid_t pid) {
        process_pending_put(pid, SIGSTOP, false);
        if (process_state(pid) == 'T')
                process_state_put(pid, 'S');
        process_act(pid);
        return 0;
}

static int end_by(pid_t pid, int signal, const char *word) {
        uint64_t in = process_said_time(pid, word, 0);

        if (signal == SIGTERM && process_mask(pid, "SigIgn") >> (SIGTERM - 1) & 1)
                return 0;
        if (in > 0)
                timer_add(pid, signal == SIGTERM ? "terminated" : "killed", in);
        else {
                process_pending_put(pid, signal, true);
                process_act(pid);
        }
        return 0;
}

int process_signal(pid_t pid, int signal) {
        if (!process_is(pid) || process_state(pid) == 'Z')
                return -ESRCH;
        switch (signal) {
        case 0:
                return 0;
        case SIGSTOP:
                return stop(pid);
        case SIGCONT:
                return process_go_on(pid);
        case SIGTERM:
                return end_by(pid, signal, "term");
        case SIGKILL:
                return end_by(pid, signal, "kill");
        default:
                sim_die("signal %d to process %d, and the model knows nothing of it", signal, pid);
        }
}

int process_pidfd(pid_t pid) {
        char path[64];

        if (!process_is(pid) || process_state(pid) == 'Z')
                return -ESRCH;
        (void) snprintf(path, sizeof(path), USERS "/%d/fifo", pid);
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

pid_t process_of_fd(int fd) {
        char link[64], path[PATH_MAX];

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return 0;
        path[n] = '\0';
        return strncmp(path, USERS "/", strlen(USERS "/")) == 0 && strstr(path, "/fifo") ? sim_number(path + strlen(USERS "/")) : 0;
}

static bool act(pid_t pid) {
        process_act(pid);
        return false;
}

int process_group_freeze(const char *path, const char *value) {
        char group[PATH_MAX];

        if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
                return -EINVAL;
        (void) snprintf(group, sizeof(group), "%s", path);
        tree_put(value, "%s", path);
        group_tell(folder_of(group));
        if (*value == '0')
                (void) group_each(group, act);
        group_tell(group);
        return 0;
}
