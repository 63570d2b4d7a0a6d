/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds that nothing in /proc shows, or hardly. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "hold.h"

static int give_to_ring(unsigned what, const void *one) {
        struct io_uring_params params = {};

        int ring = (int) syscall(SYS_io_uring_setup, 4, &params);
        if (ring < 0)
                return complain("io_uring_setup");
        return syscall(SYS_io_uring_register, ring, what, one, 1) < 0 ? complain("io_uring_register") : 0;
}

/* The pages stay pinned when the mapping has gone; only VmPin and the ring's fdinfo tell. */
int hold_enroll(Hold *hold) {
        struct iovec buffer = { .iov_base = hold->mapping, .iov_len = hold->size };

        if (give_to_ring(IORING_REGISTER_BUFFERS, &buffer) < 0)
                return -1;
        (void) munmap(hold->mapping, hold->size);
        hold->mapping = NULL;
        return 0;
}

/* The ring has the file open; only its fdinfo tells. */
int hold_by_ring(int *fd) {
        if (give_to_ring(IORING_REGISTER_FILES, fd) < 0)
                return -1;
        (void) close(*fd);
        *fd = -1;
        return 0;
}

/* A descriptor that lies in a socket's queue is in nobody's table. */
int hold_in_flight(int *fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        char byte = 0;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0, ends) < 0)
                return complain("socketpair");

        control.header = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(&control.header), fd, sizeof(*fd));
        if (sendmsg(ends[0], &message, 0) < 0)
                return complain("sendmsg");

        (void) close(*fd);
        *fd = -1;
        return 0;
}

/* A mount that is attached nowhere is in no mount table. */
int hold_clone_mount(const char *path) {
        return syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC) < 0 ? complain("open_tree") : 0;
}

/* It keeps its file system without being a file of it. */
int hold_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        int fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        if (fd < 0)
                return complain("socket");
        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        return bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? complain(path) : 0;
}
