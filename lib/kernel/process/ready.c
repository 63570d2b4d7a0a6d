/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kernel/process/ready.h"

enum {
        ANSWER_MSEC = 2 * 1000, /* nothing but a stop, or a machine without memory, keeps it for so long */
};

/* A copy of this process has none: the descriptor may be another one's there. */
static struct {
        pid_t owner;
        int fd;
} line = { .fd = -EBADF };

static int send_fds(int fd, const int fds[static READY_FDS]) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int) * READY_FDS)];
        } control = { 0 };
        struct iovec part = { .iov_base = (char[]) { "" }, .iov_len = 1 };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * READY_FDS);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * READY_FDS);
        return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* False: the other side is gone. */
static bool receive_fds(int fd, int fds[static READY_FDS]) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int) * READY_FDS)];
        } control;
        char byte;
        struct iovec part = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        ssize_t n;

        while ((n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
                continue;
        const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int) * READY_FDS))
                return false;
        memcpy(fds, CMSG_DATA(c), sizeof(int) * READY_FDS);
        return true;
}

/* The children are its parent's, who waits for them, and whose end is theirs where they want that. (clone3() the unit's filter does not let pass. What
 * fork() does beside the call is for locks and threads, of which there are none.) */
static _Noreturn void serve(int fd, ready_child_t child) {
        int fds[READY_FDS];

        while (receive_fds(fd, fds)) {
                int pid = (int) syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
                if (pid == 0) {
                        child(fds);
                        _exit(EXIT_FAILURE);
                }
                int answer = pid < 0 ? -errno : pid;
                for (size_t i = 0; i < READY_FDS; i++)
                        close(fds[i]);
                if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
                        break;
        }
        _exit(EXIT_SUCCESS);
}

int ready_make(ready_child_t child) {
        int fds[2];

        if (line.fd >= 0 && line.owner == getpid())
                return 0;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        _cleanup_close_ int theirs = fds[1], ours = fds[0];
        pid_t parent = getpid(), pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(theirs, STDIN_FILENO) < 0 ||
                    syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
                        _exit(EXIT_FAILURE);
                serve(STDIN_FILENO, child);
        }
        line.owner = parent;
        line.fd = TAKE_FD(ours);
        return 0;
}

static void line_end(void) {
        close(TAKE_FD(line.fd));
}

int ready_ask(const int fds[static READY_FDS]) {
        if (line.fd < 0 || line.owner != getpid())
                return -ENOTCONN;
        int r = send_fds(line.fd, fds);
        if (r < 0)
                line_end();
        return r;
}

static int receive_answer(int fd, pid_t *ret) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int answer = 0;

        if (poll(&p, 1, ANSWER_MSEC) <= 0)
                return -ETIME;
        if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer) || answer == 0)
                return -ECHILD;
        if (answer < 0)
                return answer;
        *ret = answer;
        return 0;
}

int ready_take(pid_t *ret) {
        if (line.fd < 0 || line.owner != getpid())
                return -ENOTCONN;
        int r = receive_answer(line.fd, ret);
        /* What it answers later is none of the next one's. */
        if (r < 0)
                line_end();
        return r;
}
