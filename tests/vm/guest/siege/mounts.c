/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "siege.h"

static int ready_for_ever(unsigned made) {
        if (made == 0)
                return -errno;
        printf("ready %u\n", made);
        for (;;)
                (void) pause();
}

static int many_files(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) < 0)
                return -errno;
        l.rlim_cur = l.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &l) < 0 ? -errno : 0;
}

int siege_namespaces(unsigned n) {
        unsigned made = 0;

        if (many_files() < 0 || unshare(CLONE_NEWUSER) < 0)
                return -errno;
        while (made < n && unshare(CLONE_NEWNS) >= 0 && open("/proc/self/ns/mnt", O_RDONLY|O_CLOEXEC) >= 0)
                made++;
        return ready_for_ever(made);
}

int siege_sources(unsigned n) {
        char source[4000], folder[] = "/tmp/siege.XXXXXX";
        unsigned made = 0;

        memset(source, 'x', sizeof(source) - 1);
        source[sizeof(source) - 1] = '\0';
        if (!mkdtemp(folder) || unshare(CLONE_NEWUSER|CLONE_NEWNS) < 0)
                return -errno;
        while (made < n && mount(source, folder, "tmpfs", 0, "size=4k") >= 0)
                made++;
        return ready_for_ever(made);
}

static int bind_again(unsigned n, dev_t wanted) {
        char from[32] = "to0", to[32];
        struct stat st;

        for (unsigned i = 0;; i = (i + 1) % n) {
                snprintf(to, sizeof(to), "to%u", i);
                if (stat(to, &st) < 0)
                        return -errno;
                if (st.st_dev == wanted)
                        memcpy(from, to, sizeof(from));
                else
                        (void) mount(from, to, NULL, MS_BIND, NULL);
        }
}

int siege_binds(unsigned n, const char *from, bool again) {
        char folder[] = "/var/tmp/siege.XXXXXX";
        struct stat st;
        unsigned made = 0;

        if (!mkdtemp(folder) || chdir(folder) < 0 || mkdir("from", 0700) < 0 || unshare(CLONE_NEWUSER|CLONE_NEWNS) < 0)
                return -errno;
        if (!from)
                from = "from";
        if (stat(from, &st) < 0)
                return -errno;
        for (; made < n; made++) {
                char to[32];

                snprintf(to, sizeof(to), "to%u", made);
                if (mkdir(to, 0700) < 0 || mount(from, to, NULL, MS_BIND, NULL) < 0)
                        break;
        }
        if (again && made > 0) {
                printf("ready %u\n", made);
                return bind_again(made, st.st_dev);
        }
        return ready_for_ever(made);
}
