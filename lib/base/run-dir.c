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

uid_t run_owner(void) {
        struct stat st;

        return stat(run_dir(), &st) < 0 ? 0 : st.st_uid;
}

/* Others may go through, and see no names. */
static int open_way(const char *folder) {
        struct stat st;

        if (stat(folder, &st) < 0)
                return -errno;
        return st.st_mode & S_IXOTH || chmod(folder, (st.st_mode & 0777) | S_IXGRP | S_IXOTH) >= 0 ? 0 : -errno;
}

/* The folder of a socket: run_dir(), or one in it. */
static int make_way(const struct sockaddr_un *address, bool open) {
        _cleanup_free_ char *folder = strndup(address->sun_path, (size_t) (strrchr(address->sun_path, '/') - address->sun_path));
        if (!folder)
                return -ENOMEM;

        int r = mkdir_private(run_dir());
        if (r >= 0)
                r = mkdir_private(folder);
        if (r >= 0 && open)
                r = open_way(run_dir());
        return r >= 0 && open ? open_way(folder) : r;
}

int run_listen(const struct sockaddr_un *address, int type, RunFor whom, int backlog) {
        static const mode_t modes[] = { [RUN_OWNER] = 0600, [RUN_GROUP] = 0660, [RUN_EVERYBODY] = 0666 };

        int r = make_way(address, whom == RUN_EVERYBODY);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void) unlink(address->sun_path);
        if (fd < 0 || bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0 || chmod(address->sun_path, modes[whom]) < 0 ||
            listen(fd, backlog) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int run_accept_any(int listener, struct ucred *ret_who) {
        socklen_t length = sizeof(*ret_who);

        _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_who, &length) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int run_accept(int listener, bool group, struct ucred *ret_who) {
        struct ucred who;

        _cleanup_close_ int fd = run_accept_any(listener, &who);
        if (fd < 0)
                return TAKE_FD(fd);
        if (who.uid != 0 && who.uid != run_owner() && !(group && getegid() != 0 && who.gid == getegid()))
                return -EPERM;
        if (ret_who)
                *ret_who = who;
        return TAKE_FD(fd);
}

bool run_wants_session_bus(void) {
        return streq_ptr(getenv("SAFE_REMOVE_BUS"), "session");
}

static int way_without_bus(const char *name, struct sockaddr_un *ret) {
        return run_wants_session_bus() && !getenv(RUN_DIR_VARIABLE) ? -ENOENT : run_socket(name, ret);
}

int run_private_socket(struct sockaddr_un *ret) {
        return way_without_bus("daemon/private", ret);
}

int run_public_socket(struct sockaddr_un *ret) {
        return way_without_bus("daemon/public", ret);
}
