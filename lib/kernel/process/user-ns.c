/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "kernel/process/user-ns.h"

#ifndef NS_GET_PARENT
#define NS_GET_PARENT _IO(0xb7, 2)
#endif

#ifndef NS_GET_OWNER_UID
#define NS_GET_OWNER_UID _IO(0xb7, 4)
#endif

/* include/linux/proc_ns.h:PROC_PID_INIT_INO, the same since 3.8. */
#define FIRST_PID_NS 0xeffffffcU

enum {
        DEPTH_MAX = 33, /* kernel/user_namespace.c:create_user_ns allows no more */
};

uint64_t user_ns_host(void) {
        struct stat st;

        return stat("/proc/1/ns/user", &st) < 0 ? 0 : st.st_ino;
}

bool pid_ns_is_first(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) >= 0 && st.st_ino == FIRST_PID_NS;
}

uint32_t user_ns_owner(int users, uint64_t host) {
        _cleanup_close_ int fd = fcntl(users, F_DUPFD_CLOEXEC, 0);
        uint32_t owner = USER_NS_OWNER_UNKNOWN;

        for (int i = 0; fd >= 0 && i < DEPTH_MAX; i++) {
                struct stat st;

                if (ioctl(fd, NS_GET_OWNER_UID, &owner) < 0)
                        return USER_NS_OWNER_UNKNOWN;
                int parent = ioctl(fd, NS_GET_PARENT);
                closep(&fd);
                fd = parent;
                if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino == host)
                        break;
        }
        return owner;
}
