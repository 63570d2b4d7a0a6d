/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "kernel/process/apart.h"
#include "kernel/sysfs/write.h"

enum {
        AGAIN_MSEC = 10,
};

/* The data is the path, and after its end the value. */
static int write_value(void *data, char **ret_text) {
        const char *path = data, *value = path + strlen(path) + 1;

        _cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        /* Whoever ends this process for good lets it return no more: it was stopped in the middle, and goes on. */
        while (write(fd, value, strlen(value)) < 0) {
                if (errno != EINTR)
                        return -errno;
                (void) poll(NULL, 0, AGAIN_MSEC);
        }
        return 0;
}

int kernel_write(const char *path, const char *value, const WriteOptions *options) {
        size_t n = strlen(path) + 1, length = n + strlen(value) + 1;
        _cleanup_free_ char *what = strf("%s > %s", value, path), *data = malloc(length);
        const ApartOptions apart = {
                .what = what,
                .flat = length,
                .interruptible = options->kind == WRITE_INTERRUPTIBLE,
                .timeout_usec = options->timeout_usec,
                .cancelled = options->cancelled,
                .meanwhile = options->meanwhile,
                .userdata = options->userdata,
        };

        if (!what || !data)
                return -ENOMEM;
        memcpy(data, path, n);
        memcpy(data + n, value, length - n);
        return run_apart(write_value, data, &apart, NULL);
}
