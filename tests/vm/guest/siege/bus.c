/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* D-Bus as far as shouting takes it: messages are written, and nothing is read but the first answer. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "siege.h"

enum {
        CALLS = 1024, /* on a connection before it is left alone */
        FIELD_PATH = 1, FIELD_INTERFACE = 2, FIELD_MEMBER = 3, FIELD_DESTINATION = 6, FIELD_SIGNATURE = 8,
};

typedef struct Message {
        uint8_t bytes[2048];
        size_t n;
} Message;

static void align(Message *m, size_t to) {
        while (m->n % to != 0)
                m->bytes[m->n++] = 0;
}

static void put_u32(Message *m, uint32_t v) {
        align(m, 4);
        memcpy(m->bytes + m->n, &v, sizeof(v));
        m->n += sizeof(v);
}

static void put_string(Message *m, const char *s) {
        put_u32(m, (uint32_t) strlen(s));
        memcpy(m->bytes + m->n, s, strlen(s) + 1);
        m->n += strlen(s) + 1;
}

static void put_signature(Message *m, const char *s) {
        m->bytes[m->n++] = (uint8_t) strlen(s);
        memcpy(m->bytes + m->n, s, strlen(s) + 1);
        m->n += strlen(s) + 1;
}

static void put_field(Message *m, uint8_t code, const char *type, const char *value) {
        if (!*value)
                return;
        align(m, 8);
        m->bytes[m->n++] = code;
        put_signature(m, type);
        if (*type == 'g')
                put_signature(m, value);
        else
                put_string(m, value);
}

/* The body of each signature that the methods take. */
static void put_body(Message *m, const char *signature, const char *text) {
        for (const char *c = signature; *c; c++)
                if (*c == 's' && (c == signature || c[-1] != 'a'))
                        put_string(m, text);
                else if (*c == 'u')
                        put_u32(m, 100000);
                else if (c[0] == 'a' && c[1] == 's') {
                        put_u32(m, 4 + (uint32_t) strlen(text) + 1);
                        put_string(m, text);
                } else if (c[0] == 'a' && c[1] == '{') {
                        put_u32(m, 0);
                        align(m, 8);
                        return;
                }
}

static void make_call(Message *m, uint32_t serial, bool no_reply, const char *to, const char *path, const char *interface, const char *member,
                      const char *signature, const char *text) {
        Message body = { .n = 0 };

        put_body(&body, signature, text);
        *m = (Message) { .bytes = { 'l', 1, no_reply, 1 }, .n = 4 };
        put_u32(m, (uint32_t) body.n);
        put_u32(m, serial);
        put_u32(m, 0);
        size_t fields = m->n;
        put_field(m, FIELD_PATH, "o", path);
        put_field(m, FIELD_INTERFACE, "s", interface);
        put_field(m, FIELD_MEMBER, "s", member);
        put_field(m, FIELD_DESTINATION, "s", to);
        put_field(m, FIELD_SIGNATURE, "g", signature);
        uint32_t length = (uint32_t) (m->n - fields);
        memcpy(m->bytes + 12, &length, sizeof(length));
        align(m, 8);
        memcpy(m->bytes + m->n, body.bytes, body.n);
        m->n += body.n;
}

typedef struct Call {
        char path[128], interface[128], member[64], signature[32], text[64];
} Call;

static Call *calls;
static size_t n_calls;

static void take_empty(char *word) {
        if (strcmp(word, "-") == 0)
                *word = '\0';
}

static int read_methods(const char *path) {
        FILE *f = path ? fopen(path, "re") : NULL;
        Call c;

        if (!f)
                return -EINVAL;
        while (fscanf(f, "%127s %127s %63s %31s %63s", c.path, c.interface, c.member, c.signature, c.text) == 5) {
                Call *more = reallocarray(calls, n_calls + 1, sizeof(Call));
                if (!more)
                        break;
                take_empty(c.signature);
                take_empty(c.text);
                calls = more;
                calls[n_calls++] = c;
        }
        (void) fclose(f);
        return n_calls > 0 ? 0 : -ENODATA;
}

static int send_all(int fd, const void *data, size_t n) {
        return send(fd, data, n, MSG_NOSIGNAL) == (ssize_t) n ? 0 : -errno;
}

static int say_hello(int fd) {
        char uid[16], hex[64] = "", line[128], answer[256];
        Message m;

        snprintf(uid, sizeof(uid), "%u", (unsigned) getuid());
        for (size_t i = 0; uid[i]; i++)
                snprintf(hex + 2 * i, sizeof(hex) - 2 * i, "%02x", (unsigned) uid[i]);
        int n = snprintf(line, sizeof(line), "%cAUTH EXTERNAL %s\r\n", '\0', hex);
        if (send_all(fd, line, (size_t) n) < 0 || recv(fd, answer, sizeof(answer), 0) < 2 || answer[0] != 'O')
                return -EACCES;
        if (send_all(fd, "BEGIN\r\n", 7) < 0)
                return -EPIPE;
        make_call(&m, 1, false, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "", "");
        return send_all(fd, m.bytes, m.n);
}

static int connect_to_bus(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket" };
        int fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        int r = connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : say_hello(fd);
        if (r < 0) {
                (void) close(fd);
                return r;
        }
        return fd;
}

/* Some calls want an answer, some do not: a bus that counts unanswered calls takes any number of the others. */
static void shout(int fd, unsigned from) {
        for (unsigned i = 0; i < CALLS; i++) {
                const Call *c = &calls[(from + i) % n_calls];
                Message m;

                make_call(&m, i + 2, i % 4 == 3, "org.saferemove1", c->path, c->interface, c->member, c->signature, c->text);
                if (send(fd, m.bytes, m.n, MSG_NOSIGNAL|MSG_DONTWAIT) != (ssize_t) m.n)
                        return;
        }
}

int siege_bus(unsigned connections, const char *methods) {
        int r = read_methods(methods);
        if (r < 0)
                return r;
        int *fds = malloc((connections + 1) * sizeof(int));

        if (!fds)
                return -ENOMEM;
        for (unsigned i = 0; i < connections; i++)
                fds[i] = -1;
        for (unsigned round = 0;; round++) {
                unsigned up = 0;

                for (unsigned i = 0; i < connections; i++) {
                        if (fds[i] >= 0)
                                (void) close(fds[i]);
                        fds[i] = connect_to_bus();
                        if (fds[i] < 0)
                                continue;
                        up++;
                        shout(fds[i], i);
                }
                if (round == 0)
                        printf("ready %u\n", up);
                (void) nanosleep(&(struct timespec) { .tv_sec = 2 }, NULL);
        }
}
