/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files that a process of the simulated machine has open. Loaded before the C library, so that its libraries' calls come here too. What is read is
 * read from the recorded machine's tree; who writes to an attribute of it speaks with the model. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"
#include "storage/interpose-mounts.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum {
        VALUE_ROOM = 4096,
};

__thread bool interposed_inside;

/* Which attribute a descriptor writes to. */
static char *attr_of[FDS];

/* --- the model */

static __thread int lock = -1;

/* One at a time, in whichever process. Opened each time: a child that has inherited the lock would be let in by it. */
void model_enter(void) {
        interposed_inside = true;
        lock = REAL(open)(STORE "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        (void) flock(lock, LOCK_EX);
}

void model_leave(void) {
        (void) REAL(close)(lock);
        interposed_inside = false;
}

int answered(int r) {
        if (r >= 0)
                return r;
        errno = -r;
        return -1;
}

/* Where the kernel keeps nobody for ever it does not either, and what it does at once it does not refuse when it is done. */
static FaultKind kind_of(FaultKind kind, int64_t arg, bool at_once) {
        if (at_once && kind == FAULT_LATE_ERROR)
                return FAULT_ERROR;
        return at_once && kind == FAULT_HANG && arg == 0 ? FAULT_NONE : kind;
}

/* It takes a lock of its own, and waits for none of the processes of the group. So the worker writes to it by itself. */
static bool is_freezer(const char *attr) {
        const char *name = strrchr(attr, '/');

        return name && strcmp(name, "/cgroup.freeze") == 0;
}

static int call(const char *what, int (*act)(void *userdata), void *userdata, bool at_once) {
        int64_t arg;
        int r = 0;

        note_touched();
        FaultKind kind = event_comes(what, what, true, &arg);
        kind = kind_of(kind, arg, at_once);
        if (kind == FAULT_ERROR)
                r = (int) -arg;
        else if (kind != FAULT_NOTHING) {
                model_enter();
                r = act(userdata);
                model_leave();
        }
        if (kind == FAULT_LATE_ERROR)
                r = (int) -arg;
        if (r < 0)
                sim_trace("= %s", strerror(-r));
        event_ends(kind, arg);
        return answered(r);
}

int interposed_call(const char *what, int (*act)(void *userdata), void *userdata) {
        return call(what, act, userdata, false);
}

int interposed_call_at_once(const char *what, int (*act)(void *userdata), void *userdata) {
        return call(what, act, userdata, true);
}

void interpose_forget(unsigned first) {
        for (unsigned fd = first; fd < FDS; fd++) {
                attr_of[fd] = NULL;
                log_close((int) fd);
        }
}

void actor_acts_now(int64_t number) {
        model_enter();
        actor_acts(number);
        model_leave();
}

static int tell_attr(const char *attr, const char *value, int64_t half) {
        model_enter();
        kernel_set_half((unsigned) half);
        int r = kernel_attr_write(attr, value);
        kernel_set_half(0);
        model_leave();
        return r;
}

/* A write to an attribute, as the kernel or a fault answers it: 0 or a negative errno. */
static int attr_write(const char *attr, const char *value) {
        char what[PATH_MAX + VALUE_ROOM];
        int64_t arg;

        (void) snprintf(what, sizeof(what), "%s > %s", value, attr);
        note_touched();
        FaultKind kind = event_comes(what, what, true, &arg);
        kind = kind_of(kind, arg, is_freezer(attr));
        int r = kind == FAULT_ERROR ? (int) -arg : kind == FAULT_NOTHING ? 0 : tell_attr(attr, value, kind == FAULT_HALF ? arg : 0);
        if (kind == FAULT_LATE_ERROR)
                r = (int) -arg;
        if (r < 0)
                sim_trace("= %s", strerror(-r));
        event_ends(kind, arg);
        return r;
}

/* --- which file is meant */

static bool whole_path(int dirfd, const char *path, char ret[static PATH_MAX]) {
        char link[64], folder[PATH_MAX];

        if (path[0] == '/')
                return snprintf(ret, PATH_MAX, "%s", path) < PATH_MAX;
        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
        ssize_t n = dirfd == AT_FDCWD ? (getcwd(folder, sizeof(folder)) ? (ssize_t) strlen(folder) : -1) : readlink(link, folder, sizeof(folder) - 1);
        if (n < 0)
                return false;
        folder[n] = '\0';
        return snprintf(ret, PATH_MAX, "%s/%s", folder, path) < PATH_MAX;
}

/* The attribute's path without links, newly allocated; NULL: it is none. */
static char *attr_path(int dirfd, const char *path) {
        char whole[PATH_MAX], folder[PATH_MAX], *ret = NULL;

        if (!whole_path(dirfd, path, whole) || (strncmp(whole, "/sys/", 5) != 0 && strncmp(whole, "/proc/", 6) != 0))
                return NULL;
        char *slash = strrchr(whole, '/');
        *slash = '\0';
        if (!realpath(whole, folder) || strncmp(folder, "/sys", 4) != 0)
                return NULL;
        return asprintf(&ret, "%s/%s", folder, slash + 1) < 0 ? NULL : ret;
}

typedef int open_t(int dirfd, const char *path, int flags, ...);

/* Beside what the recorded machine has there are the simulation's own processes, and a boot that ends with a power cut. */
static int open_to_read(open_t *real, int dirfd, const char *path, int flags, mode_t mode) {
        char own[PATH_MAX];

        if (!interposed_inside && strcmp(path, BOOT_ID) == 0 && shared())
                return real(dirfd, STORE "/boot_id", flags, mode);
        int fd = real(dirfd, path, flags, mode);
        if (fd < 0 && errno == ENOENT && strncmp(path, "/proc/", 6) == 0 && process_is_own(path + 6) &&
            snprintf(own, sizeof(own), "/proc/.real/%s", path + 6) < (int) sizeof(own))
                fd = real(dirfd, own, flags, mode);
        return fd;
}

static int open_any(open_t *real, int dirfd, const char *path, int flags, mode_t mode) {
        if (!interposed_inside && strcmp(path, "/dev/kmsg") == 0)
                return log_open();
        int of_mounts = mount_open(dirfd, path, flags);
        if (of_mounts != -2)
                return of_mounts;
        if (interposed_inside || (flags & O_ACCMODE) == O_RDONLY)
                return open_to_read(real, dirfd, path, flags, mode);
        char *attr = attr_path(dirfd, path);
        if (!attr)
                return real(dirfd, path, flags, mode);
        int fd = real(dirfd, path, (flags & ~(O_TRUNC | O_ACCMODE)) | O_RDWR, mode);
        if (fd < 0 && errno == ENOENT && kernel_has_attr(attr))
                fd = memfd_create("attribute", MFD_CLOEXEC);
        if (fd < 0 || fd >= FDS) {
                free(attr);
                return fd;
        }
        free(attr_of[fd]);
        attr_of[fd] = attr;
        return fd;
}

#define MODE(flags, mode)                                          \
        mode_t mode = 0;                                           \
        if ((flags) & (O_CREAT | O_TMPFILE)) {                     \
                va_list ap;                                        \
                va_start(ap, flags);                               \
                mode = va_arg(ap, mode_t);                         \
                va_end(ap);                                        \
        }

int open(const char *path, int flags, ...) {
        MODE(flags, mode)
        return open_any(REAL(openat), AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
        MODE(flags, mode)
        return open_any(REAL(openat), AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...) {
        MODE(flags, mode)
        return open_any(REAL(openat), dirfd, path, flags, mode);
}

int openat64(int dirfd, const char *path, int flags, ...) {
        MODE(flags, mode)
        return open_any(REAL(openat), dirfd, path, flags, mode);
}

/* What a program calls that was built with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
ssize_t __read_chk(int fd, void *buffer, size_t n, size_t size);

int __open_2(const char *path, int flags) {
        return open_any(REAL(openat), AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags) {
        return open_any(REAL(openat), AT_FDCWD, path, flags, 0);
}

int __openat_2(int dirfd, const char *path, int flags) {
        return open_any(REAL(openat), dirfd, path, flags, 0);
}

int __openat64_2(int dirfd, const char *path, int flags) {
        return open_any(REAL(openat), dirfd, path, flags, 0);
}

int close(int fd) {
        if (fd >= 0 && fd < FDS) {
                free(attr_of[fd]);
                attr_of[fd] = NULL;
        }
        log_close(fd);
        return REAL(close)(fd);
}

/* --- reading and writing */

ssize_t read(int fd, void *buffer, size_t n) {
        return log_is(fd) ? log_read(fd, buffer, n) : REAL(read)(fd, buffer, n);
}

ssize_t __read_chk(int fd, void *buffer, size_t n, size_t size) {
        (void) size;
        return read(fd, buffer, n);
}

ssize_t write(int fd, const void *buffer, size_t n) {
        char value[VALUE_ROOM], path[PATH_MAX];

        if (log_is(fd))
                return log_write(buffer, n);
        if (interposed_inside || fd < 0 || fd >= FDS)
                return REAL(write)(fd, buffer, n);
        if (!attr_of[fd])
                return shared() && fd > STDERR_FILENO && records_path(fd, path) ? records_write(fd, path, buffer, n) : REAL(write)(fd, buffer, n);
        if (n >= sizeof(value)) {
                errno = EINVAL;
                return -1;
        }
        memcpy(value, buffer, n);
        value[n] = '\0';
        value[strcspn(value, "\n")] = '\0';
        int r = attr_write(attr_of[fd], value);
        if (r < 0) {
                errno = -r;
                return -1;
        }
        return (ssize_t) n;
}

/* A byte of a function's configuration space. */
ssize_t pwrite64(int fd, const void *buffer, size_t n, off_t at) {
        char what[PATH_MAX + 64];
        uint8_t byte;
        int64_t arg;

        if (interposed_inside || fd < 0 || fd >= FDS || !attr_of[fd] || n != 1)
                return REAL(pwrite64)(fd, buffer, n, at);
        byte = *(const uint8_t *) buffer;
        (void) snprintf(what, sizeof(what), "0x%02x > %s at 0x%jx", byte, attr_of[fd], (uintmax_t) at);
        note_touched();
        FaultKind kind = event_comes(what, what, true, &arg);
        if (kind != FAULT_ERROR && kind != FAULT_NOTHING) {
                model_enter();
                kernel_register_write(attr_of[fd], fd, at, byte);
                model_leave();
        }
        event_ends(kind, arg);
        if (kind == FAULT_ERROR || kind == FAULT_LATE_ERROR) {
                errno = (int) arg;
                return -1;
        }
        return 1;
}

ssize_t pwrite(int fd, const void *buffer, size_t n, off_t at) {
        return pwrite64(fd, buffer, n, at);
}
