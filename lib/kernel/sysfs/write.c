/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "kernel/process/apart.h"
#include "kernel/sysfs/write.h"

enum {
        AGAIN_MSEC = 10,
};

typedef struct Write {
        const char *path, *value;
} Write;

static int write_value(void *data, char **ret_text) {
        const Write *w = data;

        _cleanup_close_ int fd = open(w->path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        /* Whoever ends this process for good lets it return no more: it was stopped in the middle, and goes on. */
        while (write(fd, w->value, strlen(w->value)) < 0) {
                if (errno != EINTR)
                        return -errno;
                (void) poll(NULL, 0, AGAIN_MSEC);
        }
        return 0;
}

int kernel_write(const char *path, const char *value, const WriteOptions *options) {
        _cleanup_free_ char *what = strf("%s > %s", value, path);
        Write w = { .path = path, .value = value };
        const ApartOptions apart = {
                .what = what,
                .interruptible = options->kind == WRITE_INTERRUPTIBLE,
                .timeout_usec = options->timeout_usec,
                .cancelled = options->cancelled,
                .userdata = options->userdata,
        };

        return what ? run_apart(write_value, &w, &apart, NULL) : -ENOMEM;
}
