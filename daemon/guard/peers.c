/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "daemon/log.h"
#include "daemon/source/guard-socket.h"
#include "peers.h"

enum {
        PEERS_MAX = 4,         /* the daemon, its successor, and whoever debugs it */
        MESSAGE_MAX = 8192,
};

typedef struct Peer {
        Peers *peers;
        int fd;                /* -EBADF: free */
        bool spoke;            /* it is a daemon; who only listens does nothing about what he hears */
        sd_event_source *io;
} Peer;

struct Peers {
        sd_event *event;
        const PeersHandler *handler;
        void *userdata;
        int listener;
        sd_event_source *io;
        Peer items[PEERS_MAX];
};

static unsigned count_daemons(const Peers *p) {
        unsigned n = 0;

        for (size_t i = 0; i < PEERS_MAX; i++)
                n += p->items[i].fd >= 0 && p->items[i].spoke;
        return n;
}

static void drop(Peer *peer) {
        Peers *p = peer->peers;

        if (peer->fd < 0)
                return;
        peer->io = sd_event_source_disable_unref(peer->io);
        close(TAKE_FD(peer->fd));
        if (peer->spoke)
                p->handler->gone(count_daemons(p), p->userdata);
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Peer *peer = userdata;
        _cleanup_json_ json_object *message = NULL;
        char buffer[MESSAGE_MAX];

        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || json_parse(buffer, (size_t) n, &message) < 0) {
                drop(peer);
                return 0;
        }
        peer->spoke = true;
        peer->peers->handler->message(message, peer->peers->userdata);
        return 0;
}

static int on_connection(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Peers *p = userdata;
        Peer *peer = NULL;

        _cleanup_close_ int connection = guard_accept(fd);
        for (size_t i = 0; i < PEERS_MAX && !peer; i++)
                if (p->items[i].fd < 0)
                        peer = &p->items[i];
        if (connection < 0 || !peer)
                return 0;
        int r = sd_event_add_io(p->event, &peer->io, connection, EPOLLIN, on_readable, peer);
        if (r < 0)
                return 0;
        peer->fd = TAKE_FD(connection);
        peer->spoke = false;
        return 0;
}

bool peers_tell(Peers *p, json_object *message) {
        _cleanup_json_ json_object *owned = message;
        const char *text = json_text(message);
        bool heard = false;

        for (size_t i = 0; i < PEERS_MAX && p && text; i++) {
                if (p->items[i].fd < 0)
                        continue;
                if (send(p->items[i].fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        heard = heard || p->items[i].spoke;
                else
                        drop(&p->items[i]);
        }
        return heard;
}

static Peers *peers_alloc(sd_event *event, const PeersHandler *handler, void *userdata) {
        Peers *p = calloc(1, sizeof(*p));

        if (!p)
                return NULL;
        *p = (Peers) { .event = event, .handler = handler, .userdata = userdata };
        for (size_t i = 0; i < PEERS_MAX; i++)
                p->items[i] = (Peer) { .peers = p, .fd = -EBADF };
        return p;
}

Peers *peers_new(sd_event *event, const PeersHandler *handler, void *userdata) {
        Peers *p = peers_alloc(event, handler, userdata);
        int r = -ENOMEM;

        if (p)
                p->listener = r = guard_listen(GUARD_SOCKET_PEERS, PEERS_MAX);
        if (r >= 0)
                r = sd_event_add_io(event, &p->io, p->listener, EPOLLIN, on_connection, p);
        if (r >= 0)
                return p;
        log_plain(LOG_ERR, "The guard's socket cannot be made: %s. The daemon cannot be told of presses.", strerror(-r));
        peers_free(p);
        return NULL;
}

void peers_free(Peers *p) {
        if (!p)
                return;
        for (size_t i = 0; i < PEERS_MAX; i++) {
                sd_event_source_disable_unref(p->items[i].io);
                if (p->items[i].fd >= 0)
                        close(p->items[i].fd);
        }
        sd_event_source_disable_unref(p->io);
        if (p->listener >= 0)
                close(p->listener);
        free(p);
}
