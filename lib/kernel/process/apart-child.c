/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "kernel/process/apart-child.h"
#include "kernel/process/ready.h"

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

void child_close(ApartChild *c) {
        closep(&c->answer);
        closep(&c->go);
}

/* The two pipes: of each our end, and the child's. */
static int pipes_make(ApartChild *ret, int theirs[static READY_FDS]) {
        int answer[2], gate[2];

        if (pipe2(answer, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(gate, O_CLOEXEC) < 0) {
                int error = errno;
                close(answer[0]);
                close(answer[1]);
                return -error;
        }
        *ret = (ApartChild) { .answer = answer[0], .go = gate[1] };
        theirs[0] = answer[1];
        theirs[1] = gate[0];
        return 0;
}

static void theirs_close(int theirs[static READY_FDS]) {
        for (size_t i = 0; i < READY_FDS; i++)
                close(theirs[i]);
}

/* Only the ending signal may interrupt: any pending unblocked signal ends offlining. */
static void default_signals(void) {
        static const int defaulted[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
        sigset_t none;

        for (size_t i = 0; i < ELEMENTSOF(defaulted); i++)
                signal(defaulted[i], SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* False: nobody hears it. */
static bool answer_send(int fd, int error, const char *text) {
        const ApartAnswerHead head = { .error = error, .length = text ? strlen(text) : 0 };

        return write_all(fd, &head, sizeof(head)) >= 0 && write_all(fd, text, head.length) >= 0;
}

/* It keeps no descriptor of ours, so that one which is left behind for ever holds nothing that anybody waits for (journal
 * lock, sockets). */
static _Noreturn void do_work(int pipe_fd, pid_t parent, bool interruptible, apart_work_t work, void *data) {
        char *text = NULL;

        default_signals();
        /* Nobody would know of it. (Other work is not ended by that either.) */
        if (interruptible && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
                _exit(EXIT_FAILURE);
        if (dup2(pipe_fd, STDIN_FILENO) < 0 || syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
                _exit(EXIT_FAILURE);

        int r = work(data, &text);
        _exit(answer_send(STDIN_FILENO, r, text) ? EXIT_SUCCESS : EXIT_FAILURE);
}

int child_fork(apart_work_t work, void *data, bool interruptible, bool has_gate, ApartChild *ret) {
        _cleanup_(child_close) ApartChild c = APART_CHILD_NONE;
        int theirs[READY_FDS];

        int r = pipes_make(&c, theirs);
        if (r < 0)
                return r;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                char go;
                close(c.go);
                if (has_gate && !read_all(theirs[1], &go, 1))
                        _exit(EXIT_FAILURE);
                do_work(theirs[0], parent, interruptible, work, data);
        }
        int error = errno;
        theirs_close(theirs); /* our copy must go, or a dead child would not end the pipe */
        if (pid < 0)
                return -error;
        *ret = (ApartChild) { .pid = pid, .answer = TAKE_FD(c.answer), .go = TAKE_FD(c.go) };
        return 0;
}

/* What a helper is to do next, told through its gate: this, and the data. It begins when it has read all of it. */
typedef struct Order {
        apart_work_t work;
        pid_t parent;
        bool interruptible;
        size_t n;
        char data[HELPER_DATA_MAX];
} Order;

/* A child of ready.h. While it waits it ends with whoever tells it, and so it does with work that a signal ends; what nothing interrupts goes on.
 * Nothing begins for who has ended. */
static void be_helper(const int fds[static READY_FDS]) {
        enum { ANSWER, GATE, FREE };
        static Order o;

        default_signals();
        if (dup2(fds[0], ANSWER) < 0 || dup2(fds[1], GATE) < 0 || syscall(SYS_close_range, (unsigned) FREE, ~0u, 0u) < 0 ||
            prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                _exit(EXIT_FAILURE);
        while (read_all(GATE, &o, offsetof(Order, data)) && o.n <= sizeof(o.data) && read_all(GATE, o.data, o.n)) {
                _cleanup_free_ char *text = NULL;

                if ((!o.interruptible && prctl(PR_SET_PDEATHSIG, 0) < 0) || getppid() != o.parent)
                        _exit(EXIT_FAILURE);
                int r = o.work(o.data, &text);
                /* What it has left open is held no longer than by a process that ends. Who hears the answer takes it for one that ends with him. */
                if (syscall(SYS_close_range, (unsigned) FREE, ~0u, 0u) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || !answer_send(ANSWER, r, text))
                        _exit(EXIT_FAILURE);
        }
        _exit(EXIT_SUCCESS);
}

int helper_order(const ApartChild *c, apart_work_t work, const void *data, size_t n, bool interruptible) {
        Order o = { .work = work, .parent = getpid(), .interruptible = interruptible, .n = n };

        memcpy(o.data, data, o.n);
        return write_all(c->go, &o, offsetof(Order, data) + o.n);
}

static pid_t made_ready_by;

static bool is_there(const ApartHelper *h) {
        return h->owner == getpid();
}

/* Those who were asked for come in that order. */
static void wait_for_asked(ApartHelper *h) {
        if (!is_there(h) || h->child.pid > 0 || ready_take(&h->child.pid) >= 0)
                return;
        h->owner = 0;
        child_close(&h->child);
}

void helper_ask(ApartHelper *h) {
        int theirs[READY_FDS];

        if (is_there(h) || made_ready_by != getpid() || pipes_make(&h->child, theirs) < 0)
                return;
        h->owner = ready_ask(theirs) >= 0 ? getpid() : 0;
        theirs_close(theirs);
        if (h->owner == 0)
                child_close(&h->child);
}

int helpers_make_ready(void) {
        int r = ready_make(be_helper);

        if (r >= 0)
                made_ready_by = getpid();
        return r;
}

/* Somebody has killed it, and it let go of its pipe for that. */
static bool has_ended(const ApartChild *c) {
        struct pollfd p = { .fd = c->answer, .events = POLLIN };

        return poll(&p, 1, 0) != 0;
}

bool helper_take(ApartHelper *h, ApartHelper *other, ApartChild *ret) {
        wait_for_asked(other);
        for (unsigned tries = 0; tries < 2; tries++) {
                helper_ask(h);
                wait_for_asked(h);
                if (!is_there(h))
                        return false;
                h->owner = 0;
                *ret = h->child;
                if (!has_ended(ret))
                        return true;
                (void) waitpid(ret->pid, NULL, WNOHANG);
                child_close(ret);
                *ret = APART_CHILD_NONE;
        }
        return false;
}

bool helper_keep(ApartHelper *h, ApartChild *c) {
        if (is_there(h))
                return false;
        *h = (ApartHelper) { .owner = getpid(), .child = *c };
        *c = APART_CHILD_NONE;
        return true;
}
