/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes writes to kernel attributes, "PATH VALUE" a line on standard input, and prints how many microseconds were spent
 * inside write(2): the floor below which no procedure made of these writes can get. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

static int timed_write(const char *path, const char *value, uint64_t *total) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        uint64_t start = now_nsec();
        ssize_t n = write(fd, value, strlen(value));
        int error = n < 0 ? -errno : 0;
        *total += now_nsec() - start;
        close(fd);
        return error;
}

int main(void) {
        char *line = NULL;
        size_t allocated = 0;
        uint64_t total = 0;

        for (ssize_t n; (n = getline(&line, &allocated, stdin)) > 0;) {
                line[strcspn(line, "\n")] = '\0';
                char *value = strchr(line, ' ');
                if (!value)
                        continue;
                *value++ = '\0';
                int r = timed_write(line, value, &total);
                if (r < 0) {
                        fprintf(stderr, "timed-writes: %s to %s: %s\n", value, line, strerror(-r));
                        return EXIT_FAILURE;
                }
        }
        free(line);
        printf("%ju\n", (uintmax_t) (total / 1000));
        return EXIT_SUCCESS;
}
