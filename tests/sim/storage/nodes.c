/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Device nodes. Nobody may make one where this runs, so they are files of /dev, and STORE "/nodes/INODE" says what each of them is: "c 252:0".
 *
 * Modelled: what stat(2) and its like say of one; names that change (renameat2(2)), also for those who have it open; nodes that come and go with their
 * device. Not modelled: reading and writing. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose.h"
#include "model.h"
#include "storage/nodes.h"
#include "users/process.h"
#include "users/rivals.h"

#define NODES STORE "/nodes"

void loss(const char *format, ...) {
        char text[PATH_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        sim_trace("%s: %s", rival_is_acting() ? "taken by somebody else" : "LOST", text);
}

bool node_number(uint64_t inode, char *ret_kind, unsigned *ret_major, unsigned *ret_minor) {
        char path[64], text[64];

        (void) snprintf(path, sizeof(path), NODES "/%ju", (uintmax_t) inode);
        int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : REAL(read)(fd, text, sizeof(text) - 1);
        if (fd >= 0)
                (void) REAL(close)(fd);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return sscanf(text, "%c %u:%u", ret_kind, ret_major, ret_minor) == 3;
}

static void node_make(const char *name, char kind, const char *number) {
        char path[PATH_MAX], text[64];
        struct stat st;

        (void) REAL(mkdir)(NODES, 0755);
        (void) snprintf(path, sizeof(path), "/dev/%s", name);
        int fd = REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || REAL(fstat)(fd, &st) < 0)
                sim_die("%s: %s", path, strerror(errno));
        (void) REAL(close)(fd);
        (void) snprintf(text, sizeof(text), "%c %s", kind, number);
        tree_put(text, NODES "/%ju", (uintmax_t) st.st_ino);
}

/* Whatever its node is called by now. */
void node_in_use(const char *device, const char *what) {
        static const char *const names[] = { "/dev/%s", "/dev/.safe-remove.%s" };
        char path[PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                (void) snprintf(path, sizeof(path), names[i], strrchr(device, '/') + 1);
                pid_t pid = process_using(path);
                if (pid > 0)
                        loss("%s %s, and process %d uses it", strrchr(device, '/') + 1, what, pid);
        }
}

/* "252:0" of a device that has a number, or "". */
static void number_of(const char *device, char ret[static 32]) {
        tree_get(ret, 32, "%s/dev", device);
}

void node_comes(const char *device, char kind) {
        char number[32];

        number_of(device, number);
        if (!*number)
                return;
        node_make(strrchr(device, '/') + 1, kind, number);
        (void) REAL(mkdir)("/sys/dev", 0755);
        (void) REAL(mkdir)(kind == 'b' ? "/sys/dev/block" : "/sys/dev/char", 0755);
        tree_link(device, "/sys/dev/%s/%s", kind == 'b' ? "block" : "char", number);
}

void node_goes(const char *device, char kind) {
        char number[32], link[64];

        number_of(device, number);
        (void) snprintf(link, sizeof(link), "/sys/dev/%s/%s", kind == 'b' ? "block" : "char", number);
        node_in_use(device, "goes");
        if (!*number)
                return;
        (void) REAL(unlink)(link);
        (void) snprintf(link, sizeof(link), "/dev/%.32s", strrchr(device, '/') + 1);
        (void) REAL(unlink)(link); /* devtmpfs knows its own names alone */
}
