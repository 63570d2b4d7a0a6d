/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "answer.h"

enum {
        CHUNK = 64 * 1024,
        PIECE = 60 * 1024,     /* of one that is kept: a reply with it is no longer than others */
        STREAMS_OF_ONE = 2,    /* of one user */
        STREAMS_OF_USERS = 16,
        STREAMS_OF_ROOT = 32,
        UNREAD_OF_USERS = 16 * 1024 * 1024, /* bytes of theirs: they lie in this service's memory until they are read */
};

/* A terminal's user scrolls in a pager, which has read it; a program that takes longer asks again. */
#define READ_USEC (30 * USEC_PER_SEC)

static int read_text(const Answer *a, char **ret) {
        char *text = malloc(answer_size(a) + 1);
        if (!text)
                return -ENOMEM;

        ssize_t n = answer_read(a, 0, text, answer_size(a));
        if (n < 0) {
                free(text);
                return (int) n;
        }
        text[n] = '\0';
        *ret = text;
        return 0;
}

int answer_reply(Answer *a, sd_bus_message *call) {
        _cleanup_free_ char *text = NULL;

        int r = read_text(a, &text);
        return r < 0 ? r : sd_bus_reply_method_return(call, "s", text);
}

int answer_parse(const Answer *a, json_object **ret) {
        _cleanup_free_ char *text = NULL;

        int r = read_text(a, &text);
        return r < 0 ? r : json_parse(text, strlen(text), ret);
}

typedef struct Stream {
        Streams *streams;
        Answer *answer;
        size_t sent;
        int fd;                /* -EBADF: it is kept until it is asked for */
        uint32_t number;       /* under this one; 0: it is not */
        uint32_t uid, user;
        bool privileged;
        sd_event_source *io, *deadline;
        struct Stream *next;
} Stream;

struct Streams {
        sd_event *event;
        uint32_t last_number;  /* of those that are kept */
        Stream *first;
};

static void stream_free(Stream *s) {
        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->deadline);
        answer_unref(s->answer);
        if (s->fd >= 0)
                close(s->fd);
        free(s);
}

DEFINE_CLEANUP_FUNC(Stream, stream_free)

int streams_new(sd_event *event, Streams **ret) {
        Streams *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->event = event;
        *ret = s;
        return 0;
}

void streams_free(Streams *s) {
        for (Stream *t = s ? s->first : NULL, *next; t; t = next) {
                next = t->next;
                stream_free(t);
        }
        free(s);
}

static int end(Stream *s) {
        Stream **p = &s->streams->first;

        while (*p != s)
                p = &(*p)->next;
        *p = s->next;
        stream_free(s);
        return 0;
}

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        return end(userdata);
}

/* One chunk. 1: there is more, 0: that was all of it, negative: it will not be read any more. */
static int send_chunk(Stream *s) {
        char chunk[CHUNK];

        ssize_t n = answer_read(s->answer, s->sent, chunk, sizeof(chunk));
        if (n < 0)
                return (int) n;
        if (n > 0)
                n = send(s->fd, chunk, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : -errno;
        s->sent += (size_t) n;
        return s->sent < answer_size(s->answer);
}

/* Others are served between two chunks. */
static int on_writable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Stream *s = userdata;

        return send_chunk(s) > 0 ? 0 : end(s);
}

static size_t unread(const Stream *s) {
        return answer_size(s->answer) - s->sent;
}

static size_t unread_of(const Streams *s, uint32_t user) {
        size_t all = 0;

        for (const Stream *t = s->first; t; t = t->next)
                all += !t->privileged && t->user == user ? unread(t) : 0;
        return all;
}

static size_t unread_of_users(const Streams *s) {
        size_t all = 0;

        for (const Stream *t = s->first; t; t = t->next)
                all += t->privileged ? 0 : unread(t);
        return all;
}

/* The longest of the user who leaves most unread; NULL: nobody leaves more than `most`. */
static Stream *find_longest(const Streams *s, size_t most) {
        Stream *longest = NULL;

        for (Stream *t = s->first; t; t = t->next) {
                size_t all = t->privileged ? 0 : unread_of(s, t->user);
                if (all > most || (all == most && longest && longest->user == t->user && unread(t) > unread(longest))) {
                        most = all;
                        longest = t;
                }
        }
        return longest;
}

bool streams_make_room(Streams *s, uint32_t user, bool privileged, size_t bytes) {
        unsigned of_one = 0, of_all = 0;

        for (const Stream *t = s->first; t; t = t->next) {
                of_all += t->privileged == privileged;
                of_one += t->user == user;
        }
        if (privileged)
                return of_all < STREAMS_OF_ROOT;
        if (of_one >= STREAMS_OF_ONE || of_all >= STREAMS_OF_USERS || bytes > UNREAD_OF_USERS)
                return false;
        while (unread_of_users(s) + bytes > UNREAD_OF_USERS) {
                Stream *longest = find_longest(s, unread_of(s, user) + bytes);
                if (!longest)
                        return false;
                (void) end(longest);
        }
        return true;
}

static int watch(Stream *s) {
        sd_event *event = s->streams->event;

        int r = sd_event_add_io(event, &s->io, s->fd, EPOLLOUT, on_writable, s);
        return r < 0 ? r : sd_event_add_time_relative(event, &s->deadline, CLOCK_MONOTONIC, READ_USEC, 0, on_time, s);
}

int streams_reply(Streams *s, Answer *a, sd_bus_message *call, uint32_t user, bool privileged) {
        _cleanup_(stream_freep) Stream *t = calloc(1, sizeof(*t));
        int pair[2];

        if (!t)
                return -ENOMEM;
        *t = (Stream) { .streams = s, .answer = answer_ref(a), .fd = -EBADF, .user = user, .privileged = privileged };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        t->fd = pair[0];
        _cleanup_close_ int theirs = pair[1];
        (void) shutdown(theirs, SHUT_WR);

        /* What is short waits in the socket, and is nobody's stream. */
        int more = send_chunk(t);
        int r = more > 0 ? watch(t) : more;
        if (r >= 0)
                r = sd_bus_reply_method_return(call, "h", theirs);
        if (r < 0 || more == 0)
                return r;
        t->next = s->first;
        s->first = TAKE_PTR(t);
        return 0;
}

int streams_keep(Streams *s, Answer *a, sd_bus_message *call, uint32_t uid, uint32_t user, bool privileged) {
        _cleanup_(stream_freep) Stream *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *t = (Stream) {
                .streams = s, .answer = answer_ref(a), .fd = -EBADF, .number = ++s->last_number ?: ++s->last_number, .uid = uid, .user = user, .privileged = privileged,
        };
        int r = sd_event_add_time_relative(s->event, &t->deadline, CLOCK_MONOTONIC, READ_USEC, 0, on_time, t);
        if (r >= 0)
                r = sd_bus_reply_method_return(call, "ut", t->number, (uint64_t) answer_size(a));
        if (r < 0)
                return r;
        t->next = s->first;
        s->first = TAKE_PTR(t);
        return 0;
}

int streams_read_kept(Streams *s, uint32_t number, uint32_t uid, char **ret) {
        _cleanup_free_ char *piece = malloc(PIECE + 1);
        Stream *t = s->first;

        if (!piece)
                return -ENOMEM;
        while (t && (t->number != number || t->uid != uid))
                t = t->next;
        if (!t || number == 0)
                return -ENOENT;
        ssize_t n = answer_read(t->answer, t->sent, piece, PIECE);
        if (n < 0)
                return (int) n;
        /* Not the beginning of a character whose rest is in the next piece. */
        for (size_t rest = 0; t->sent + (size_t) n < answer_size(t->answer) && rest < 4; rest++) {
                unsigned char last = (unsigned char) piece[n - 1];
                if (last < 0x80)
                        break;
                n--;
                if (last >= 0xc0)
                        break;
        }
        piece[n] = '\0';
        t->sent += (size_t) n;
        if (n == 0)
                (void) end(t);
        *ret = TAKE_PTR(piece);
        return 0;
}
