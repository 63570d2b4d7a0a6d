/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which nodes the kernel is asked to keep our memory on, on a recorded machine. Its answers are the test's. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "kernel/memory/own-memory.h"
#include "tests/unit/test.h"

static struct {
        int mode;
        unsigned long nodes, from, to;
        unsigned n_set, n_moved;
        int error; /* of a policy */
} asked;

/* In front of the C library's. */
long syscall(long number, ...) {
        long (*real)(long, ...) = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
        long a[6];
        va_list args;

        va_start(args, number);
        for (size_t i = 0; i < 6; i++)
                a[i] = va_arg(args, long);
        va_end(args);
        if (number == SYS_set_mempolicy) {
                asked.mode = (int) a[0];
                asked.nodes = a[1] ? *(unsigned long *) a[1] : 0;
                asked.n_set++;
                errno = asked.error;
                return asked.error ? -1 : 0;
        }
        if (number == SYS_migrate_pages) {
                asked.from = *(unsigned long *) a[2];
                asked.to = *(unsigned long *) a[3];
                asked.n_moved++;
                return 3; /* pages that cannot be moved: no error */
        }
        return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int main(int argc, char *argv[]) {
        CHECK_INT(own_memory_bind(), 0);
        CHECK_INT(asked.n_set, 1);
        CHECK_INT(asked.mode, MPOL_BIND | MPOL_F_STATIC_NODES);
        CHECK_INT(asked.nodes, 1);
        /* The card's node has memory, and no processor. */
        if (streq(argv[1], "ram2")) {
                CHECK_INT(asked.n_moved, 1);
                CHECK_INT(asked.from, 2);
                CHECK_INT(asked.to, 1);
        } else
                CHECK_INT(asked.n_moved, 0);

        asked.error = ENOSYS; /* a kernel that knows no nodes */
        CHECK_INT(own_memory_bind(), 0);
        asked.error = EINVAL;
        CHECK_INT(own_memory_bind(), -EINVAL);
        CHECK_INT(asked.n_moved, streq(argv[1], "ram2") ? 1 : 0);
        asked.error = 0;
        CHECK_INT(own_memory_unbind(), 0);
        CHECK_INT(asked.mode, MPOL_DEFAULT);
        return EXIT_SUCCESS;
}
