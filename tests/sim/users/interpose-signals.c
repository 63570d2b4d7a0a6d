/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls about processes of the machine. Of the simulation's own they are the real ones. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "users/process.h"

typedef struct Signal {
        pid_t pid;
        int signal;
} Signal;

static int send(void *userdata) {
        const Signal *s = userdata;

        return process_signal(s->pid, s->signal);
}

static int signal_sent(pid_t pid, int signal) {
        Signal s = { .pid = pid, .signal = signal };
        char what[64];

        (void) snprintf(what, sizeof(what), "signal %d to process %d", signal, pid);
        return signal == 0 ? 0 : interposed_call_at_once(what, send, &s);
}

static bool is_simulated(pid_t pid) {
        if (interposed_inside || !shared())
                return false;
        model_enter();
        bool is = process_is(pid);
        model_leave();
        return is;
}

int kill(pid_t pid, int signal) {
        return is_simulated(pid) ? signal_sent(pid, signal) : REAL(kill)(pid, signal);
}

int tgkill(pid_t pid, pid_t tid, int signal) {
        return is_simulated(pid) ? signal_sent(pid, signal) : REAL(tgkill)(pid, tid, signal);
}

bool process_call(long number, const long args[static 6], long *ret) {
        pid_t pid = 0;

        if (interposed_inside || !shared())
                return false;
        switch (number) {
        case SYS_pidfd_open:
                model_enter();
                int fd = process_is((pid_t) args[0]) ? process_pidfd((pid_t) args[0]) : 0;
                model_leave();
                *ret = answered(fd);
                return fd != 0;
        case SYS_pidfd_send_signal:
                pid = process_of_fd((int) args[0]);
                if (pid > 0)
                        *ret = is_simulated(pid) ? signal_sent(pid, (int) args[1]) : answered(-ESRCH);
                return pid > 0;
        case SYS_kcmp:
                *ret = answered(-ESRCH);
                return is_simulated((pid_t) args[0]);
        default:
                return false;
        }
}

/* Whoever looks at the processes begins here. */
DIR *opendir(const char *path) {
        if (!interposed_inside && strcmp(path, "/proc") == 0 && shared()) {
                model_enter();
                process_listed();
                world_turn();
                model_leave();
        }
        return REAL(opendir)(path);
}
