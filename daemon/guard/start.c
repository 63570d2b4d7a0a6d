/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "daemon/source/guard-socket.h"
#include "kernel/process/pidfd.h"
#include "start.h"

#define WORKER_NAME "safe-remove-worker"
#define AFTER_USEC USEC_PER_SEC
#define END_USEC USEC_PER_SEC   /* SIGKILL ends it at once, or it sits in the kernel */

enum {
        DEATHS_MAX = 9,        /* after so many, every eight minutes: it is no loop, whatever is wrong with it */
};

struct Start {
        sd_event *event;
        sd_event_source *timer, *child;
        pid_t pid;             /* 0: there is none */
        int door;              /* through which it gets its verb */
        unsigned deaths;       /* since one was given away */
        bool closed;
};

int start_init(sd_event *event, Start **ret) {
        Start *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (Start) { .event = event, .door = -EBADF };
        *ret = s;
        return 0;
}

bool start_is_removal(const char *verb) {
        static const char *const removals[] = { "run", "restore", "resume" };

        for (size_t i = 0; i < ELEMENTSOF(removals); i++)
                if (streq_ptr(verb, removals[i]))
                        return true;
        return false;
}

int start_watch(sd_event *event, pid_t pid, sd_event_child_handler_t handler, void *userdata, sd_event_source **ret) {
        sd_event_source *child;

        int r = sd_event_add_child(event, &child, pid, WEXITED, handler, userdata);
        if (r < 0)
                return r;
        /* Told by the kernel as often as it takes: sd-event passes over what becomes ready after another event (its threshold), and one that
         * is told once is lost then. It takes the change only by way of "off". */
        r = sd_event_source_set_enabled(child, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_enabled(child, SD_EVENT_ON);
        if (r < 0)
                sd_event_source_disable_unref(child);
        else
                *ret = child;
        return r;
}

static int new_process(const char *verb, int stream, pid_t *ret) {
        const char *path = getenv("SAFE_REMOVE_WORKER") ?: LIBEXEC_DIR "/" WORKER_NAME, *const argv[] = { WORKER_NAME, verb, NULL };
        const Spawn worker = {
                .path = path, .argv = argv, .environment = environ, .in = stream, .out = stream, .err = STDERR_FILENO, .own_group = true,
        };

        return spawn_process(&worker, ret);
}

static void shut_door(Start *s) {
        if (s->door >= 0)
                close(TAKE_FD(s->door));
}

/* It has nothing to leave in order. Nothing of it is there any more afterwards, as long as the kernel lets it go. */
static void end_waiting(Start *s) {
        _cleanup_close_ int pidfd = -EBADF;

        s->child = sd_event_source_disable_unref(s->child);
        shut_door(s);
        if (s->pid == 0)
                return;
        (void) kill(-s->pid, SIGKILL);
        if (pidfd_open_process(s->pid, &pidfd) >= 0)
                (void) pidfd_wait(pidfd, END_USEC);
        (void) waitpid(s->pid, NULL, WNOHANG);
        s->pid = 0;
}

static int on_died(sd_event_source *child, const siginfo_t *info, void *userdata) {
        Start *s = userdata;

        s->child = sd_event_source_disable_unref(s->child);
        s->pid = 0;
        shut_door(s);
        if (s->deaths < DEATHS_MAX)
                s->deaths++;
        start_prepare(s);
        return 0;
}

static int make_ready(Start *s) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];
        int r = new_process(READY_WORD, theirs, &s->pid);
        if (r < 0) {
                s->pid = 0;
                return r;
        }
        s->door = TAKE_FD(ours);
        r = start_watch(s->event, s->pid, on_died, s, &s->child);
        if (r < 0) /* its end would not be seen */
                end_waiting(s);
        return r;
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        Start *s = userdata;

        s->timer = sd_event_source_disable_unref(s->timer);
        if (make_ready(s) < 0) {
                if (s->deaths < DEATHS_MAX)
                        s->deaths++;
                start_prepare(s);
        }
        return 0;
}

void start_prepare(Start *s) {
        if (!s->closed && s->pid == 0 && !s->timer)
                (void) sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, AFTER_USEC << s->deaths, 0, on_timer, s);
}

/* Where it has died, or does not wait yet, or never will: a new one is as good. */
static int give_away(Start *s, const char *verb, int stream, pid_t *ret) {
        char said[sizeof(READY_SAYS)];

        if (s->pid == 0)
                return -ENOENT;
        /* It is read, not looked at: a socket that is closed with something unread in it takes what was sent through it back. */
        if (recv(s->door, said, sizeof(said), MSG_DONTWAIT) <= 0)
                return -EAGAIN;
        int r = guard_send(s->door, verb, stream);
        if (r < 0) { /* it says only once that it waits: it leaves, and another one takes its place */
                shut_door(s);
                return r;
        }
        s->child = sd_event_source_disable_unref(s->child);
        shut_door(s);
        s->deaths = 0;
        *ret = s->pid;
        s->pid = 0;
        return 0;
}

int start_worker(Start *s, const char *verb, int stream, pid_t *ret) {
        if (!start_is_removal(verb))
                return new_process(verb, stream, ret);
        s->timer = sd_event_source_disable_unref(s->timer);
        return give_away(s, verb, stream, ret) >= 0 ? 0 : new_process(verb, stream, ret);
}

void start_close(Start *s) {
        s->closed = true;
        s->timer = sd_event_source_disable_unref(s->timer);
        end_waiting(s);
}
