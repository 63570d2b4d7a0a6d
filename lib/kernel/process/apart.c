/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/apart.h"
#include "kernel/process/pidfd.h"
#include "kernel/process/process-stat.h"

enum {
        /* How often running work asks whether it was cancelled. There is no event to wait for that would not need the
         * engine's socket here. */
        CANCEL_POLL_MSEC = 100,

        /* How long an ended process may take to die. Offlining looks for signals between two pages; a migration that is
         * under way finishes first. */
        DEATH_TIMEOUT_MSEC = 10 * 1000,

        TEXT_MAX = 16 * 1024 * 1024,
};

/* Nothing but a stop keeps us from asking for so long. */
#define STOPPED_USEC (2 * USEC_PER_SEC)

/* The answer: this, then the text. The process's end of the pipe is closed behind it. */
typedef struct Head {
        int error;
        size_t length;
} Head;


static bool write_all(int fd, const void *data, size_t length) {
        for (const char *p = data; length > 0;) {
                ssize_t n = write(fd, p, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                p += n;
                length -= (size_t) n;
        }
        return true;
}

static struct {
        apart_witness_t told;
        void *userdata;
} witness;

void apart_set_witness(apart_witness_t told, void *userdata) {
        witness.told = told;
        witness.userdata = userdata;
}

bool apart_has_witness(void) {
        return witness.told;
}

static int stat_of(int pid, ProcessStat *ret) {
        _cleanup_free_ char *path = strf("/proc/%d/stat", pid), *stat = NULL;

        int r = path ? read_file(path, &stat, NULL) : -ENOMEM;
        return r < 0 ? r : stat_parse(stat, ret);
}

bool apart_is_alive(int pid, uint64_t start_time) {
        ProcessStat st;

        int r = stat_of(pid, &st);
        if (r < 0)
                return r != -ENOENT && r != -ESRCH; /* what cannot be seen now has not ended for that */
        return st.start_time == start_time && !process_stat_ended(&st);
}

static struct {
        bool is;
        uint64_t start_time;
} expendable;

void apart_be_expendable(void) {
        ProcessStat st;

        /* Looked up now: when it is needed there may be no descriptor left for it. */
        expendable.is = stat_of(getpid(), &st) >= 0;
        expendable.start_time = expendable.is ? st.start_time : 0;
}

int apart_begins(const char *what, int pid, bool mortal, int go) {
        ProcessStat st;

        int r = witness.told ? stat_of(pid, &st) : 0;
        if (r >= 0 && witness.told)
                r = witness.told(witness.userdata, what, pid, st.start_time, mortal);
        if (r >= 0 && write(go, "", 1) != 1)
                r = -errno;
        return r;
}

/* It keeps no descriptor of ours, so that one which is left behind for ever holds nothing that anybody waits for (journal
 * lock, sockets). */
static _Noreturn void child(int pipe_fd, pid_t parent, bool interruptible, apart_work_t work, void *data) {
        static const int defaulted[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
        char *text = NULL;
        sigset_t none;

        /* Only the ending signal may interrupt: any pending unblocked signal ends offlining. */
        for (size_t i = 0; i < ELEMENTSOF(defaulted); i++)
                signal(defaulted[i], SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        /* Nobody would know of it. (Other work is not ended by that either.) */
        if (interruptible && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(EXIT_FAILURE);
        if (dup2(pipe_fd, STDIN_FILENO) < 0 || syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
                _exit(EXIT_FAILURE);

        Head head = { .error = work(data, &text) };
        head.length = text ? strlen(text) : 0;
        bool told = write_all(STDIN_FILENO, &head, sizeof(head)) && write_all(STDIN_FILENO, text, head.length);
        _exit(told ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Reads what there is. 1: the answer is complete; 0: not yet; -ECHILD: it died before it was. */
static int answer_wait(int pipe_fd, int timeout_msec, ApartAnswer *a) {
        struct pollfd p = { .fd = pipe_fd, .events = POLLIN };
        Head head;

        int r = poll(&p, 1, timeout_msec);
        if (r < 0)
                return errno == EINTR ? 0 : -errno;
        if (r == 0)
                return 0;

        char chunk[4096];
        ssize_t n = read(pipe_fd, chunk, sizeof(chunk));
        if (n <= 0)
                return n < 0 && errno == EINTR ? 0 : -ECHILD;
        while (a->n + (size_t) n + 1 > a->allocated) {
                r = vec_grow((void **) &a->bytes, a->allocated, &a->allocated, 1);
                if (r < 0)
                        return r;
        }
        memcpy(a->bytes + a->n, chunk, (size_t) n);
        a->n += (size_t) n;

        if (a->n < sizeof(head))
                return 0;
        memcpy(&head, a->bytes, sizeof(head));
        if (head.length > TEXT_MAX)
                return -EFBIG;
        return a->n >= sizeof(head) + head.length;
}

/* Gives the text to whoever wants it and the work's result. */
static int answer_take(ApartAnswer *a, char **ret_text) {
        Head head;

        memcpy(&head, a->bytes, sizeof(head));
        if (ret_text && head.length > 0) {
                *ret_text = strndup(a->bytes + sizeof(head), head.length);
                if (!*ret_text)
                        return -ENOMEM;
        }
        return head.error;
}

/* Whether it has let go of the pipe: what it was at is over then. One that hangs in the kernel hears no signal. */
static bool child_end(pid_t pid, int pipe_fd, ApartAnswer *a) {
        uint64_t deadline = now_monotonic() + DEATH_TIMEOUT_MSEC * USEC_PER_MSEC;
        int r;

        kill(pid, SIGKILL);
        while ((r = answer_wait(pipe_fd, CANCEL_POLL_MSEC, a)) >= 0 && now_monotonic() < deadline)
                ;
        return r < 0;
}

/* Collects a child that has answered or died, which is over in a moment: it is to be seen that nobody is at it any more. One that hangs is
 * left to be collected by whoever inherits it. */
static void child_reap(pid_t pid) {
        uint64_t deadline = now_monotonic() + DEATH_TIMEOUT_MSEC * USEC_PER_MSEC;
        _cleanup_close_ int fd = -EBADF;

        if (pidfd_open_process(pid, &fd) >= 0)
                (void) pidfd_wait(fd, DEATH_TIMEOUT_MSEC * USEC_PER_MSEC);
        while (waitpid(pid, NULL, WNOHANG) == 0 && now_monotonic() < deadline)
                (void) poll(NULL, 0, 1);
}

/* The answer, or what became of it. -EAGAIN: none yet at that moment (monotonic). */
static int child_watch(Apart *w, uint64_t until, char **ret_text) {
        const ApartOptions *options = &w->options;

        for (uint64_t asked = now_monotonic();; asked = now_monotonic()) {
                uint64_t left = until > asked ? (until - asked) / USEC_PER_MSEC : 0;
                int r = answer_wait(w->reader, left < CANCEL_POLL_MSEC ? (int) left : CANCEL_POLL_MSEC, &w->answer);
                /* Who was stopped meanwhile, and most likely the work with it, has not had the time. */
                if (now_monotonic() - asked > STOPPED_USEC)
                        w->deadline += now_monotonic() - asked;
                if (r < 0)
                        return r;
                if (r > 0)
                        return answer_take(&w->answer, ret_text);

                bool cancelled = options->interruptible && options->cancelled && options->cancelled(options->userdata);
                bool late = now_monotonic() >= w->deadline;
                if (!cancelled && !late) {
                        if (now_monotonic() >= until)
                                return -EAGAIN;
                        continue;
                }
                if (!options->interruptible)
                        return -EINPROGRESS;

                if (!child_end(w->pid, w->reader, &w->answer))
                        return -EINPROGRESS;
                return cancelled ? -ECANCELED : -ETIME;
        }
}

int apart_start(apart_work_t work, void *data, const ApartOptions *options, Apart *ret) {
        int fds[2];

        *ret = (Apart) { .reader = -EBADF };
        if (time_has_ended())
                return -ETIME;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int reader = fds[0];
        _cleanup_close_ int writer = fds[1];
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int gate = fds[0];
        _cleanup_close_ int go = fds[1];
        bool is_told = options->what && witness.told;

        pid_t parent = getpid(), pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0 && is_told) {
                char c;
                close(go);
                if (read(gate, &c, 1) != 1)
                        _exit(EXIT_FAILURE);
        }
        if (pid == 0)
                child(writer, parent, options->interruptible, work, data);

        /* Done on this side, before it begins: it may be a while until it runs for the first time. */
        if (options->outlives)
                (void) setpgid(pid, pid);

        int r = is_told ? apart_begins(options->what, pid, options->interruptible, go) : 0;
        close(TAKE_FD(go));
        if (r < 0) {
                child_reap(pid);
                return r;
        }
        /* Our copy of the writer goes with this function, or a dead child would not end the pipe. */
        *ret = (Apart) { .pid = pid, .reader = TAKE_FD(reader), .options = *options, .deadline = now_monotonic() + time_for(options->timeout_usec) };
        return 0;
}

int apart_answer(Apart *a, uint64_t wait_usec, char **ret_text) {
        const uint64_t now = now_monotonic();

        int r = child_watch(a, wait_usec < UINT64_MAX - now ? now + wait_usec : UINT64_MAX, ret_text);
        if (r != -EINPROGRESS && r != -EAGAIN) {
                child_reap(a->pid);
                a->pid = 0;
        }
        return r;
}

void apart_forget(Apart *a) {
        if (a->pid > 0)
                (void) waitpid(a->pid, NULL, WNOHANG);
        if (a->reader >= 0)
                close(a->reader);
        free(a->answer.bytes);
        *a = (Apart) { .reader = -EBADF };
}

static int run_here(apart_work_t work, void *data, const ApartOptions *options, char **ret_text) {
        int r = options->what && witness.told ? witness.told(witness.userdata, options->what, getpid(), expendable.start_time, false) : 0;

        return r < 0 ? r : work(data, ret_text);
}

int run_apart(apart_work_t work, void *data, const ApartOptions *options, char **ret_text) {
        _cleanup_(apart_forget) Apart a = { .reader = -EBADF };
        _cleanup_free_ char *text = NULL;

        int r = apart_start(work, data, options, &a);
        if (r >= 0)
                r = apart_answer(&a, UINT64_MAX, &text);
        else if (r != -ETIME && expendable.is)
                r = run_here(work, data, options, &text);
        if (ret_text)
                *ret_text = TAKE_PTR(text);
        return r;
}
