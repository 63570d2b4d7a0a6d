/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections that call before the bus has said whose they are: the test is the bus, and says so when it likes. */
#include <sys/socket.h>

#include "daemon/caller/bus-error.h"
#include "daemon/caller/who.h"
#include "tests/unit/test.h"

typedef struct World {
        sd_bus *bus, *daemon;  /* the two ends */
        sd_event *event;
        Buses *buses;
        Who *who;
        sd_bus_message *question_about; /* the bus is asked whose the connection `awaited` is */
        const char *awaited;
        size_t served, refused_greedy, refused_others;
} World;

static World w;

static int serve(void *userdata, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        w.served++;
        CHECK_STR(sd_bus_message_get_sender(call), w.awaited);
        CHECK_INT(json_u64(by, "uid"), 0);
        return sd_bus_reply_method_return(call, "");
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *reterr) {
        return sd_bus_message_is_method_call(call, NULL, "Ask") ? who_asks(w.who, call, serve, reterr) : 0;
}

/* What the daemon sends. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        const char *name, *to = sd_bus_message_get_destination(m);

        if (sd_bus_message_is_method_error(m, BUS_ERROR_BUSY)) {
                bool greedy = startswith(to, ":8.");
                w.refused_greedy += greedy;
                w.refused_others += !greedy;
        } else if (sd_bus_message_is_method_call(m, NULL, "GetConnectionCredentials")) {
                CHECK(sd_bus_message_read(m, "s", &name) > 0);
                if (streq(name, w.awaited))
                        w.question_about = sd_bus_message_ref(m);
        }
        return 1;
}

static sd_bus *end_of(int fd, bool server, sd_bus_message_handler_t handler) {
        sd_id128_t id = { 0 };
        sd_bus *bus;

        CHECK(sd_bus_new(&bus) >= 0);
        CHECK(sd_bus_set_fd(bus, fd, fd) >= 0);
        if (server)
                CHECK(sd_bus_set_server(bus, true, id) >= 0);
        CHECK(sd_bus_start(bus) >= 0);
        CHECK(sd_bus_add_filter(bus, NULL, handler, NULL) >= 0);
        return bus;
}

static void set_up(const char *awaited) {
        int pair[2];

        w = (World) { .awaited = awaited };
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) >= 0);
        w.bus = end_of(pair[0], true, on_message);
        w.daemon = end_of(pair[1], false, on_call);
        CHECK(sd_event_new(&w.event) >= 0);
        CHECK(buses_new(w.event, NULL, NULL, &w.buses) >= 0);
        CHECK(who_new(w.buses, NULL, &w.who) >= 0);
}

static void tear_down(void) {
        who_free(w.who);
        buses_free(w.buses);
        sd_event_unref(w.event);
        sd_bus_message_unref(w.question_about);
        sd_bus_close_unref(w.daemon);
        sd_bus_close_unref(w.bus);
}

/* Until neither end has anything to do. */
static void settle(void) {
        int a, b;

        do {
                a = sd_bus_process(w.bus, NULL);
                b = sd_bus_process(w.daemon, NULL);
                CHECK(a >= 0 && b >= 0);
        } while (a > 0 || b > 0);
}

static void call_as(const char *name, const char *text) {
        sd_bus_message *m = NULL;
        uint64_t cookie;       /* asked for, so that a reply is expected */

        CHECK(sd_bus_message_new_method_call(w.bus, &m, NULL, "/", "org.example", "Ask") >= 0);
        CHECK(sd_bus_message_append(m, "s", text) >= 0);
        CHECK(sd_bus_message_set_sender(m, name) >= 0);
        CHECK(sd_bus_send(w.bus, m, &cookie) >= 0);
        sd_bus_message_unref(m);
        settle();
}

static void call_as_numbered(int family, int number, const char *text) {
        _cleanup_free_ char *name = strf(":%d.%d", family, number);

        call_as(name, text);
}

static void check_served(void) {
        CHECK(w.question_about);
        CHECK(sd_bus_reply_method_return(w.question_about, "a{sv}", 2, "UnixUserID", "u", 0, "ProcessID", "u", 1) >= 0);
        settle();
        CHECK_INT(w.served, 1);
}

/* As many as a bus can have, each with a call. */
static void test_many_connections(void) {
        set_up(":1.1");
        for (int i = 0; i < 3000; i++)
                call_as_numbered(7, i, "2");
        call_as(":1.1", "2");
        CHECK_INT(w.refused_others, 0);
        check_served();
        tear_down();
}

/* Whoever takes most gives way. */
static void test_greedy_connections(void) {
        char text[15000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        set_up(":1.1");
        for (int i = 0; i < 1000; i++)
                call_as_numbered(7, i, "2");
        for (int k = 0; k < 8; k++)
                for (int i = 0; i < 100; i++)
                        call_as_numbered(8, i, text);
        call_as(":1.1", "2");
        CHECK_INT(w.refused_others, 0);
        CHECK(800 - w.refused_greedy <= 4 * 1024 * 1024 / sizeof(text));
        CHECK(w.refused_greedy < 800);
        check_served();
        tear_down();
}

static void test_calls_of_one_connection(void) {
        set_up(":1.1");
        for (int i = 0; i < 20; i++)
                call_as(":8.1", "2");
        CHECK_INT(w.refused_greedy, 12);
        tear_down();
}

int main(void) {
        test_many_connections();
        test_greedy_connections();
        test_calls_of_one_connection();
        return EXIT_SUCCESS;
}
