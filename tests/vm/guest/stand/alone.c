/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file server that nobody has begun, mounted where any user may: in namespaces of his own. Whoever asks it for something waits in the kernel for
 * ever, and no signal but SIGKILL gets through to him, nor does a freezer. */
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "stand.h"

static int put(const char *path, const char *text) {
        int fd = open(path, O_WRONLY|O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

        if (fd >= 0)
                (void) close(fd);
        return n < 0 ? complain(path) : 0;
}

int mount_alone(const char *directory) {
        unsigned uid = getuid(), gid = getgid();
        char users[64], groups[64], options[128];

        (void) snprintf(users, sizeof(users), "0 %u 1", uid);
        (void) snprintf(groups, sizeof(groups), "0 %u 1", gid);
        if (unshare(CLONE_NEWUSER|CLONE_NEWNS) < 0)
                return complain("namespaces");
        if (put("/proc/self/setgroups", "deny") < 0 || put("/proc/self/uid_map", users) < 0 || put("/proc/self/gid_map", groups) < 0)
                return -1;
        int fd = open("/dev/fuse", O_RDWR|O_CLOEXEC);
        if (fd < 0)
                return complain("/dev/fuse");
        (void) snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
        return mount("alone", directory, "fuse.alone", MS_NOSUID|MS_NODEV, options) < 0 ? complain(directory) : 0;
}
