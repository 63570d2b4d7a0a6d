/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/types.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "kernel/process/pidfd.h"

/* struct pidfd_info of include/uapi/linux/pidfd.h, 6.13; our own for building with older headers. */
typedef struct PidfdInfo {
        __u64 mask, cgroupid;
        __u32 pid, tgid, ppid;
        __u32 ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
        __u32 exit_code;
} PidfdInfo;

_Static_assert(sizeof(PidfdInfo) == 64, "the size is part of the ioctl's number");

#define PIDFD_INFO _IOWR(0xFF, 11, PidfdInfo)
#define PIDFD_INFO_USERS (1ULL << 1)

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

int pidfd_users(int pidfd, uint32_t *ret_real, uint32_t *ret_effective) {
        PidfdInfo info = { .mask = PIDFD_INFO_USERS };

        if (ioctl(pidfd, PIDFD_INFO, &info) < 0)
                return errno == EINVAL ? -ENOTTY : -errno; /* EINVAL: 6.9 to 6.12, which know other questions of this kind */
        if (!(info.mask & PIDFD_INFO_USERS))
                return -ESRCH;
        *ret_real = info.ruid;
        *ret_effective = info.euid;
        return 0;
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
