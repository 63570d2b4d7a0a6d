/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/id-map.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

typedef struct Claim {
        dev_t dev;
        int fd;
} Claim;

/* Of the process, as its descriptors are. */
static Claim *claims;
static size_t n_claims, n_allocated;

/* Those that lasted until the device was gone. */
static IdMap lasted;

static Claim *find(dev_t dev) {
        for (size_t i = 0; i < n_claims; i++)
                if (claims[i].dev == dev)
                        return &claims[i];
        return NULL;
}

static void drop(Claim *c) {
        close(c->fd);
        *c = claims[--n_claims];
        if (n_claims > 0)
                return;
        free(claims);
        claims = NULL;
        n_allocated = 0;
}

/* Opening a node can have effects, so it is looked at through a descriptor that opens nothing, and that one is opened. */
static int open_exclusively(const char *path, dev_t dev) {
        _cleanup_close_ int node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (node < 0 || fstat(node, &st) < 0)
                return -errno;
        if (!S_ISBLK(st.st_mode) || st.st_rdev != dev)
                return -ESTALE;
        _cleanup_free_ char *same = strf("/proc/self/fd/%d", node);
        if (!same)
                return -ENOMEM;
        int fd = open(same, O_RDONLY | O_EXCL | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

typedef union FdMessage {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
} FdMessage;

static int send_answer(int channel, int answer) {
        FdMessage control = { 0 };
        struct iovec text = { &answer, sizeof(answer) };
        struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1 };

        if (answer >= 0) {
                m.msg_control = control.space;
                m.msg_controllen = sizeof(control.space);
                control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.head), &answer, sizeof(int));
        }
        return sendmsg(channel, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The descriptor, or the error that the other side had. */
static int receive_answer(int channel) {
        FdMessage control = { 0 };
        int answer = -ECHILD, fd = -ECHILD;
        struct iovec text = { &answer, sizeof(answer) };
        struct msghdr m = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space) };

        ssize_t n = recvmsg(channel, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n != sizeof(answer))
                return n < 0 ? -errno : -ECHILD;
        if (answer < 0)
                return answer;
        if (m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
        return fd;
}

static int wait_for_answer(int channel, uint64_t timeout_usec) {
        uint64_t deadline = now_monotonic() + timeout_usec;

        for (;;) {
                uint64_t now = now_monotonic();
                struct pollfd p = { .fd = channel, .events = POLLIN };
                if (now >= deadline)
                        return -EINPROGRESS;
                int r = poll(&p, 1, (int) ((deadline - now) / USEC_PER_MSEC) + 1);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r > 0)
                        return receive_answer(channel);
        }
}

/* A driver may keep an open waiting for ever (a controller that is being reset): another process makes it and hands it over. One that
 * is left behind gets nobody to hand it to, and its claim ends with it. */
static int open_apart(const char *path, dev_t dev, uint64_t timeout_usec) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        _cleanup_close_ int ours = fds[0], theirs = fds[1];

        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                /* Left behind for ever it must hold nothing that anybody waits for. */
                if (dup2(theirs, STDIN_FILENO) < 0 || syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
                        _exit(EXIT_FAILURE);
                _exit(send_answer(STDIN_FILENO, open_exclusively(path, dev)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        close(TAKE_FD(theirs));
        int r = wait_for_answer(ours, timeout_usec);
        if (r != -EINPROGRESS)
                (void) waitpid(pid, NULL, 0);
        return r;
}

int claim_take(dev_t dev, uint64_t timeout_usec) {
        _cleanup_free_ char *path = NULL;

        if (find(dev))
                return 0;
        int r = vec_grow((void **) &claims, n_claims, &n_allocated, sizeof(Claim));
        if (r >= 0)
                r = blockdev_node(dev, &path);
        if (r >= 0)
                r = open_apart(path, dev, timeout_usec);
        if (r < 0)
                return r == -ENXIO ? -ENODEV : r;
        claims[n_claims++] = (Claim) { .dev = dev, .fd = r };
        return 0;
}

bool claim_is_held(dev_t dev) {
        return find(dev);
}

void claim_give(dev_t dev) {
        Claim *c = find(dev);

        if (c)
                drop(c);
}

void claims_sweep(void) {
        for (size_t i = n_claims; i > 0; i--)
                if (!path_existsf("/sys/dev/block/%u:%u", major(claims[i - 1].dev), minor(claims[i - 1].dev))) {
                        (void) id_map_add(&lasted, claims[i - 1].dev, 0); /* one that cannot be remembered did not */
                        drop(&claims[i - 1]);
                }
}

bool claim_lasted(dev_t dev) {
        size_t i;

        claims_sweep();
        return id_map_find(&lasted, dev, &i);
}

/* Reading only: a device that was open for writing makes udev look at it anew when it is closed. */
static int claim_apart(void *data, char **ret_text) {
        _cleanup_close_ int fd = open(data, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        return fd < 0 ? -errno : 0;
}

int blockdev_claimed(dev_t dev, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *path = NULL;

        if (claim_is_held(dev))
                return 0;
        int r = blockdev_node(dev, &path);
        if (r >= 0)
                r = run_apart(claim_apart, path, &options, NULL);
        return r == -EBUSY ? 1 : r == -ENODEV || r == -ENXIO ? 0 : r;
}
