/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes of the simulation: the recorded machine knows none of them, but they know each other. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"

bool process_is_own(const char *pid) {
        char path[64];

        return snprintf(path, sizeof(path), STORE "/own/%.*s", (int) strcspn(pid, "/"), pid) < (int) sizeof(path) && access(path, F_OK) == 0;
}

/* Before anybody hears of it. */
static void note_own(pid_t pid) {
        char path[64];

        if (pid <= 0)
                return;
        (void) snprintf(path, sizeof(path), STORE "/own/%d", pid);
        (void) REAL(close)(REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        process_known(pid);
}

/* However it was begun. */
static __attribute__((constructor)) void begin(void) {
        if (shared())
                note_own(getpid());
}

pid_t fork(void) {
        pid_t pid = REAL(fork)();

        note_own(pid);
        return pid;
}

long syscall(long number, ...) {
        long args[6], r;
        va_list ap;

        va_start(ap, number);
        for (size_t i = 0; i < 6; i++)
                args[i] = va_arg(ap, long);
        va_end(ap);
        if (process_call(number, args, &r))
                return r;
        if (number == SYS_close_range)
                interpose_forget((unsigned) args[0]);
        r = REAL(syscall)(number, args[0], args[1], args[2], args[3], args[4], args[5]);
        if (number == SYS_clone)
                note_own((pid_t) r);
        return r;
}
