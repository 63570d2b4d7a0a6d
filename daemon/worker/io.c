/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "io.h"
#include "view.h"

enum {
        LINE_MAX_BYTES = 1024 * 1024,
        PART_MAX_BYTES = 32 * 1024,
};

void worker_io_done(WorkerIo *io) {
        free(io->buffer);
        free(io->refuse);
        free(io->cancel_why);
        json_object_put(io->inhibitors);
}

void worker_send_error(WorkerIo *io, const char *code, const char *message) {
        json_object *o = worker_line("error");

        json_set_str(o, "code", code);
        json_set_str(o, "message", message);
        view_restrict(o, io->by);
        worker_send(io, o);
}

json_object *worker_line(const char *type) {
        json_object *o = json_object_new_object();

        json_set_str(o, "type", type);
        return o;
}

static void send_line(WorkerIo *io, const char *line) {
        _cleanup_free_ char *text = strf("%s\n", line);

        for (size_t left = text ? strlen(text) : 0, sent = 0; left > 0;) {
                ssize_t n = write(io->out, text + sent, left);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return;
                sent += (size_t) n;
                left -= (size_t) n;
        }
}

void worker_send(WorkerIo *io, json_object *line) {
        _cleanup_json_ json_object *owned = line;

        send_line(io, json_text(owned));
}

void worker_send_document(WorkerIo *io, json_object *request, const char *text) {
        if (!text) {
                worker_send_error(io, "internal", "Out of memory.");
                return;
        }
        if (!json_flag(request, "parts")) {
                send_line(io, text);
                return;
        }
        for (size_t left = strlen(text), n; left > 0; text += n, left -= n) {
                json_object *part = worker_line("part");

                /* So many bytes at most, and no character is cut in two. */
                n = left < PART_MAX_BYTES ? left : PART_MAX_BYTES;
                while (n < left && n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
                        n--;
                n = n > 0 ? n : left;
                json_set(part, "text", json_object_new_string_len(text, (int) n));
                worker_send(io, part);
        }
        worker_send(io, worker_line("answer"));
}

static int fill(WorkerIo *io, int timeout_msec) {
        struct pollfd p = { .fd = io->in, .events = POLLIN };

        if (io->ended || poll(&p, 1, timeout_msec) <= 0)
                return -EAGAIN;
        if (io->length + 4096 > io->allocated) {
                size_t want = io->allocated ? io->allocated * 2 : 8192;
                char *grown = want > LINE_MAX_BYTES ? NULL : realloc(io->buffer, want);
                if (!grown) {
                        io->ended = true;
                        return -ENOBUFS;
                }
                io->buffer = grown;
                io->allocated = want;
        }

        ssize_t n = read(io->in, io->buffer + io->length, io->allocated - io->length);
        if (n <= 0) {
                io->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
                return -EAGAIN;
        }
        io->length += (size_t) n;
        return 0;
}

/* The next complete line as an object: 1, or 0 when there is none. A line that is not JSON is passed over. */
static int next_line(WorkerIo *io, json_object **ret) {
        for (char *end; io->length > 0 && (end = memchr(io->buffer, '\n', io->length));) {
                size_t n = (size_t) (end - io->buffer);
                int r = json_parse_names(io->buffer, n, ret);

                io->length -= n + 1;
                memmove(io->buffer, end + 1, io->length);
                if (r >= 0)
                        return 1;
        }
        return 0;
}

void worker_take_inhibitors(WorkerIo *io, json_object *line) {
        json_object_put(io->inhibitors);
        io->inhibitors = json_ref(json_array(line, "inhibitors"));
}

static size_t obey_lines(WorkerIo *io) {
        size_t n = 0;

        for (;; n++) {
                _cleanup_json_ json_object *line = NULL;
                if (next_line(io, &line) == 0)
                        return n;
                const char *type = json_str(line, "type");
                if (streq_ptr(type, "go")) {
                        io->go = true;
                        worker_take_inhibitors(io, line);
                        if (!io->refuse && json_str(line, "refuse"))
                                io->refuse = strdup(json_str(line, "refuse"));
                } else if (streq_ptr(type, "released"))
                        io->released = true;
                else if (streq_ptr(type, "announced"))
                        io->announced = true;
                else if (streq_ptr(type, "cancel") && !io->cancel_why)
                        io->cancel_why = strdup(json_str(line, "why") ?: "command");
        }
}

void worker_receive(WorkerIo *io, int timeout_msec) {
        /* What came along with an earlier line is here already. */
        if (obey_lines(io) > 0)
                return;
        (void) fill(io, timeout_msec);
        (void) obey_lines(io);
}

int worker_receive_request(WorkerIo *io, int timeout_msec, json_object **ret) {
        uint64_t deadline = now_monotonic() + (uint64_t) timeout_msec * USEC_PER_MSEC;

        while (now_monotonic() < deadline) {
                if (next_line(io, ret) > 0)
                        return 0;
                if (io->ended)
                        break;
                (void) fill(io, 100);
        }
        return -ENODATA;
}

bool worker_cancelled(void *io) {
        worker_receive(io, 0);
        return ((WorkerIo *) io)->cancel_why != NULL;
}

/* What a file says that somebody names, or all of the machine, is for who has the right to read it and starts a worker himself. Whoever has taken
 * the daemon over has not. */
int worker_is_for_own_starter(WorkerIo *io) {
        if (!getenv("SAFE_REMOVE_STARTER"))
                return 0;
        worker_send_error(io, "internal", "This is read with the rights of who asks, and the daemon has none: start the worker yourself.");
        return -EPERM;
}
