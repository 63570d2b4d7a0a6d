/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A worker that is made before it is needed: all that it has done is to be linked. It holds nothing of the machine, so nothing that it knows
 * can be out of date, but for itself: an upgrade may have come since. */
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "daemon/source/guard-socket.h"
#include "kernel/process/process-stat.h"
#include "ready.h"

#define COMM_WAITING "safe-remove-idl" /* as ps(1) shows it, so that nobody takes it for one at work */

enum {
        FILES_MAX = 64,
        COMM_MAX = 16,
};

/* A file that was changed so shortly before the start of this process, or after it, may have another one at its name by now than was linked. */
#define LINKED_USEC USEC_PER_SEC

typedef struct Files {
        struct {
                const char *path;
                struct stat stat;
        } file[FILES_MAX];
        size_t n;
        uint64_t since;        /* wall clock: what was changed later may not be what was linked */
        bool unknown;          /* one of them cannot be told from another */
} Files;

static bool is_older(const struct stat *st, uint64_t since) {
        return (uint64_t) st->st_ctim.tv_sec * USEC_PER_SEC + (uint64_t) st->st_ctim.tv_nsec / 1000 < since;
}

static const char *own_path(void) {
        return (const char *) getauxval(AT_EXECFN);
}

/* The program itself has no name here, and the kernel's part has one that is no path. The dynamic linker keeps the names. */
static int add_file(struct dl_phdr_info *info, size_t size, void *userdata) {
        const char *path = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : own_path();
        Files *files = userdata;

        if (path && *path != '/')
                return 0;
        if (!path || files->n == FILES_MAX || stat(path, &files->file[files->n].stat) < 0 || !is_older(&files->file[files->n].stat, files->since))
                files->unknown = true;
        else
                files->file[files->n++].path = path;
        return files->unknown;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* An upgrade puts another file in its place. Who writes into it changes its times. */
static bool is_same_file(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && is_same_time(&a->st_mtim, &b->st_mtim) &&
               is_same_time(&a->st_ctim, &b->st_ctim);
}

static bool are_same(const Files *files) {
        struct stat now;

        for (size_t i = 0; i < files->n; i++)
                if (stat(files->file[i].path, &now) < 0 || !is_same_file(&files->file[i].stat, &now))
                        return false;
        return !files->unknown;
}

static int run_anew(const char *verb) {
        const char *path = own_path(), *const argv[] = { "safe-remove-worker", verb, NULL };

        (void) execv(path ?: "", (char *const *) argv);
        int r = -errno;
        fprintf(stderr, "%s: %s\n", path ?: "?", strerror(-r));
        return r;
}

/* The wall clock when this process began, and a moment before; 0: not known. It was linked after that. */
static uint64_t wall_at_start(void) {
        _cleanup_free_ char *text = NULL;
        struct timespec up;
        ProcessStat st;

        if (read_file("/proc/self/stat", &text, NULL) < 0 || stat_parse(text, &st) < 0 || clock_gettime(CLOCK_BOOTTIME, &up) < 0)
                return 0;
        uint64_t ticks = (uint64_t) sysconf(_SC_CLK_TCK), now = (uint64_t) up.tv_sec * USEC_PER_SEC + (uint64_t) up.tv_nsec / 1000;
        uint64_t age = now - st.start_time * USEC_PER_SEC / ticks + LINKED_USEC, wall = now_wall();
        return age < wall ? wall - age : 0;
}

int ready_wait(char *word, const char **ret_verb) {
        size_t size = strlen(word) + 1;
        char comm[COMM_MAX] = "";
        int stream = -EBADF;
        ssize_t n;
        Files files = { .since = wall_at_start() };

        (void) dl_iterate_phdr(add_file, &files);
        if (send(STDIN_FILENO, READY_SAYS, strlen(READY_SAYS), MSG_NOSIGNAL) < 0)
                exit(EXIT_SUCCESS);
        (void) prctl(PR_GET_NAME, comm);
        (void) prctl(PR_SET_NAME, COMM_WAITING);
        do
                n = guard_receive(STDIN_FILENO, word, size - 1, 0, &stream);
        while (n == -EINTR);
        if (n <= 0 || stream < 0)
                exit(EXIT_SUCCESS);

        memset(word + n, 0, size - (size_t) n);
        (void) prctl(PR_SET_NAME, comm);
        if (dup2(stream, STDIN_FILENO) < 0 || dup2(stream, STDOUT_FILENO) < 0)
                return -errno;
        close(stream);
        if (!are_same(&files))
                return run_anew(word);
        *ret_verb = word;
        return 0;
}
