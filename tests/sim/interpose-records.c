/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records: files below the folders of state and of the boot. Each call that changes one is an event, and so is each that makes one last; what has been
 * made to last is kept apart (STORE "/durable"), since that alone outlives a power cut. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"

#define JOURNAL "/journal"

enum {
        PART = 65536,
};

static const char *const folders[] = { "SAFE_REMOVE_STATE_DIR", "SAFE_REMOVE_RUN_DIR" };

static bool is_of_records(const char *path) {
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
                const char *folder = getenv(folders[i]);
                if (folder && strncmp(path, folder, strlen(folder)) == 0)
                        return true;
        }
        return false;
}

static bool is_played(void) {
        return !interposed_inside && shared();
}

const char *records_path(int fd, char buffer[static PATH_MAX]) {
        char link[64];

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, buffer, PATH_MAX - 1);
        if (n < 0)
                return NULL;
        buffer[n] = '\0';
        return is_of_records(buffer) ? buffer : NULL;
}

static void list_folder(const char *path, FILE *to) {
        DIR *d = opendir(path);

        for (struct dirent *e; d && (e = readdir(d));)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        fprintf(to, "%ju %s\n", (uintmax_t) e->d_ino, e->d_name);
        if (d)
                (void) closedir(d);
}

static void copy_file(const char *path, FILE *to) {
        int from = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        char part[PART];

        for (ssize_t n; from >= 0 && (n = REAL(read)(from, part, sizeof(part))) > 0;)
                (void) fwrite(part, 1, (size_t) n, to);
        if (from >= 0)
                (void) REAL(close)(from);
}

/* Files by their inodes, folders as lists of them. */
static void make_durable(int fd) {
        char name[PATH_MAX], self[64];
        struct stat st;

        if (fstat(fd, &st) < 0)
                return;
        (void) snprintf(name, sizeof(name), STORE "/durable/%ju", (uintmax_t) st.st_ino);
        (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        FILE *f = fopen(name, "we");
        if (!f)
                sim_die("%s: %s", name, strerror(errno));
        if (S_ISDIR(st.st_mode))
                list_folder(self, f);
        else
                copy_file(self, f);
        (void) fclose(f);
}

static int fail(int error) {
        errno = error;
        return -1;
}

static int sync_any(int (*real)(int), int fd) {
        char path[PATH_MAX], what[PATH_MAX + 16];
        int64_t arg;

        if (!is_played() || !records_path(fd, path))
                return real(fd);
        (void) snprintf(what, sizeof(what), "sync %s", path);
        FaultKind kind = event_comes(what, what, false, &arg);
        if (kind == FAULT_ERROR || kind == FAULT_LATE_ERROR)
                return fail((int) arg);
        if (kind != FAULT_NOTHING)
                make_durable(fd);
        event_ends(kind, arg);
        return 0;
}

int fsync(int fd) {
        return sync_any(REAL(fsync), fd);
}

int fdatasync(int fd) {
        return sync_any(REAL(fdatasync), fd);
}

/* How long the journal is at which whoever touches the machine may look back. */
static void note_journal(int fd, const char *path) {
        size_t n = strlen(path), suffix = strlen(JOURNAL);
        struct stat st;

        if (n > suffix && strcmp(path + n - suffix, JOURNAL) == 0 && fstat(fd, &st) >= 0)
                shared()->journal_length = (uint64_t) st.st_size;
}

ssize_t records_write(int fd, const char *path, const void *buffer, size_t n) {
        char what[PATH_MAX + 64];
        int64_t arg;

        (void) snprintf(what, sizeof(what), "%zu bytes into %s", n, path);
        FaultKind kind = event_comes(what, path, false, &arg);
        if (kind == FAULT_ERROR)
                return fail((int) arg);
        /* The argument says where, as a part of 256 of what is written. */
        if (kind == FAULT_TORN)
                n = (n * ((size_t) arg & 0xff)) >> 8;
        ssize_t r = kind == FAULT_NOTHING ? (ssize_t) n : REAL(write)(fd, buffer, n);
        note_journal(fd, path);
        event_ends(kind, arg);
        return kind == FAULT_LATE_ERROR ? fail((int) arg) : r;
}

typedef struct NameCall {
        const char *word;
        const char *path, *to;
        mode_t mode;
} NameCall;

static int act(const NameCall *c) {
        if (c->to)
                return REAL(rename)(c->path, c->to);
        return strcmp(c->word, "mkdir") == 0 ? REAL(mkdir)(c->path, c->mode) : strcmp(c->word, "rmdir") == 0 ? REAL(rmdir)(c->path) : REAL(unlink)(c->path);
}

static int name_event(const NameCall *c) {
        char text[PATH_MAX + 32];
        int64_t arg;

        if (!is_played() || !is_of_records(c->to ?: c->path))
                return act(c);
        (void) snprintf(text, sizeof(text), "%s %s", c->word, c->to ?: c->path);
        FaultKind kind = event_comes(text, text, false, &arg);
        if (kind == FAULT_ERROR)
                return fail((int) arg);
        int r = kind == FAULT_NOTHING ? 0 : act(c), error = errno;
        event_ends(kind, arg);
        errno = error;
        return kind == FAULT_LATE_ERROR ? fail((int) arg) : r;
}

int rename(const char *from, const char *to) {
        return name_event(&(NameCall) { .word = "rename", .path = from, .to = to });
}

int unlink(const char *path) {
        return name_event(&(NameCall) { .word = "unlink", .path = path });
}

int rmdir(const char *path) {
        return name_event(&(NameCall) { .word = "rmdir", .path = path });
}

int mkdir(const char *path, mode_t mode) {
        return name_event(&(NameCall) { .word = "mkdir", .path = path, .mode = mode });
}
