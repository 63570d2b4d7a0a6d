/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
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

static struct {
        apart_witness_t told;
        apart_witness_of_end_t ended;
        void *userdata;
} witness;

void apart_set_witness(apart_witness_t told, void *userdata) {
        witness.told = told;
        witness.ended = NULL;
        witness.userdata = userdata;
}

void apart_set_witness_of_end(apart_witness_of_end_t ended) {
        witness.ended = ended;
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

static bool is_whole(const ApartAnswer *a) {
        ApartAnswerHead head;

        if (a->n < sizeof(head))
                return false;
        memcpy(&head, a->bytes, sizeof(head));
        return a->n >= sizeof(head) + head.length;
}

/* Reads what there is. 1: the answer is complete; 0: not yet; -ECHILD: it died before it was. */
static int answer_wait(int pipe_fd, int timeout_msec, ApartAnswer *a) {
        struct pollfd p = { .fd = pipe_fd, .events = POLLIN };
        ApartAnswerHead head;

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

        if (a->n >= sizeof(head)) {
                memcpy(&head, a->bytes, sizeof(head));
                if (head.length > TEXT_MAX)
                        return -EFBIG;
        }
        return is_whole(a);
}

/* Gives the text to whoever wants it and the work's result. */
static int answer_take(ApartAnswer *a, char **ret_text) {
        ApartAnswerHead head;

        memcpy(&head, a->bytes, sizeof(head));
        if (ret_text && head.length > 0) {
                *ret_text = strndup(a->bytes + sizeof(head), head.length);
                if (!*ret_text)
                        return -ENOMEM;
        }
        return head.error;
}

/* Whether it has let go of the pipe: what it was at is over then. One that hangs in the kernel hears no signal. */
static bool child_end(Apart *w) {
        uint64_t deadline = now_monotonic() + DEATH_TIMEOUT_MSEC * USEC_PER_MSEC;
        int r;

        w->is_killed = true;
        kill(w->child.pid, SIGKILL);
        while ((r = answer_wait(w->child.answer, CANCEL_POLL_MSEC, &w->answer)) >= 0 && now_monotonic() < deadline)
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
                int r = answer_wait(w->child.answer, left < CANCEL_POLL_MSEC ? (int) left : CANCEL_POLL_MSEC, &w->answer);
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

                if (!child_end(w))
                        return -EINPROGRESS;
                return cancelled ? -ECANCELED : -ETIME;
        }
}

/* Who makes what changes something, and who looks. They are two: the journal names the first, who is taken to write as long as he lives where his worker
 * has died, and a look that hangs is no write. */
static ApartHelper writer, looker;

void apart_make_ready(void) {
        if (helpers_make_ready() >= 0)
                helper_ask(&writer);
}

static ApartHelper *helper_for(const ApartOptions *options) {
        bool is_one_of_many = options->flat > 0 && options->flat <= HELPER_DATA_MAX && !options->outlives;

        return !is_one_of_many ? NULL : !options->what ? &looker : witness.told ? &writer : NULL;
}

/* A helper's start is looked up once: it is not collected before we do it. */
static int helper_begins(ApartChild *c, apart_work_t work, const void *data, const ApartOptions *options) {
        ProcessStat st = { .start_time = c->start_time };

        int r = !options->what || c->start_time > 0 ? 0 : stat_of(c->pid, &st);
        if (r >= 0 && options->what)
                r = witness.told(witness.userdata, options->what, c->pid, st.start_time, options->interruptible);
        if (r < 0)
                return r;
        c->start_time = st.start_time;
        return helper_order(c, work, data, options->flat, options->interruptible);
}

int apart_start(apart_work_t work, void *data, const ApartOptions *options, Apart *ret) {
        _cleanup_(child_close) ApartChild c = APART_CHILD_NONE;
        bool is_told = options->what && witness.told;
        ApartHelper *helper = helper_for(options);

        *ret = (Apart) { .child = APART_CHILD_NONE };
        if (time_has_ended())
                return -ETIME;
        if (helper && !helper_take(helper, &writer, &c))
                helper = NULL;
        int r = helper ? 0 : child_fork(work, data, options->interruptible, is_told, &c);
        if (r < 0)
                return r;

        /* Done on this side, before it begins: it may be a while until it runs for the first time. */
        if (options->outlives)
                (void) setpgid(c.pid, c.pid);

        if (helper)
                r = helper_begins(&c, work, data, options);
        else if (is_told)
                r = apart_begins(options->what, c.pid, options->interruptible, c.go);
        if (r < 0 || !helper)
                close(TAKE_FD(c.go));
        if (r < 0) {
                child_reap(c.pid);
                return r;
        }
        *ret = (Apart) { .helper = helper, .options = *options, .deadline = now_monotonic() + time_for(options->timeout_usec) };
        ret->child = (ApartChild) { .pid = c.pid, .start_time = c.start_time, .answer = TAKE_FD(c.answer), .go = TAKE_FD(c.go) };
        return 0;
}

/* It has ended what it was at, and that is on record: who waits for the next order is at nothing. */
static bool stays(Apart *a) {
        if (!a->helper || a->is_killed || !is_whole(&a->answer))
                return false;
        if (a->options.what && (!witness.ended || witness.ended(witness.userdata, a->child.pid, a->child.start_time) < 0))
                return false;
        return helper_keep(a->helper, &a->child);
}

int apart_answer(Apart *a, uint64_t wait_usec, char **ret_text) {
        const uint64_t now = now_monotonic();

        int r = child_watch(a, wait_usec < UINT64_MAX - now ? now + wait_usec : UINT64_MAX, ret_text);
        /* What has answered is over, whatever its answer. */
        bool is_over = (is_whole(&a->answer) && !a->is_killed) || (r != -EINPROGRESS && r != -EAGAIN);
        if (is_over && !stays(a)) {
                close(TAKE_FD(a->child.go));
                child_reap(a->child.pid);
                a->child.pid = 0;
        }
        return r;
}

void apart_forget(Apart *a) {
        if (a->child.pid > 0)
                (void) waitpid(a->child.pid, NULL, WNOHANG);
        child_close(&a->child);
        free(a->answer.bytes);
        *a = (Apart) { .child = APART_CHILD_NONE };
}

static int run_here(apart_work_t work, void *data, const ApartOptions *options, char **ret_text) {
        int r = options->what && witness.told ? witness.told(witness.userdata, options->what, getpid(), expendable.start_time, false) : 0;

        return r < 0 ? r : work(data, ret_text);
}

int run_apart(apart_work_t work, void *data, const ApartOptions *options, char **ret_text) {
        _cleanup_(apart_forget) Apart a = { .child = APART_CHILD_NONE };
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
