/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "kernel/process/pidfd.h"

int pidfd_open_process(int pid, int *ret_fd) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int pidfd_signal(int pidfd, int signal) {
        return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int pidfd_wait(int pidfd, uint64_t timeout_usec) {
        uint64_t deadline = now_monotonic() + timeout_usec;

        for (;;) {
                struct pollfd p = { .fd = pidfd, .events = POLLIN };
                uint64_t now = now_monotonic(), left = now < deadline ? (deadline - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;

                int r = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int) left);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (left == 0)
                        return -ETIME;
        }
}
