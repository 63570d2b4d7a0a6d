/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who listens to the guard: only who has said something counts as one who does anything about a press, and whose end is one. */
#include "base/clock.h"
#include "daemon/guard/peers.h"
#include "daemon/log.h"
#include "daemon/source/guard-socket.h"
#include "tests/unit/test.h"

#include <sys/socket.h>

static unsigned n_messages, n_gone, last_left;

void log_write(int priority, LogMessage message, const LogSubject *subject, const char *format, ...) {
}

static void on_message(json_object *message, void *userdata) {
        n_messages++;
}

static void on_gone(unsigned left, void *userdata) {
        n_gone++;
        last_left = left;
}

static const PeersHandler handler = { .message = on_message, .gone = on_gone };

static void run(sd_event *event) {
        while (sd_event_run(event, 50 * USEC_PER_MSEC) > 0)
                ;
}

static bool tell(Peers *p) {
        json_object *o = json_object_new_object();

        json_set_str(o, "type", "press");
        return peers_tell(p, o);
}

static int join(sd_event *event) {
        int fd = guard_connect(GUARD_SOCKET_PEERS);

        CHECK(fd >= 0);
        run(event);
        return fd;
}

/* False: it is at its end. */
static bool read_all(int fd) {
        char buffer[256];
        ssize_t n;

        while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
                ;
        return n < 0;
}

static bool is_cut_off(int fd) {
        bool open = read_all(fd);

        close(fd);
        return !open;
}

static void say(sd_event *event, int fd) {
        unsigned before = n_messages;

        CHECK_INT(write(fd, "{}", 2), 2);
        run(event);
        CHECK_INT(n_messages, before + 1);
}

int main(void) {
        char folder[] = "/tmp/safe-remove-test-XXXXXX";
        sd_event *event = NULL;

        CHECK(mkdtemp(folder));
        CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, true), 0);
        CHECK(sd_event_default(&event) >= 0);
        Peers *p = peers_new(event, &handler, NULL);
        CHECK(p && !tell(p));

        int watcher = join(event), daemon = join(event), next = join(event);
        CHECK(!tell(p));
        say(event, daemon);
        CHECK(tell(p));
        say(event, next);
        close(daemon);
        run(event);
        CHECK_INT(n_gone, 1);
        CHECK_INT(last_left, 1);
        CHECK(tell(p));
        close(next);
        run(event);
        CHECK_INT(n_gone, 2);
        CHECK_INT(last_left, 0); /* whoever looks on is there still */
        CHECK(!tell(p));
        int other = join(event); /* in the place of one that had spoken */
        CHECK(!tell(p));

        /* Rubbish is nobody's word, and its sender is cut off. */
        CHECK_INT(write(other, "x", 1), 1);
        run(event);
        CHECK(is_cut_off(other));
        CHECK_INT(n_messages, 2);
        CHECK_INT(n_gone, 2);

        /* There is room for some, and one more has no part in it. */
        int some[] = { join(event), join(event), join(event) };
        int more = join(event);
        CHECK(is_cut_off(more));
        say(event, some[2]);
        CHECK(tell(p));

        /* A daemon that does not read is none, and hears it when it comes again. */
        for (unsigned i = 0; i < 100000 && tell(p); i++)
                CHECK(read_all(some[0]) && read_all(some[1]) && read_all(watcher));
        CHECK(!tell(p));
        CHECK_INT(n_gone, 3);
        for (size_t i = 0; i < ELEMENTSOF(some); i++)
                close(some[i]);
        close(watcher);
        run(event);
        CHECK_INT(n_gone, 3);

        peers_free(p);
        sd_event_unref(event);
        _cleanup_free_ char *path = strf("%s/guard", folder);
        (void) unlink(path);
        (void) rmdir(folder);
        return EXIT_SUCCESS;
}
