/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "daemon/strv.h"
#include "guard-socket.h"
#include "worker-client.h"

enum {
        CHUNK = 64 * 1024,
        LINE_MAX_BYTES = 64 * 1024 * 1024, /* a topology with every block of many terabytes is a tenth of it */
        CHUNKS_PER_TURN = 64,
        WORD_MAX = 512,                    /* what the guard has to say of a worker */
};

#define START_USEC (10 * USEC_PER_SEC)  /* a guard that died is there again a tenth of a second later */
#define AGAIN_USEC (50 * USEC_PER_MSEC)
#define DIE_USEC (30 * USEC_PER_SEC)    /* from SIGKILL to giving up; longer only in uninterruptible sleep */
#define LEAVE_USEC (30 * USEC_PER_SEC)  /* from the end of its stream to its exit */

struct Worker {
        const WorkerHandler *handler;  /* NULL: nobody wants to hear any more */
        void (*died)(void *userdata);  /* after it was told as unkillable; else NULL */
        void *userdata;
        char *verb;
        int link;                      /* to who starts it; -EBADF: not asked yet, or gone */
        int theirs;                    /* the worker's end of the stream, until it has been asked for */
        bool started;
        bool unseen;                   /* the link ended before the worker did: its stream is all that is known of it */
        bool gone;                     /* nothing more is heard of it */
        bool killed_by_us;
        WorkerEnd reason;              /* why, if killed_by_us */
        int pid;                       /* 0: not known */
        char *stack;                   /* where it hangs in the kernel; NULL: nobody knows */
        int tracer;                    /* for whom it stands still; 0: nobody */
        uint64_t until;                /* when it must have been started */
        int fd;
        bool stream_ended;
        char *buffer;
        size_t n_buffer, a_buffer, n_searched; /* so many bytes have no end of a line among them */
        sd_event *event;
        sd_event_source *io, *word, *again, *deadline;
        unsigned busy;                 /* inside a handler: the object must survive it */
        bool freed;
};

static const char *const worker_end_table[_WORKER_END_MAX] = {
        [WORKER_EXITED] = "exited",
        [WORKER_KILLED] = "was killed",
        [WORKER_TIMED_OUT] = "timed out",
        [WORKER_STOPPED] = "was stopped by somebody, stood still for 10 s and was killed for it",
        [WORKER_GARBLED] = "talked rubbish",
        [WORKER_UNKILLABLE] = "cannot be killed",
        [WORKER_NOT_STARTED] = "could not be started",
        [WORKER_UNSEEN] = "ended, and nobody saw how",
};

char *worker_end_text(WorkerEnd end, int code) {
        if (end == WORKER_NOT_STARTED && code == EBUSY)
                return strf("%s: earlier ones that were killed hang in the kernel still, see journalctl -u safe-remove-guard", worker_end_table[end]);
        if (end == WORKER_NOT_STARTED)
                return strf("%s: %s; see systemctl status safe-remove-guard", worker_end_table[end], strerror(code));
        return end == WORKER_UNSEEN ? strdup(worker_end_table[end]) : strf("%s (%d)", worker_end_table[end], code);
}

static unsigned n_alive;

unsigned worker_alive(void) {
        return n_alive;
}

static void ask_to_kill(const Worker *w) {
        static const char kill[] = "{\"type\":\"kill\"}";

        if (!w->gone && w->link >= 0)
                (void) send(w->link, kill, strlen(kill), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int kill_for(Worker *w, WorkerEnd reason) {
        if (!w->killed_by_us) {
                w->killed_by_us = true;
                w->reason = reason;
        }
        ask_to_kill(w);
        return worker_set_deadline(w, DIE_USEC);
}

static void close_if_open(int *fd) {
        if (*fd >= 0)
                close(TAKE_FD(*fd));
}

static void worker_done(Worker *w) {
        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->deadline);
        sd_event_source_disable_unref(w->word);
        sd_event_source_disable_unref(w->again);
        close_if_open(&w->fd);
        close_if_open(&w->theirs);
        close_if_open(&w->link);
        free(w->buffer);
        free(w->verb);
        free(w->stack);
        free(w);
}

/* Once it is freed, only what the guard has to say keeps it, until the process has ended. */
static void settle(Worker *w) {
        if (w->busy == 0 && w->freed && w->gone)
                worker_done(w);
}

static void set_gone(Worker *w) {
        if (!w->gone)
                n_alive--;
        w->gone = true;
}

void worker_free(Worker *w) {
        if (!w)
                return;
        w->freed = true;
        w->handler = NULL;
        w->io = sd_event_source_disable_unref(w->io);
        w->deadline = sd_event_source_disable_unref(w->deadline);
        w->again = sd_event_source_disable_unref(w->again);
        ask_to_kill(w);
        if (w->link < 0)
                set_gone(w);
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
        size_t start = 0, searched = w->n_searched;
        bool good = true;

        while (good && w->handler) {
                char *line = w->buffer + start, *eol = memchr(w->buffer + searched, '\n', w->n_buffer - searched);
                _cleanup_json_ json_object *o = NULL;

                if (!eol)
                        break;
                start = searched = (size_t) (eol - w->buffer) + 1;
                good = json_parse(line, (size_t) (eol - line), &o) == 0 && json_object_is_type(o, json_type_object);
                if (good)
                        tell_line(w, o);
        }

        w->n_buffer -= start;
        if (start > 0) /* a long line comes in many pieces */
                memmove(w->buffer, w->buffer + start, w->n_buffer);
        w->n_searched = w->n_buffer;
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

/* Nobody can tell of its end but its stream. */
static void end_unseen(Worker *w) {
        set_gone(w);
        if (w->killed_by_us)
                tell_ended(w, w->reason, 0);
        else
                tell_ended(w, w->started ? WORKER_UNSEEN : WORKER_NOT_STARTED, w->started ? 0 : ECONNRESET);
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Worker *w = userdata;

        w->busy++;
        int r = pump(w);
        if (r < 0 && !w->freed) {
                (void) sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
                w->stream_ended = r == -EPIPE;
                if (w->stream_ended && w->unseen)
                        end_unseen(w);
                else
                        r = w->stream_ended ? worker_set_deadline(w, LEAVE_USEC) : kill_for(w, WORKER_GARBLED);
        }
        w->busy--;
        settle(w);
        return 0;
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

static void on_ended(Worker *w, json_object *word) {
        WorkerEnd how = json_flag(word, "exited") ? WORKER_EXITED : WORKER_KILLED;

        set_gone(w);
        drain(w);
        tell_ended(w, w->killed_by_us ? w->reason : how, (int) json_u64(word, "code"));
        if (w->died && !w->freed)
                w->died(w->userdata);
}

static void on_failed(Worker *w, int error) {
        set_gone(w);
        tell_ended(w, WORKER_NOT_STARTED, error);
}

static void on_link_lost(Worker *w) {
        w->word = sd_event_source_disable_unref(w->word);
        w->again = sd_event_source_disable_unref(w->again);
        close_if_open(&w->link);
        if (w->gone)
                return;
        w->unseen = true;
        if (w->freed)
                set_gone(w);
        else if (w->stream_ended)
                end_unseen(w);
}

static void take_word(Worker *w, json_object *word) {
        const char *type = json_str(word, "type");

        if (streq_ptr(type, "started")) {
                w->started = true;
                w->pid = (int) json_u64(word, "pid");
                w->again = sd_event_source_disable_unref(w->again);
        } else if (streq_ptr(type, "failed"))
                on_failed(w, (int) json_u64(word, "errno"));
        else if (streq_ptr(type, "ended"))
                on_ended(w, word);
        else if (streq_ptr(type, "hanging"))
                (void) set_text(&w->stack, json_str(word, "stack"));
        else if (streq_ptr(type, "stopped") && !w->killed_by_us) {
                w->tracer = (int) json_u64(word, "by");
                (void) kill_for(w, WORKER_STOPPED);
        }
}

static int on_word(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        _cleanup_json_ json_object *word = NULL;
        char buffer[WORD_MAX];
        Worker *w = userdata;

        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        w->busy++;
        if (n <= 0 || json_parse(buffer, (size_t) n, &word) < 0)
                on_link_lost(w);
        else
                take_word(w, word);
        w->busy--;
        settle(w);
        return 0;
}

/* Asks the guard (guard/workers.h) for the worker program with `verb` as its only argument and `stream`, one end of a socket, as its standard
 * input and output. It leads a process group of its own. What became of it comes over *ret_link, and the end of that connection is the
 * end of the worker. Never blocks; negative errno where the guard is not there just now. */
static int start_process(const char *verb, int stream, int *ret_link) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "type", "start-worker");
        json_set_str(o, "verb", verb);
        const char *text = json_text(o);
        if (!text)
                return -ENOMEM;
        _cleanup_close_ int link = guard_connect(GUARD_SOCKET_WORKERS);
        if (link < 0)
                return link;

        int r = guard_send(link, text, stream);
        if (r < 0)
                return r;
        *ret_link = TAKE_FD(link);
        return 0;
}

static int ask_for(Worker *w) {
        int r = start_process(w->verb, w->theirs, &w->link);
        if (r < 0)
                return r;
        close_if_open(&w->theirs); /* so that the stream ends when nobody has it any more */
        return sd_event_add_io(w->event, &w->word, w->link, EPOLLIN, on_word, w);
}

/* Until it was asked for, and then until it is said to have been started. */
static int on_again(sd_event_source *timer, uint64_t usec, void *userdata) {
        Worker *w = userdata;
        uint64_t now = now_monotonic();

        int r = w->link < 0 ? ask_for(w) : -ETIMEDOUT;
        if (now < w->until)
                return sd_event_source_set_time(timer, w->link < 0 ? now + AGAIN_USEC : w->until) < 0 ||
                       sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) < 0 ? -ENOMEM : 0;
        w->busy++;
        ask_to_kill(w);
        if (w->link < 0)
                set_gone(w);
        tell_ended(w, WORKER_NOT_STARTED, -r);
        w->busy--;
        settle(w);
        return 0;
}

static int on_deadline(sd_event_source *timer, uint64_t usec, void *userdata) {
        Worker *w = userdata;

        if (!w->killed_by_us)
                return kill_for(w, WORKER_TIMED_OUT);

        /* Nothing that it may say yet is for anybody. */
        (void) sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
        w->died = w->handler ? w->handler->died : NULL;
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

int worker_pid(const Worker *w) {
        return w->pid;
}

const char *worker_stack(const Worker *w) {
        return w->stack;
}

int worker_traced_by(const Worker *w) {
        return w->tracer;
}

int worker_send(Worker *w, json_object *message) {
        const char *text = json_text(message);
        _cleanup_free_ char *line = text ? strf("%s\n", text) : NULL;
        if (!line)
                return -ENOMEM;

        ssize_t n = send(w->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EPIPE && !w->started)
                return 0; /* why nobody took it is told with its end */
        if (n < 0)
                return -errno;
        return (size_t) n == strlen(line) ? 0 : -EIO;
}

static int set_up(Worker *w, const char *verb) {
        int pair[2];

        w->verb = strdup(verb);
        if (!w->verb)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        w->fd = pair[0];
        w->theirs = pair[1];
        int r = sd_event_add_time(w->event, &w->deadline, CLOCK_MONOTONIC, 0, 10 * USEC_PER_MSEC, on_deadline, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->deadline, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(w->event, &w->io, w->fd, EPOLLIN, on_readable, w);
        if (r >= 0)
                r = sd_event_add_time_relative(w->event, &w->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, w);
        if (r >= 0)
                (void) ask_for(w); /* else again in a moment */
        return r;
}

int worker_spawn(sd_event *event, const char *verb, const WorkerHandler *handler, void *userdata, Worker **ret) {
        Worker *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (Worker) { .event = event, .handler = handler, .userdata = userdata, .fd = -EBADF, .theirs = -EBADF, .link = -EBADF };
        w->until = now_monotonic() + START_USEC;

        int r = set_up(w, verb);
        if (r < 0) {
                worker_done(w);
                return r;
        }
        n_alive++;
        *ret = w;
        return 0;
}
