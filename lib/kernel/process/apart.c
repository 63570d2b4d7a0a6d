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
#include "kernel/process/ready.h"

enum {
        /* How often running work asks whether it was cancelled. There is no event to wait for that would not need the
         * engine's socket here. */
        CANCEL_POLL_MSEC = 100,

        /* How long an ended process may take to die. Offlining looks for signals between two pages; a migration that is
         * under way finishes first. */
        DEATH_TIMEOUT_MSEC = 10 * 1000,

        TEXT_MAX = 16 * 1024 * 1024,
        ORDER_MAX = 8 * 1024,
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

/* A process that is to do the work, and our ends of the pipes to it. */
typedef struct Child {
        pid_t pid;
        int answer, go;
} Child;

static void child_close(Child *c) {
        closep(&c->answer);
        closep(&c->go);
}

/* The two pipes: of each our end, and the child's. */
static int pipes_make(Child *ret, int theirs[static READY_FDS]) {
        int answer[2], gate[2];

        if (pipe2(answer, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(gate, O_CLOEXEC) < 0) {
                int error = errno;
                close(answer[0]);
                close(answer[1]);
                return -error;
        }
        *ret = (Child) { .answer = answer[0], .go = gate[1] };
        theirs[0] = answer[1];
        theirs[1] = gate[0];
        return 0;
}

static void theirs_close(int theirs[static READY_FDS]) {
        for (size_t i = 0; i < READY_FDS; i++)
                close(theirs[i]);
}

/* What a child of ready.h does, told through its gate: this, and the data. Then comes the byte that lets it begin. */
typedef struct Order {
        apart_work_t work;
        pid_t parent;
        bool interruptible;
        size_t n;
        char data[ORDER_MAX];
} Order;

static bool read_all(int fd, void *data, size_t length) {
        for (char *p = data; length > 0;) {
                ssize_t n = read(fd, p, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                p += n;
                length -= (size_t) n;
        }
        return true;
}

static void ordered(const int fds[static READY_FDS]) {
        static Order o;
        char go;

        if (read_all(fds[1], &o, offsetof(Order, data)) && o.n <= sizeof(o.data) && read_all(fds[1], o.data, o.n) && read_all(fds[1], &go, 1))
                child(fds[0], o.parent, o.interruptible, o.work, o.data);
        _exit(EXIT_FAILURE); /* nobody needs it, or it must not begin */
}

/* The next one, which is asked for beforehand. A copy of this process has none: its descriptors are others' there. */
static struct {
        pid_t owner; /* 0: none is asked for */
        Child child;
} next;

static void ask_for_next(void) {
        int theirs[READY_FDS];

        if (next.owner == getpid() || pipes_make(&next.child, theirs) < 0)
                return;
        next.owner = ready_ask(theirs) >= 0 ? getpid() : 0;
        theirs_close(theirs);
        if (next.owner == 0)
                child_close(&next.child);
}

void apart_make_ready(void) {
        if (ready_make(ordered) >= 0)
                ask_for_next();
}

/* False: somebody else has to be made. */
static bool take_ready(apart_work_t work, const void *data, const ApartOptions *options, Child *ret) {
        Order o = { .work = work, .parent = getpid(), .interruptible = options->interruptible, .n = options->flat };

        if (next.owner != getpid() || options->flat > sizeof(o.data))
                return false;
        _cleanup_(child_close) Child c = next.child;
        next.owner = 0;
        memcpy(o.data, data, o.n);
        if (ready_take(&c.pid) < 0)
                return false;
        if (!write_all(c.go, &o, offsetof(Order, data) + o.n)) { /* somebody has killed it */
                (void) waitpid(c.pid, NULL, WNOHANG);
                ask_for_next();
                return false;
        }
        *ret = (Child) { .pid = c.pid, .answer = TAKE_FD(c.answer), .go = TAKE_FD(c.go) };
        return true;
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

static int fork_here(apart_work_t work, void *data, const ApartOptions *options, bool is_told, Child *ret) {
        _cleanup_(child_close) Child c = { .answer = -EBADF, .go = -EBADF };
        int theirs[READY_FDS];

        int r = pipes_make(&c, theirs);
        if (r < 0)
                return r;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                char go;
                close(c.go);
                if (is_told && !read_all(theirs[1], &go, 1))
                        _exit(EXIT_FAILURE);
                child(theirs[0], parent, options->interruptible, work, data);
        }
        int error = errno;
        theirs_close(theirs); /* our copy must go, or a dead child would not end the pipe */
        if (pid < 0)
                return -error;
        *ret = (Child) { .pid = pid, .answer = TAKE_FD(c.answer), .go = TAKE_FD(c.go) };
        return 0;
}

int apart_start(apart_work_t work, void *data, const ApartOptions *options, Apart *ret) {
        _cleanup_(child_close) Child c = { .answer = -EBADF, .go = -EBADF };
        bool is_told = options->what && witness.told, is_ready;

        *ret = (Apart) { .reader = -EBADF };
        if (time_has_ended())
                return -ETIME;
        is_ready = is_told && options->flat > 0 && take_ready(work, data, options, &c);
        int r = is_ready ? 0 : fork_here(work, data, options, is_told, &c);
        if (r < 0)
                return r;

        /* Done on this side, before it begins: it may be a while until it runs for the first time. */
        if (options->outlives)
                (void) setpgid(c.pid, c.pid);

        if (is_told)
                r = apart_begins(options->what, c.pid, options->interruptible, c.go);
        close(TAKE_FD(c.go));
        if (is_ready)
                ask_for_next();
        if (r < 0) {
                child_reap(c.pid);
                return r;
        }
        *ret = (Apart) { .pid = c.pid, .reader = TAKE_FD(c.answer), .options = *options, .deadline = now_monotonic() + time_for(options->timeout_usec) };
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
        if (r >= 0 && options->meanwhile)
                options->meanwhile(options->userdata);
        if (r >= 0)
                r = apart_answer(&a, UINT64_MAX, &text);
        else if (r != -ETIME && expendable.is)
                r = run_here(work, data, options, &text);
        if (ret_text)
                *ret_text = TAKE_PTR(text);
        return r;
}
