/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "worker-client.h"
#include "worker-start.h"

enum {
        CHUNK = 64 * 1024,
        LINE_MAX_BYTES = 64 * 1024 * 1024, /* a topology with every block of many terabytes is a tenth of it */
        CHUNKS_PER_TURN = 64,
};

#define DIE_USEC (30 * USEC_PER_SEC)    /* from SIGKILL to giving up; longer only in uninterruptible sleep */
#define LEAVE_USEC (30 * USEC_PER_SEC)  /* from the end of its stream to its exit */

struct Worker {
        const WorkerHandler *handler;  /* NULL: nobody wants to hear any more */
        void *userdata;
        pid_t pid;
        bool reaped;
        bool killed_by_us;
        WorkerEnd reason;              /* why, if killed_by_us */
        int fd;
        char *buffer;
        size_t n_buffer, a_buffer;
        sd_event_source *io, *child, *deadline;
        unsigned busy;                 /* inside a handler: the object must survive it */
        bool freed;
};

static const char *const worker_end_table[_WORKER_END_MAX] = {
        [WORKER_EXITED] = "exited",
        [WORKER_KILLED] = "was killed",
        [WORKER_TIMED_OUT] = "timed out",
        [WORKER_GARBLED] = "talked rubbish",
        [WORKER_UNKILLABLE] = "cannot be killed",
};

DEFINE_STRING_TABLE(worker_end, WorkerEnd)

static unsigned n_alive;

unsigned worker_alive(void) {
        return n_alive;
}

/* The group still has its number as long as its leader has not been reaped. */
static void kill_group(Worker *w) {
        if (!w->reaped)
                (void) kill(-w->pid, SIGKILL);
}

static int kill_for(Worker *w, WorkerEnd reason) {
        if (!w->killed_by_us) {
                w->killed_by_us = true;
                w->reason = reason;
        }
        kill_group(w);
        return worker_set_deadline(w, DIE_USEC);
}

static void worker_done(Worker *w) {
        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->deadline);
        sd_event_source_disable_unref(w->child);
        if (w->fd >= 0)
                close(w->fd);
        free(w->buffer);
        free(w);
}

/* Once it is freed, only the child source keeps it, until the process is reaped. */
static void settle(Worker *w) {
        if (w->busy == 0 && w->freed && w->reaped)
                worker_done(w);
}

void worker_free(Worker *w) {
        if (!w)
                return;
        w->freed = true;
        w->handler = NULL;
        w->io = sd_event_source_disable_unref(w->io);
        w->deadline = sd_event_source_disable_unref(w->deadline);
        kill_group(w);
        settle(w);
}

static void tell_line(Worker *w, json_object *line) {
        if (!w->handler)
                return;
        w->busy++;
        w->handler->line(line, w->userdata);
        w->busy--;
}

static void tell_ended(Worker *w, WorkerEnd end, int code) {
        const WorkerHandler *handler = w->handler;

        if (!handler)
                return;
        w->handler = NULL;
        w->busy++;
        handler->ended(end, code, w->userdata);
        w->busy--;
}

/* Hands out every complete line; false when one was no JSON object. */
static bool take_lines(Worker *w) {
        size_t start = 0;
        bool good = true;

        while (good && w->handler) {
                char *line = w->buffer + start, *eol = memchr(line, '\n', w->n_buffer - start);
                _cleanup_json_ json_object *o = NULL;

                if (!eol)
                        break;
                start += (size_t) (eol - line) + 1;
                good = json_parse(line, (size_t) (eol - line), &o) == 0 && json_object_is_type(o, json_type_object);
                if (good)
                        tell_line(w, o);
        }

        w->n_buffer -= start;
        memmove(w->buffer, w->buffer + start, w->n_buffer);
        return good && w->n_buffer <= LINE_MAX_BYTES;
}

static int make_room(Worker *w) {
        if (w->a_buffer - w->n_buffer >= CHUNK)
                return 0;

        size_t want = w->a_buffer * 2 > CHUNK * 2 ? w->a_buffer * 2 : CHUNK * 2;
        char *grown = realloc(w->buffer, want);
        if (!grown)
                return -ENOMEM;
        w->buffer = grown;
        w->a_buffer = want;
        return 0;
}

/* Reads what there is. 1: there may be more, 0: nothing more now, -EPIPE: the stream has ended, other errors: it is of
 * no use any more. */
static int pump(Worker *w) {
        for (unsigned i = 0; i < CHUNKS_PER_TURN && w->handler; i++) {
                int r = make_room(w);
                if (r < 0)
                        return r;

                ssize_t n = recv(w->fd, w->buffer + w->n_buffer, CHUNK, MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 0 : -EPIPE;
                if (n == 0)
                        return -EPIPE;

                w->n_buffer += (size_t) n;
                if (!take_lines(w))
                        return -EBADMSG;
        }
        return w->handler ? 1 : 0;
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Worker *w = userdata;

        w->busy++;
        int r = pump(w);
        if (r < 0 && !w->freed) {
                (void) sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
                r = r == -EPIPE ? worker_set_deadline(w, LEAVE_USEC) : kill_for(w, WORKER_GARBLED);
        }
        w->busy--;
        settle(w);
        return r < 0 ? r : 0;
}

/* The last lines may still be in the socket, and its end may never come (a helper of the worker can have it open). */
static void drain(Worker *w) {
        int r;

        do
                r = pump(w);
        while (r > 0);
        if (r == -EBADMSG && !w->killed_by_us) {
                w->killed_by_us = true;
                w->reason = WORKER_GARBLED;
        }
}

static int on_child(sd_event_source *child, const siginfo_t *info, void *userdata) {
        Worker *w = userdata;
        WorkerEnd how = info->si_code == CLD_EXITED ? WORKER_EXITED : WORKER_KILLED;

        w->busy++;
        kill_group(w);
        w->reaped = true;
        n_alive--;
        drain(w);
        tell_ended(w, w->killed_by_us ? w->reason : how, info->si_status);
        w->busy--;
        settle(w);
        return 0;
}

static int on_deadline(sd_event_source *timer, uint64_t usec, void *userdata) {
        Worker *w = userdata;

        if (!w->killed_by_us)
                return kill_for(w, WORKER_TIMED_OUT);

        w->busy++;
        tell_ended(w, WORKER_UNKILLABLE, SIGKILL);
        w->busy--;
        settle(w);
        return 0;
}

int worker_set_deadline(Worker *w, uint64_t usec) {
        if (w->freed)
                return 0;
        if (usec == 0)
                return sd_event_source_set_enabled(w->deadline, SD_EVENT_OFF);

        int r = sd_event_source_set_time(w->deadline, now_monotonic() + usec);
        return r < 0 ? r : sd_event_source_set_enabled(w->deadline, SD_EVENT_ONESHOT);
}

int worker_send(Worker *w, json_object *message) {
        const char *text = json_text(message);
        _cleanup_free_ char *line = text ? strf("%s\n", text) : NULL;
        if (!line)
                return -ENOMEM;

        ssize_t n = send(w->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        return (size_t) n == strlen(line) ? 0 : -EIO;
}

static int add_sources(Worker *w, sd_event *event) {
        int r = sd_event_add_time(event, &w->deadline, CLOCK_MONOTONIC, 0, 10 * USEC_PER_MSEC, on_deadline, w);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(w->deadline, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &w->io, w->fd, EPOLLIN, on_readable, w);
        if (r < 0)
                return r;
        return sd_event_add_child(event, &w->child, w->pid, WEXITED, on_child, w);
}

/* Could not even be watched: there is no way to be told of its end, so no waiting for it either. */
static void abandon(Worker *w) {
        kill_group(w);
        if (!w->reaped && waitpid(w->pid, NULL, WNOHANG) >= 0)
                n_alive--;
        worker_done(w);
}

int worker_spawn(sd_event *event, const char *verb, const WorkerHandler *handler, void *userdata, Worker **ret) {
        Worker *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (Worker) { .fd = -EBADF, .reaped = true };

        int r = worker_process_start(verb, &w->pid, &w->fd);
        if (r >= 0) {
                w->reaped = false;
                n_alive++;
                r = add_sources(w, event);
        }
        if (r < 0) {
                abandon(w);
                return r;
        }

        w->handler = handler;
        w->userdata = userdata;
        *ret = w;
        return 0;
}
