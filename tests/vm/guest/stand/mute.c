/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of FUSE as it takes to have a file, of which nobody is told the content before somebody says so. What asks meanwhile waits in the
 * kernel, and no stop signal gets through to it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stand.h"

enum {
        FILE_NODE = FUSE_ROOT_ID + 1,
        FILE_SIZE = 4096,
        LOOK_MSEC = 50,
        WAITING_MAX = 16,
};

typedef struct Request {
        struct fuse_in_header header;
        char data[(64 << 10) - sizeof(struct fuse_in_header)];
} Request;

typedef struct Server {
        int fd;
        const char *go;
        uint64_t waiting[WAITING_MAX];
        size_t n_waiting;
} Server;

static int answer(const Server *s, uint64_t unique, int error, const void *data, size_t size) {
        struct fuse_out_header header = { .len = (uint32_t) (sizeof(header) + size), .error = error, .unique = unique };
        struct iovec parts[] = { { &header, sizeof(header) }, { (void *) data, size } };

        /* Nobody waits for it any more: ENOENT. */
        return writev(s->fd, parts, 2) < 0 && errno != ENOENT ? complain("answering the kernel") : 0;
}

static struct fuse_attr attributes(uint64_t node) {
        if (node == FUSE_ROOT_ID)
                return (struct fuse_attr) { .ino = node, .mode = S_IFDIR|0755, .nlink = 2 };
        return (struct fuse_attr) { .ino = node, .mode = S_IFREG|0444, .nlink = 1, .size = FILE_SIZE };
}

static int begin(const Server *s, const Request *q) {
        struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096 };

        if (answer(s, q->header.unique, 0, &out, sizeof(out)) < 0)
                return -1;
        return printf("ready\n") > 0 ? 0 : -1;
}

static int look_up(const Server *s, const Request *q) {
        struct fuse_entry_out out = { .nodeid = FILE_NODE, .attr = attributes(FILE_NODE) };

        if (strcmp(q->data, "file") != 0)
                return answer(s, q->header.unique, -ENOENT, NULL, 0);
        return answer(s, q->header.unique, 0, &out, sizeof(out));
}

static int get_attributes(const Server *s, const Request *q) {
        struct fuse_attr_out out = { .attr = attributes(q->header.nodeid) };

        return answer(s, q->header.unique, 0, &out, sizeof(out));
}

/* Whoever opens it without waiting has it in the page cache. */
static int open_file(const Server *s, const Request *q) {
        const struct fuse_open_in *in = (const void *) q->data;
        struct fuse_open_out out = { .open_flags = in->flags & O_NONBLOCK ? 0 : FOPEN_DIRECT_IO };

        return answer(s, q->header.unique, 0, &out, sizeof(out));
}

static int keep_waiting(Server *s, const Request *q) {
        if (s->n_waiting == WAITING_MAX)
                return answer(s, q->header.unique, -EIO, NULL, 0);
        s->waiting[s->n_waiting++] = q->header.unique;
        return 0;
}

static int serve(Server *s, const Request *q) {
        switch (q->header.opcode) {
        case FUSE_INIT:
                return begin(s, q);
        case FUSE_LOOKUP:
                return look_up(s, q);
        case FUSE_GETATTR:
                return get_attributes(s, q);
        case FUSE_OPEN:
        case FUSE_OPENDIR:
                return open_file(s, q);
        case FUSE_READ:
                return keep_waiting(s, q);
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR:
                return answer(s, q->header.unique, 0, NULL, 0);
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                return 0; /* nobody waits for an answer */
        default:
                return answer(s, q->header.unique, -ENOSYS, NULL, 0);
        }
}

static int answer_all(Server *s) {
        while (s->n_waiting > 0)
                if (answer(s, s->waiting[--s->n_waiting], 0, "x", 1) < 0)
                        return -1;
        return 0;
}

int serve_mutely(const char *directory, const char *go) {
        static Request q;
        char options[128];

        Server s = { .fd = open("/dev/fuse", O_RDWR|O_CLOEXEC), .go = go };
        if (s.fd < 0)
                return complain("/dev/fuse");
        (void) snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", s.fd);
        if (mount("mute", directory, "fuse.mute", MS_NOSUID|MS_NODEV, options) < 0)
                return complain(directory);
        for (;;) {
                if (is_there(s.go) && answer_all(&s) < 0)
                        return -1;
                if (poll(&(struct pollfd) { .fd = s.fd, .events = POLLIN }, 1, LOOK_MSEC) <= 0)
                        continue;
                memset(&q, 0, sizeof(q));
                if (read(s.fd, &q, sizeof(q)) < 0 || serve(&s, &q) < 0)
                        return complain("serving the kernel");
        }
}
