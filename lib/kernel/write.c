/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "kernel/apart.h"
#include "kernel/write.h"

typedef struct Write {
        const char *path, *value;
} Write;

static int write_value(void *data, char **ret_text) {
        const Write *w = data;

        _cleanup_close_ int fd = open(w->path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
        return fd < 0 || write(fd, w->value, strlen(w->value)) < 0 ? -errno : 0;
}

int kernel_write(const char *path, const char *value, const WriteOptions *options) {
        Write w = { .path = path, .value = value };
        const ApartOptions apart = {
                .interruptible = options->kind == WRITE_INTERRUPTIBLE,
                .timeout_usec = options->timeout_usec,
                .cancelled = options->cancelled,
                .userdata = options->userdata,
        };

        return run_apart(write_value, &w, &apart, NULL);
}
