/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/run-dir.h"

#define RUN_DIR_VARIABLE "SAFE_REMOVE_RUN_DIR"

const char *run_dir(void) {
        return getenv(RUN_DIR_VARIABLE) ?: "/run/safe-remove";
}

int run_socket(const char *name, struct sockaddr_un *ret) {
        _cleanup_free_ char *path = strf("%s/%s", run_dir(), name);

        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (!path || strlen(path) >= sizeof(ret->sun_path))
                return path ? -ENAMETOOLONG : -ENOMEM;
        strcpy(ret->sun_path, path);
        return 0;
}

int run_connect(const struct sockaddr_un *address, int type) {
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int run_listen(const struct sockaddr_un *address, int type, bool group, int backlog) {
        int r = mkdir_private(run_dir());
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void) unlink(address->sun_path);
        if (fd < 0 || bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 || chmod(address->sun_path, group ? 0660 : 0600) < 0 ||
            listen(fd, backlog) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int run_accept(int listener, bool group, struct ucred *ret_who) {
        struct ucred who;
        socklen_t length = sizeof(who);

        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0)
                return -errno;
        if (who.uid != 0 && who.uid != geteuid() && !(group && getegid() != 0 && who.gid == getegid()))
                return -EPERM;
        if (ret_who)
                *ret_who = who;
        return TAKE_FD(fd);
}

bool run_wants_session_bus(void) {
        return streq_ptr(getenv("SAFE_REMOVE_BUS"), "session");
}

int run_private_socket(struct sockaddr_un *ret) {
        return run_wants_session_bus() && !getenv(RUN_DIR_VARIABLE) ? -ENOENT : run_socket("private", ret);
}
