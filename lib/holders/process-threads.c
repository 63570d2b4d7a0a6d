/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the threads of a process do. A stop reaches each of them on its own: the first one may hang in the kernel, or have ended, while
 * others stand still or run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"

static void thread_count(ThreadStates *t, char state) {
        switch (state) {
        case 'Z':
        case 'X':
                break;
        case 'T':
                t->stopped++;
                break;
        case 't':
                t->traced++;
                break;
        case 'D':
                t->hanging++;
                break;
        default:
                t->running++;
        }
}

/* Asks about each thread until somebody is content. */
static int threads_each(int dirfd, bool (*look)(void *userdata, const char *tid, char state), void *userdata) {
        int fd = openat(dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        _cleanup_(closedirp) DIR *tasks = fdopendir(fd);
        if (!tasks) {
                closep(&fd);
                return -ENOMEM;
        }
        for (const struct dirent *e; (e = readdir(tasks));) {
                _cleanup_free_ char *path = e->d_name[0] == '.' ? NULL : strf("%s/stat", e->d_name), *text = NULL;
                ProcessStat st;
                if (path && read_file_at(fd, path, &text, NULL) >= 0 && stat_parse(text, &st) >= 0 && look(userdata, e->d_name, st.state))
                        return 0;
        }
        return 0;
}

static bool count(void *userdata, const char *tid, char state) {
        thread_count(userdata, state);
        return false;
}

int process_threads(int dirfd, ThreadStates *ret) {
        ThreadStates t = { 0 };

        int r = threads_each(dirfd, count, &t);
        if (r < 0)
                return r;
        *ret = t;
        return t.stopped + t.traced + t.hanging + t.running > 0 ? 0 : -ESRCH;
}

typedef struct Signal {
        int dirfd, pid, signal;
} Signal;

/* The number is still the process's as long as its folder can be read. */
static bool signal_running(void *userdata, const char *tid, char state) {
        const Signal *s = userdata;
        ThreadStates t = { 0 };
        uint64_t number;
        ProcessStat st;

        thread_count(&t, state);
        return t.running > 0 && parse_u64(tid, &number) >= 0 && process_stat(s->dirfd, &st) >= 0 && tgkill(s->pid, (pid_t) number, s->signal) >= 0;
}

typedef struct Turns {
        int dirfd;
        bool standing;
        uint64_t sum;
} Turns;

static bool add_turns(void *userdata, const char *tid, char state) {
        _cleanup_free_ char *path = strf("task/%s/status", tid), *status = NULL;
        Turns *t = userdata;

        t->standing = t->standing || state == 'T' || state == 't';
        if (!path || read_file_at(t->dirfd, path, &status, NULL) < 0)
                return false;
        for (size_t i = 0; i < 2; i++) {
                uint64_t n;
                if (status_number(status, i == 0 ? "\nvoluntary_ctxt_switches:\t" : "\nnonvoluntary_ctxt_switches:\t", UINT64_MAX, &n) >= 0)
                        t->sum += n;
        }
        return false;
}

int process_stands(int dirfd, uint64_t *ret_turns) {
        Turns t = { .dirfd = dirfd };

        int r = threads_each(dirfd, add_turns, &t);
        if (r < 0)
                return r;
        *ret_turns = t.sum;
        return t.standing;
}

int process_signal_running(int dirfd, int pid, int signal) {
        return threads_each(dirfd, signal_running, &(Signal) { .dirfd = dirfd, .pid = pid, .signal = signal });
}

int status_tracer(const char *status) {
        uint64_t pid;

        int r = status_number(status, "\nTracerPid:\t", INT32_MAX, &pid);
        return r < 0 ? r : (int) pid;
}

/* Whoever traces may do so from any of his threads: that one's number is told. */
static int process_of_thread(int dirfd, uint64_t tid) {
        _cleanup_free_ char *path = strf("../%ju/status", (uintmax_t) tid), *status = NULL;
        uint64_t pid = 0;

        int r = path ? read_file_at(dirfd, path, &status, NULL) : -ENOMEM;
        if (r >= 0)
                r = status_number(status, "\nTgid:\t", INT32_MAX, &pid);
        return r < 0 ? r : (int) pid;
}

typedef struct Tracer {
        int dirfd, pid;
        bool standing;          /* only of a thread that stands still for it */
} Tracer;

static bool has_tracer(void *userdata, const char *tid, char state) {
        _cleanup_free_ char *path = strf("task/%s/status", tid), *status = NULL;
        Tracer *t = userdata;

        if (!path || (t->standing && state != 't') || read_file_at(t->dirfd, path, &status, NULL) < 0)
                return false;
        int by = status_tracer(status), pid = by > 0 ? process_of_thread(t->dirfd, (uint64_t) by) : by;
        if (pid > 0)
                t->pid = pid;
        return pid > 0;
}

static int tracer_find(int dirfd, bool standing) {
        Tracer t = { .dirfd = dirfd, .standing = standing };

        int r = threads_each(dirfd, has_tracer, &t);
        return r < 0 ? r : t.pid;
}

int process_tracer(int dirfd) {
        return tracer_find(dirfd, false);
}

int process_kept_by(int dirfd) {
        return tracer_find(dirfd, true);
}

/* Is the signal in one of the masks? */
static int status_mask(const char *status, const char *mask_name, int signal) {
        _cleanup_free_ char *key = strf("\n%s:\t", mask_name);
        const char *p = key ? strstr(status, key) : NULL;
        uint64_t mask;

        if (!p)
                return key ? -EBADMSG : -ENOMEM;
        p += strlen(key);
        _cleanup_free_ char *field = strndup(p, strcspn(p, "\n"));
        if (!field)
                return -ENOMEM;
        if (parse_hex(field, &mask) < 0)
                return -EBADMSG;
        return signal > 0 && signal <= 64 && (mask >> (signal - 1) & 1);
}

int status_ignores(const char *status, int signal) {
        return status_mask(status, "SigIgn", signal);
}

int status_takes(const char *status, int signal) {
        static const char *const masks[] = { "SigIgn", "SigCgt", "SigBlk" };

        for (size_t i = 0; i < ELEMENTSOF(masks); i++) {
                int r = status_mask(status, masks[i], signal);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return 1;
}

int process_ignores(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_ignores(status, signal);
}

int process_has_pending(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        if (r >= 0)
                r = status_mask(status, "ShdPnd", signal);
        return r != 0 ? r : status_mask(status, "SigPnd", signal);
}

int process_takes(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_takes(status, signal);
}
