/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pins that come and go. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "pin.h"

/* The child of a process that nobody may trace any more ends with it. */
static int have_child(void) {
        pid_t child = fork();

        if (child < 0)
                return complain("fork");
        if (child == 0)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        return child;
}

int peek_forever(const void *start, size_t length) {
        pid_t parent = getpid(), child = have_child();
        if (child != 0)
                return child;

        char *copy = malloc(length);
        struct iovec here = { .iov_base = copy, .iov_len = length }, there = { .iov_base = (void *) start, .iov_len = length };
        while (copy && process_vm_readv(parent, &here, 1, &there, 1, 0) > 0)
                ;
        _exit(complain("process_vm_readv") < 0);
}

int read_forever(const char *device, void *start, size_t length) {
        int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
        if (fd < 0)
                return complain(device);

        pid_t child = have_child();
        if (child != 0) {
                (void) close(fd);
                return child;
        }
        while (pread(fd, start, length, 0) >= 0)
                ;
        _exit(complain("pread") < 0);
}
