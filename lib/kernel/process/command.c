/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "kernel/process/apart.h"
#include "kernel/process/command.h"
#include "kernel/process/pidfd.h"

enum {
        /* How often a running program asks whether it was cancelled: the engine's socket is no business of this file. */
        CANCEL_POLL_MSEC = 100,
        DEATH_TIMEOUT_MSEC = 10 * 1000,
        OUTPUT_MAX = 1024 * 1024,
};

#define PROGRAM_FOLDERS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

typedef struct Output {
        int fd;                 /* -EBADF once it has ended */
        char *text;
        size_t length, allocated;
} Output;

typedef struct Child {
        pid_t pid;
        int pidfd;
        Output out, err;
} Child;

static void output_done(Output *o) {
        closep(&o->fd);
        free(o->text);
}

static void child_done(Child *c) {
        closep(&c->pidfd);
        output_done(&c->out);
        output_done(&c->err);
}

void command_result_done(CommandResult *r) {
        free(TAKE_PTR(r->out));
        free(TAKE_PTR(r->err));
}

/* Tests have programs of their own. */
static const char *program_folders(void) {
        return getenv("SAFE_REMOVE_PATH") ?: PROGRAM_FOLDERS;
}

/* The first of the folders that has it, newly allocated; NULL when none has. */
static char *program_find(const char *name) {
        if (strchr(name, '/'))
                return strdup(name);

        for (const char *folder = program_folders(); *folder;) {
                size_t n = strcspn(folder, ":");
                char *path = strf("%.*s/%s", (int) n, folder, name);
                if (path && access(path, X_OK) == 0)
                        return path;
                free(path);
                folder += n + (folder[n] == ':');
        }
        return NULL;
}

bool command_exists(const char *name) {
        _cleanup_free_ char *path = program_find(name);

        return path;
}

/* One of whom nobody knows must not begin. */
static int spawn_told(const Spawn *child, const char *what, pid_t *ret) {
        _cleanup_close_ int go = -EBADF;
        pid_t pid;

        int r = spawn_waiting(child, &go, &pid);
        if (r < 0)
                return r;
        r = apart_begins(what, pid, true, go);
        if (r >= 0) {
                *ret = pid;
                return 0;
        }
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        return r;
}

static int child_spawn(const char *const *argv, const char *what, int out, int err, pid_t *ret) {
        _cleanup_free_ char *program = program_find(argv[0]), *path = strf("PATH=%s", program_folders());
        char locale[] = "LC_ALL=C", *const environment[] = { path, locale, NULL };

        if (!program || !path)
                return program ? -ENOMEM : -ENOENT;
        _cleanup_close_ int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (nothing < 0)
                return -errno;
        const Spawn child = { .path = program, .argv = argv, .environment = environment, .in = nothing, .out = out, .err = err };

        return what ? spawn_told(&child, what, ret) : spawn_process(&child, ret);
}

static int child_start(Child *c, const char *const *argv, const char *what) {
        int out[2], err[2];

        if (pipe2(out, O_CLOEXEC) < 0)
                return -errno;
        c->out.fd = out[0];
        _cleanup_close_ int out_writer = out[1];
        if (pipe2(err, O_CLOEXEC) < 0)
                return -errno;
        c->err.fd = err[0];
        _cleanup_close_ int err_writer = err[1];

        if (fcntl(c->out.fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(c->err.fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        int r = child_spawn(argv, what, out_writer, err_writer, &c->pid);
        if (r < 0)
                return r;
        /* Nobody but us collects it, so until then the number is its own. */
        r = pidfd_open_process(c->pid, &c->pidfd);
        if (r < 0) {
                (void) kill(c->pid, SIGKILL);
                (void) waitpid(c->pid, NULL, 0);
        }
        return r;
}

static int output_keep(Output *o, const char *data, size_t n) {
        if (o->length + n + 1 > o->allocated) {
                char *grown = realloc(o->text, (o->length + n + 1) * 2);
                if (!grown)
                        return -ENOMEM;
                o->text = grown;
                o->allocated = (o->length + n + 1) * 2;
        }
        memcpy(o->text + o->length, data, n);
        o->length += n;
        o->text[o->length] = '\0';
        return 0;
}

/* Takes what is there. What is too much is read all the same, or the program would wait for us. */
static int output_read(Output *o) {
        char buffer[4096];

        while (o->fd >= 0) {
                ssize_t n = read(o->fd, buffer, sizeof(buffer));
                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                if (n == 0) {
                        close(TAKE_FD(o->fd));
                        return 0;
                }
                size_t room = OUTPUT_MAX - o->length;
                int r = output_keep(o, buffer, (size_t) n < room ? (size_t) n : room);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* 0 when it has ended, -ETIME or -ECANCELED when it should. What it started may keep the pipes open; it does not keep us. */
static int child_watch(Child *c, const CommandOptions *options) {
        uint64_t deadline = now_monotonic() + time_for(options->timeout_usec);

        for (;;) {
                struct pollfd p[] = {
                        { .fd = c->pidfd, .events = POLLIN },
                        { .fd = c->out.fd, .events = POLLIN },
                        { .fd = c->err.fd, .events = POLLIN },
                };
                uint64_t now = now_monotonic();

                if (options->cancelled && options->cancelled(options->userdata))
                        return -ECANCELED;
                if (now >= deadline)
                        return -ETIME;
                uint64_t left = (deadline - now) / USEC_PER_MSEC + 1;
                if (poll(p, ELEMENTSOF(p), left < CANCEL_POLL_MSEC ? (int) left : CANCEL_POLL_MSEC) < 0 && errno != EINTR)
                        return -errno;

                int r = output_read(&c->out);
                if (r >= 0)
                        r = output_read(&c->err);
                if (r < 0 || p[0].revents)
                        return r;
        }
}

static int child_end(Child *c) {
        (void) pidfd_signal(c->pidfd, SIGKILL);
        return pidfd_wait(c->pidfd, DEATH_TIMEOUT_MSEC * USEC_PER_MSEC) < 0 ? -EINPROGRESS : 0;
}

static char *output_take(Output *o) {
        if (!o->text)
                return strdup("");
        while (o->length > 0 && o->text[o->length - 1] == '\n')
                o->text[--o->length] = '\0';
        return TAKE_PTR(o->text);
}

/* Collects it, in any case. *result belongs to the caller also when this fails. */
static int child_result(Child *c, CommandResult *result) {
        siginfo_t info = { 0 };

        int r = output_read(&c->out);
        if (r >= 0)
                r = output_read(&c->err);
        if (waitid(P_PIDFD, (id_t) c->pidfd, &info, WEXITED) < 0)
                return -errno;
        if (r < 0)
                return r;
        if (info.si_code != CLD_EXITED)
                return -ECHILD;

        result->status = info.si_status;
        result->out = output_take(&c->out);
        result->err = output_take(&c->err);
        return result->out && result->err ? 0 : -ENOMEM;
}

int command_run(const char *const *argv, const CommandOptions *options, CommandResult *ret) {
        _cleanup_(child_done) Child c = { .pidfd = -EBADF, .out.fd = -EBADF, .err.fd = -EBADF };

        int r = time_has_ended() ? -ETIME : child_start(&c, argv, options->what);
        if (r < 0)
                return r;
        r = child_watch(&c, options);
        if (r < 0 && child_end(&c) < 0)
                return -EINPROGRESS;

        _cleanup_(command_result_done) CommandResult result = { 0 };
        int q = child_result(&c, &result);
        if (r < 0 || q < 0)
                return r < 0 ? r : q;
        *ret = (CommandResult) { .status = result.status, .out = TAKE_PTR(result.out), .err = TAKE_PTR(result.err) };
        return 0;
}
