/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "siege.h"

enum {
        PATIENCE_MSEC = 10000, /* twice the kernel's */
};

static int64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* When the kernel wrote down the press: a record is "priority,sequence,microseconds,...;text". */
static int64_t wait_for_press(int kmsg) {
        char record[8192];

        for (;;) {
                ssize_t n = read(kmsg, record, sizeof(record) - 1);
                int64_t usec;

                if (n < 0 && errno == EPIPE)
                        continue;
                if (n < 0)
                        return -errno;
                record[n] = '\0';
                if (strcasestr(record, "button press") && strstr(record, "pciehp") && sscanf(record, "%*u,%*u,%ld", &usec) == 1)
                        return usec;
        }
}

int siege_watch(const char *service) {
        char path[256];
        int kmsg = open("/dev/kmsg", O_RDONLY|O_CLOEXEC);

        snprintf(path, sizeof(path), "/sys/bus/pci_express/drivers/pciehp/%s", service);
        if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
                return -errno;
        printf("ready\n");
        int64_t pressed = wait_for_press(kmsg);
        if (pressed < 0)
                return (int) pressed;
        while (access(path, F_OK) >= 0) {
                if (now_usec() > pressed + PATIENCE_MSEC * 1000) {
                        printf("never held\n");
                        return 0;
                }
                (void) nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
        }
        /* The log's clock is not quite this one. */
        int64_t took = now_usec() - pressed;
        printf("held after %ld ms\n", took > 0 ? took / 1000 : 0);
        return 0;
}
