/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/run-dir.h"
#include "peer-bus.h"
#include "public.h"
#include "sub-uid.h"

enum {
        PEERS_MAX = 64,
        PEERS_OF_ONE = 16,     /* of one user */
        BACKLOG = 1024,
        ACCEPTS = 16,          /* at once */
        LINE_MAX_BYTES = 256,  /* of the greeting, all of what is there of it */
        HEADER = 16,
        MESSAGE_MAX = 32 * 1024, /* names and options of a call are at most half of that (who.c) */
        UNREAD_MAX = 128,      /* messages that wait for one connection, beside what is in its socket */
        SOCKET_BYTES = 128 * 1024,
};

typedef struct Peer {
        sd_bus *bus;
        int fd;                /* the bus has a copy, to write to */
        int feed;              /* what the bus reads comes in here */
        uint32_t uid, pid;
        uint32_t user;         /* whose turn it is: sub-uid.h */
        bool ready, greeted;   /* there may be something to read; the first byte has come */
        bool over;             /* it does not read what it is told */
        bool said_all;         /* it has closed its end: half a message will not become a whole one */
        uint64_t turn;         /* when it was served last */
} Peer;

struct Public {
        sd_event *event;
        public_serve_t serve;
        void *userdata;
        int listener, epoll, more; /* `more` always has something to read: a source of it gets its turn like any other */
        sd_event_source *connections, *io, *turns;
        Peer *peers[PEERS_MAX];
        size_t n_peers;
        uint64_t turn;
};

static void peer_free(Peer *peer) {
        sd_bus_close_unref(peer->bus); /* what is not read by now is not waited for */
        if (peer->fd >= 0)
                close(peer->fd);
        if (peer->feed >= 0)
                close(peer->feed);
        free(peer);
}

DEFINE_CLEANUP_FUNC(Peer, peer_free)

static void drop(Public *p, size_t i) {
        /* The bus keeps the file of the descriptor alive until it is freed: it does not leave the set by itself. */
        (void) epoll_ctl(p->epoll, EPOLL_CTL_DEL, p->peers[i]->fd, NULL);
        peer_free(p->peers[i]);
        p->peers[i] = p->peers[--p->n_peers];
}

static void drop_peer(Public *p, const Peer *peer) {
        for (size_t i = p->n_peers; i-- > 0;)
                if (p->peers[i] == peer)
                        drop(p, i);
}

void public_free(Public *p) {
        if (!p)
                return;
        while (p->n_peers > 0)
                drop(p, p->n_peers - 1);
        sd_event_source_disable_unref(p->connections);
        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->turns);
        if (p->listener >= 0)
                close(p->listener);
        if (p->epoll >= 0)
                close(p->epoll);
        if (p->more >= 0)
                close(p->more);
        sd_event_unref(p->event);
        free(p);
}

static int feed(const Peer *peer, const char *data, size_t length) {
        ssize_t n = send(peer->feed, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

        return n < 0 ? -errno : (size_t) n < length ? -ENOBUFS : 0;
}

/* The copy of what has come, without taking it. Descriptors are for nobody. */
static ssize_t peek(const Peer *peer, void *data, size_t size) {
        struct iovec v = { .iov_base = data, .iov_len = size };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

        ssize_t n = recvmsg(peer->fd, &m, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        return m.msg_flags & MSG_CTRUNC ? -EBADMSG : n == 0 ? -EPIPE : n;
}

static int take(const Peer *peer, char *data, size_t length) {
        ssize_t n = recv(peer->fd, data, length, MSG_DONTWAIT);

        return n < 0 ? -errno : (size_t) n < length ? -EIO : 0;
}

/* "31303030" for 1000: digits are 0x30 to 0x39. */
static char *name_of(uint32_t uid) {
        _cleanup_free_ char *number = strf("%" PRIu32, uid);
        char *name = number ? calloc(1, 2 * strlen(number) + 1) : NULL;

        for (size_t i = 0; name && number[i]; i++) {
                name[2 * i] = '3';
                name[2 * i + 1] = number[i];
        }
        return name;
}

/* The library's other end is ours, and so it expects our own name; who says his own, or leaves that to the kernel, has said enough. */
static int greet_line(const Peer *peer, const char *line) {
        static const char *const words[] = { "AUTH EXTERNAL ", "DATA " };
        _cleanup_free_ char *his = name_of(peer->uid), *own = name_of(geteuid()), *said = NULL;

        if (!his || !own)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                const char *name = startswith(line, words[i]);

                if (name && *name && !streq(name, his))
                        return -EACCES;
                if (name && *name)
                        said = strf("%s%s\r\n", words[i], own);
        }
        said = said ?: strf("%s\r\n", line);
        return said ? feed(peer, said, strlen(said)) : -ENOMEM;
}

/* One line of the greeting. 1: there was one, 0: not all of it yet. */
static int greet(Peer *peer) {
        char data[LINE_MAX_BYTES + 1], *end;

        ssize_t n = peek(peer, data, LINE_MAX_BYTES);
        if (n <= 0)
                return n == -EAGAIN ? 0 : (int) n;
        if (!peer->greeted) {
                peer->greeted = true;
                int r = *data == '\0' ? take(peer, data, 1) : -EPROTO;
                return r < 0 ? r : feed(peer, "", 1) < 0 ? -EIO : 1;
        }
        end = memmem(data, (size_t) n, "\r\n", 2);
        if (!end)
                return n == LINE_MAX_BYTES ? -EPROTO : 0;
        size_t length = (size_t) (end - data);
        if (memchr(data, '\0', length))
                return -EPROTO;
        int r = take(peer, data, length + 2);
        data[length] = '\0';
        if (r >= 0)
                r = greet_line(peer, data);
        return r < 0 ? r : 1;
}

static uint32_t number_at(const unsigned char *header, size_t at) {
        bool big = header[0] == 'B';
        uint32_t n = 0;

        for (size_t i = 0; i < sizeof(n); i++)
                n |= (uint32_t) header[at + i] << 8 * (big ? 3 - i : i);
        return n;
}

/* Hands over the next message as soon as it is there as a whole. 1: it was, 0: not yet. */
static int hand_over(const Peer *peer) {
        unsigned char header[HEADER];
        char message[MESSAGE_MAX];
        int there = 0;

        ssize_t n = peek(peer, header, sizeof(header));
        if (n < (ssize_t) sizeof(header))
                return n == -EAGAIN || n > 0 ? 0 : (int) n;
        /* Two lengths after the header: that of its fields, which are filled up to eight, and that of the body. */
        uint32_t body = number_at(header, 4), fields = number_at(header, 12);
        if (body > MESSAGE_MAX || fields > MESSAGE_MAX)
                return -EMSGSIZE;
        size_t length = HEADER + (fields + 7) / 8 * 8 + body;
        if (length > MESSAGE_MAX)
                return -EMSGSIZE;
        if (ioctl(peer->fd, SIOCINQ, &there) < 0)
                return -errno;
        if ((size_t) there < length)
                return 0;
        int r = take(peer, message, length);
        if (r >= 0)
                r = feed(peer, message, length);
        return r < 0 ? r : 1;
}

/* Also sends what waits for room. */
static int process(const Peer *peer) {
        int r;

        do
                r = sd_bus_process(peer->bus, NULL);
        while (r > 0);
        return r;
}

/* Its turn. Negative: it is over with this one. Who has not read the answer before is ready again when there is room for it. */
static int serve_peer(Peer *peer) {
        uint64_t unread = 0;

        int r = peer->over ? -ENOBUFS : process(peer);
        if (r >= 0)
                r = sd_bus_get_n_queued_write(peer->bus, &unread);
        if (r >= 0 && unread == 0)
                r = sd_bus_is_ready(peer->bus) > 0 ? hand_over(peer) : greet(peer);
        if (r == 0 && unread == 0 && peer->said_all)
                r = -EPIPE;
        peer->ready = r > 0 && unread == 0;
        return peer->ready ? process(peer) : r;
}

/* Of those of the same user who was served longest ago. */
static bool is_next(const Public *p, const Peer *peer) {
        for (size_t i = 0; i < p->n_peers; i++)
                if (p->peers[i]->ready && p->peers[i]->user == peer->user && p->peers[i]->turn < peer->turn)
                        return false;
        return peer->ready;
}

/* One message of each user. */
static int on_turn(sd_event_source *turns, int fd, uint32_t revents, void *userdata) {
        Peer *next[PEERS_MAX];
        Public *p = userdata;
        size_t n = 0;

        for (size_t i = 0; i < p->n_peers; i++)
                if (is_next(p, p->peers[i]))
                        next[n++] = p->peers[i];
        for (size_t i = 0; i < n; i++) {
                next[i]->turn = ++p->turn;
                if (serve_peer(next[i]) < 0)
                        drop_peer(p, next[i]);
        }
        return n > 0 ? 0 : sd_event_source_set_enabled(turns, SD_EVENT_OFF);
}

static int on_io(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        struct epoll_event events[PEERS_MAX];
        Public *p = userdata;

        int n = epoll_wait(p->epoll, events, PEERS_MAX, 0);
        for (int i = 0; i < n; i++) {
                Peer *peer = events[i].data.ptr;

                peer->ready = true;
                peer->said_all |= (events[i].events & (EPOLLRDHUP | EPOLLHUP)) != 0;
        }
        return n > 0 ? sd_event_source_set_enabled(p->turns, SD_EVENT_ON) : 0;
}

/* Who is whose may have become known since. */
static void know_users(Public *p) {
        for (size_t i = 0; i < p->n_peers; i++)
                p->peers[i]->user = sub_uid_user(p->peers[i]->uid);
}

static size_t count_of(const Public *p, uint32_t user) {
        size_t n = 0;

        for (size_t i = 0; i < p->n_peers; i++)
                n += p->peers[i]->user == user;
        return n;
}

/* Who has most gives way, with the connection that has been still for longest. */
static bool make_room(Public *p, uint32_t user) {
        size_t most = 0, gives = 0, own = count_of(p, user);

        if (own >= PEERS_OF_ONE || p->n_peers < PEERS_MAX)
                return own < PEERS_OF_ONE;
        for (size_t i = 0; i < p->n_peers; i++) {
                size_t n = count_of(p, p->peers[i]->user);

                if (n > most || (n == most && p->peers[i]->turn < p->peers[gives]->turn)) {
                        most = n;
                        gives = i;
                }
        }
        if (most <= own + 1)
                return false;
        drop(p, gives);
        return true;
}

static int peer_new(Public *p, int *fd, const struct ucred *who, Peer **ret) {
        _cleanup_(peer_freep) Peer *peer = calloc(1, sizeof(*peer));
        if (!peer)
                return -ENOMEM;
        *peer = (Peer) { .fd = TAKE_FD(*fd), .feed = -EBADF, .uid = who->uid, .user = sub_uid_user(who->uid), .pid = (uint32_t) who->pid };
        _cleanup_close_ int out = fcntl(peer->fd, F_DUPFD_CLOEXEC, 3);
        int pair[2];

        if (out < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        peer->feed = pair[0];
        _cleanup_close_ int in = pair[1];
        int r = peer_bus_new(&in, &out, SOCKET_BYTES, &peer->bus);
        if (r >= 0)
                r = p->serve(peer->bus, p->userdata);
        if (r >= 0)
                r = sd_bus_attach_event(peer->bus, p->event, SD_EVENT_PRIORITY_NORMAL); /* what waits to be read goes by itself */
        if (r < 0)
                return r;
        *ret = TAKE_PTR(peer);
        return 0;
}

/* Each message is a wakeup, and so is the room for an answer. */
static int add_peer(Public *p, int *fd, const struct ucred *who) {
        _cleanup_(peer_freep) Peer *peer = NULL;

        int r = peer_new(p, fd, who, &peer);
        if (r < 0)
                return r;
        struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = peer };
        if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, peer->fd, &e) < 0)
                return -errno;
        p->peers[p->n_peers++] = TAKE_PTR(peer);
        return 0;
}

/* Root, and whoever runs the workers, have a socket of their own. */
static int on_connection(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Public *p = userdata;

        know_users(p);
        for (size_t i = 0; i < ACCEPTS; i++) {
                struct ucred who;
                _cleanup_close_ int connection = run_accept_any(fd, &who);

                if (connection == -EAGAIN)
                        break;
                if (connection >= 0 && who.uid != 0 && who.uid != run_owner() && make_room(p, sub_uid_user(who.uid)))
                        (void) add_peer(p, &connection, &who); /* who is not served has the bus */
        }
        return 0;
}

static int listen_and_watch(Public *p) {
        struct sockaddr_un address;

        int r = run_public_socket(&address);
        if (r < 0)
                return r;
        p->listener = run_listen(&address, SOCK_STREAM, RUN_EVERYBODY, BACKLOG);
        if (p->listener < 0)
                return p->listener;
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        p->more = eventfd(1, EFD_CLOEXEC);
        if (p->epoll < 0 || p->more < 0)
                return -errno;
        r = sd_event_add_io(p->event, &p->connections, p->listener, EPOLLIN, on_connection, p);
        if (r >= 0)
                r = sd_event_add_io(p->event, &p->io, p->epoll, EPOLLIN, on_io, p);
        if (r >= 0)
                r = sd_event_add_io(p->event, &p->turns, p->more, EPOLLIN, on_turn, p);
        return r < 0 ? r : sd_event_source_set_enabled(p->turns, SD_EVENT_OFF);
}

int public_new(sd_event *event, public_serve_t serve, void *userdata, Public **ret) {
        _cleanup_(public_freep) Public *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        *p = (Public) { .event = sd_event_ref(event), .serve = serve, .userdata = userdata, .listener = -EBADF, .epoll = -EBADF, .more = -EBADF };
        int r = listen_and_watch(p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

bool public_who(const Public *p, const sd_bus *bus, uint32_t *ret_uid, uint32_t *ret_pid) {
        for (size_t i = 0; p && i < p->n_peers; i++)
                if (p->peers[i]->bus == bus) {
                        *ret_uid = p->peers[i]->uid;
                        *ret_pid = p->peers[i]->pid;
                        return true;
                }
        return false;
}

void public_tell(Public *p, int (*tell)(sd_bus *bus, void *userdata), void *userdata) {
        for (size_t i = p ? p->n_peers : 0; i-- > 0;) {
                uint64_t unread = 0;
                int r = sd_bus_is_ready(p->peers[i]->bus) > 0 ? tell(p->peers[i]->bus, userdata) : 0;

                if (r >= 0 && (sd_bus_get_n_queued_write(p->peers[i]->bus, &unread) < 0 || unread <= UNREAD_MAX))
                        continue;
                /* It may be this one's own call that is being told of. */
                p->peers[i]->over = p->peers[i]->ready = true;
                (void) sd_event_source_set_enabled(p->turns, SD_EVENT_ON);
        }
}
