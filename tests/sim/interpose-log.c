/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's log: a file of lines, each a record as /dev/kmsg gives it. What a driver says of a port has the port's name beside it as well, as dev_printk()
 * puts it there. Its clock counts the records: whoever comes late since this machine is busy comes within five seconds all the same. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose.h"
#include "sim.h"

#define LOG STORE "/kmsg"

enum {
        LINE_ROOM = 8192,
        PORT_ROOM = 13,
        FACILITY_USER = 1 << 3, /* what a write to /dev/kmsg gets, */
        WARNING = 4,            /* and where it says no level itself */
};

/* Which record is read next, from 1 on; 0: the descriptor is none of the log. */
static uint64_t at[FDS];

static uint64_t count_records(void) {
        FILE *f = fopen(LOG, "re");
        uint64_t n = 0;

        for (int c; f && (c = getc(f)) != EOF;)
                n += c == '\n';
        if (f)
                (void) fclose(f);
        return n;
}

void kernel_log(unsigned priority, const char *text) {
        uint64_t n = count_records();
        FILE *f = fopen(LOG, "ae");

        if (!f || fprintf(f, "%u,%" PRIu64 ",%" PRIu64 ",-;%s\n", priority, n, n, text) < 0 || fclose(f) != 0)
                sim_die("%s: %s", LOG, strerror(errno));
}

/* Readable when something was written to the log: who listens waits for that. Where there are no more of those it is as if there always were something. */
static int new_waiting(void) {
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

        if (fd < 0)
                return -1;
        (void) REAL(close)(REAL(open)(LOG, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        if (inotify_add_watch(fd, LOG, IN_MODIFY) >= 0)
                return fd;
        (void) REAL(close)(fd);
        return -1;
}

int log_open(void) {
        int fd = new_waiting();

        if (fd < 0)
                fd = memfd_create("kmsg", MFD_CLOEXEC);
        if (fd >= 0 && fd < FDS)
                at[fd] = 1;
        return fd;
}

bool log_is(int fd) {
        return !interposed_inside && fd >= 0 && fd < FDS && at[fd] > 0;
}

void log_close(int fd) {
        if (fd >= 0 && fd < FDS)
                at[fd] = 0;
}

static void add_device(char line[static LINE_ROOM]) {
        char port[PORT_ROOM];
        size_t n = strlen(line);

        const char *text = strchr(line, ';');
        if (text && sscanf(text, ";pcieport %12[0-9a-f:.]: ", port) == 1)
                (void) snprintf(line + n, LINE_ROOM - n, " SUBSYSTEM=pci\n DEVICE=+pci:%s\n", port);
}

ssize_t log_read(int fd, char *buffer, size_t size) {
        char line[LINE_ROOM];
        bool found = false;
        uint64_t n = 0;

        while (REAL(read)(fd, line, sizeof(line)) > 0) /* what is written from now on wakes up again */
                ;
        FILE *f = fopen(LOG, "re");
        while (f && !found && fgets(line, sizeof(line), f))
                found = ++n == at[fd];
        if (f)
                (void) fclose(f);
        if (found)
                add_device(line);
        if (!found || strlen(line) > size) {
                errno = found ? EINVAL : EAGAIN;
                return -1;
        }
        memcpy(buffer, line, strlen(line));
        at[fd]++;
        return (ssize_t) strlen(line);
}

ssize_t log_write(const void *buffer, size_t n) {
        char text[LINE_ROOM];
        unsigned level = WARNING;
        int prefix = 0;

        if (n >= sizeof(text)) {
                errno = EINVAL;
                return -1;
        }
        memcpy(text, buffer, n);
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (sscanf(text, "<%1u>%n", &level, &prefix) < 1 || prefix == 0)
                level = WARNING;
        kernel_log(FACILITY_USER | level, text + prefix);
        return (ssize_t) n;
}

off_t lseek(int fd, off_t offset, int whence) {
        if (!log_is(fd))
                return REAL(lseek)(fd, offset, whence);
        at[fd] = whence == SEEK_END ? count_records() + 1 : 1;
        return 0;
}

off64_t lseek64(int fd, off64_t offset, int whence) {
        return lseek(fd, offset, whence);
}
