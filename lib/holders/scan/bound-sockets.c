/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "holders/scan/bound-sockets.h"

enum {
        MESSAGES_SIZE = 32 * 1024, /* the kernel fills what it is offered (netlink_dump()) */

        /* How the kernel itself packs a device number (include/linux/kdev_t.h). */
        KERNEL_MINOR_BITS = 20,
};

void bound_sockets_done(BoundSockets *b) {
        for (size_t i = 0; i < b->n_items; i++)
                free(b->items[i].path);
        free(b->items);
        id_map_done(&b->by_inode);
        id_map_done(&b->namespaces);
        *b = (BoundSockets) { 0 };
}

const BoundSocket *bound_socket(const BoundSockets *b, uint64_t inode) {
        size_t i;

        return id_map_find(&b->by_inode, inode, &i) ? &b->items[i] : NULL;
}

static bool find_target(const HoldTargets *targets, uint32_t kernel_dev, size_t *ret) {
        dev_t dev = makedev(kernel_dev >> KERNEL_MINOR_BITS, kernel_dev & ((1U << KERNEL_MINOR_BITS) - 1));

        for (size_t i = 0; i < targets->n_items; i++)
                if (targets->items[i].kind == TARGET_FS && targets->items[i].dev == dev) {
                        *ret = i;
                        return true;
                }
        return false;
}

int bound_socket_parse(const void *data, size_t size, const HoldTargets *targets, BoundSocket *ret) {
        const char *p = data, *name = NULL;
        struct unix_diag_msg msg;
        size_t name_length = 0;
        bool found = false;
        BoundSocket s = { 0 };

        if (size < sizeof(msg))
                return -EBADMSG;
        memcpy(&msg, p, sizeof(msg));
        s.inode = msg.udiag_ino;

        for (size_t at = sizeof(msg); at + sizeof(struct rtattr) <= size;) {
                struct unix_diag_vfs vfs;
                struct rtattr attr;

                memcpy(&attr, p + at, sizeof(attr));
                if (attr.rta_len < sizeof(attr) || attr.rta_len > size - at)
                        return -EBADMSG;
                size_t length = attr.rta_len - sizeof(attr);
                const char *payload = p + at + sizeof(attr);
                if (attr.rta_type == UNIX_DIAG_VFS && length >= sizeof(vfs)) {
                        memcpy(&vfs, payload, sizeof(vfs));
                        found = find_target(targets, vfs.udiag_vfs_dev, &s.target);
                } else if (attr.rta_type == UNIX_DIAG_NAME) {
                        name = payload;
                        name_length = length;
                }
                at += RTA_ALIGN(attr.rta_len);
        }
        if (!found)
                return 0;
        if (name && !(s.path = strndup(name, name_length)))
                return -ENOMEM;
        *ret = s;
        return 1;
}

/* 1 at the end of the list. */
static int take_messages(BoundSockets *b, const HoldTargets *targets, const char *messages, size_t size) {
        for (size_t at = 0; at + sizeof(struct nlmsghdr) <= size;) {
                struct nlmsghdr header;
                BoundSocket s;

                memcpy(&header, messages + at, sizeof(header));
                if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size - at)
                        return -EBADMSG;
                /* The answer to a kernel without this is an error; that it has nothing more to say is no error either. */
                if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR)
                        return 1;

                int r = vec_grow((void **) &b->items, b->n_items, &b->n_allocated, sizeof(s));
                if (r >= 0)
                        r = bound_socket_parse(messages + at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN, targets, &s);
                if (r < 0)
                        return r;
                if (r > 0) {
                        b->items[b->n_items++] = s;
                        r = id_map_add(&b->by_inode, s.inode, b->n_items - 1);
                }
                if (r < 0)
                        return r;
                at += NLMSG_ALIGN(header.nlmsg_len);
        }
        return 0;
}

static int ask(BoundSockets *b, const HoldTargets *targets) {
        struct {
                struct nlmsghdr header;
                struct unix_diag_req request;
        } message = {
                .header = {
                        .nlmsg_len = sizeof(message),
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                },
                .request = {
                        .sdiag_family = AF_UNIX,
                        .udiag_states = UINT32_MAX,
                        .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS,
                },
        };
        _Alignas(struct nlmsghdr) char messages[MESSAGES_SIZE];

        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0)
                return errno == EPROTONOSUPPORT ? 0 : -errno;
        if (send(fd, &message, sizeof(message), 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        for (;;) {
                ssize_t n = recv(fd, messages, sizeof(messages), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                int r = take_messages(b, targets, messages, (size_t) n);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
}

typedef struct AskElsewhere {
        BoundSockets *sockets;
        const HoldTargets *targets;
        int namespace_fd;
        int result;
} AskElsewhere;

static void *ask_elsewhere(void *userdata) {
        AskElsewhere *a = userdata;

        a->result = setns(a->namespace_fd, CLONE_NEWNET) < 0 ? -errno : ask(a->sockets, a->targets);
        return NULL;
}

/* By a thread that is for nothing else: nobody has to come back from there. */
static int ask_in(BoundSockets *b, const HoldTargets *targets, int namespace_fd) {
        AskElsewhere a = { .sockets = b, .targets = targets, .namespace_fd = namespace_fd };
        pthread_t thread;

        int r = pthread_create(&thread, NULL, ask_elsewhere, &a);
        if (r != 0)
                return -r;
        (void) pthread_join(thread, NULL);
        return a.result;
}

int bound_sockets_learn(BoundSockets *b, const HoldTargets *targets, int dirfd) {
        struct stat st, own;
        size_t at;

        _cleanup_close_ int fd = openat(dirfd, "ns/net", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (id_map_find(&b->namespaces, st.st_ino, &at))
                return 0;
        bool here = stat("/proc/thread-self/ns/net", &own) >= 0 && own.st_ino == st.st_ino;
        int r = here ? ask(b, targets) : ask_in(b, targets, fd);
        if (r >= 0)
                r = id_map_add(&b->namespaces, st.st_ino, 0);
        return r < 0 ? r : 0;
}
