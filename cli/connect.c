/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the daemon is reached: by its sockets, by the bus, or by the bus of another machine. */
#include <errno.h>

#include "base/clock.h"
#include "base/run-dir.h"
#include "cli/text/output.h"
#include "connect.h"

/* Who has his answer already waits so long for more at most, however busy the bus is. */
#define DETAILS_USEC (5 * USEC_PER_SEC)

#define DAEMON LIBEXEC_DIR "/safe-removed"

static const char *host, *recorded;

void client_set_host(const char *of) {
        host = of;
}

const char *client_host(void) {
        return host;
}

bool client_is_recorded(void) {
        return recorded != NULL;
}

const char *client_command(void) {
        static char *command;

        if (host && !command)
                command = strf("safe-remove -H %s", host);
        if (recorded && !command) {
                _cleanup_free_ char *word = shell_quoted(recorded);
                command = strf("safe-remove simulate %s", word);
        }
        return command ?: "safe-remove";
}

/* To somebody else than the daemon. */
static int given = -EBADF;

void client_use(int fd, const char *machine) {
        given = fd;
        recorded = machine;
}

/* What may be left out of answers is of use to this command; and they come by the socket that everybody has. */
static bool wants_details, by_public;

static int open_peer(int connected, sd_bus **ret) {
        _cleanup_close_ int fd = connected;
        _cleanup_bus_ sd_bus *bus = NULL;

        if (fd < 0)
                return fd;
        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                return r;
        TAKE_FD(fd);
        r = sd_bus_start(bus);
        /* It may have as many connections as it can have. */
        if (r >= 0)
                r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, "");
        if (r >= 0)
                *ret = TAKE_PTR(bus);
        return r;
}

/* Nobody else can make these busy, root's own least of all. They need no bus daemon, so all that goes on can be called off without one. Over
 * everybody's nobody can be authorized for anything. */
static int open_without_bus(bool change, sd_bus **ret) {
        struct sockaddr_un address;

        int r = run_private_socket(&address);
        if (r >= 0)
                r = open_peer(run_connect(&address, SOCK_STREAM), ret);
        if (r != -EACCES || change)
                return r;
        r = run_public_socket(&address);
        if (r >= 0)
                r = open_peer(run_connect(&address, SOCK_STREAM), ret);
        by_public = r >= 0;
        return r;
}

/* As systemctl -H does it: the bus there is at the other end of ssh's standard input and output. A port stands behind a colon; who has more to say
 * to ssh does so in its configuration. */
static int open_remote(sd_bus **ret) {
        const char *ssh = getenv("SYSTEMD_SSH"), *port = strrchr(host, ':'), *name;
        bool has_port = port && port == strchr(host, ':') && port[1] && strspn(port + 1, "0123456789") == strlen(port + 1);
        _cleanup_free_ char *machine = has_port ? strndup(host, (size_t) (port - host)) : strdup(host);
        char *argv[] = {
                (char *) (ssh && *ssh ? ssh : "ssh"), (char *) "-xT", (char *) "-p", (char *) (has_port ? port + 1 : "22"), (char *) "--", machine,
                (char *) "systemd-stdio-bridge", NULL,
        };
        _cleanup_bus_ sd_bus *bus = NULL;

        if (!machine)
                return -ENOMEM;
        if (!has_port) { /* it may have another one in its configuration */
                argv[2] = argv[4];
                argv[3] = argv[5];
                argv[4] = argv[6];
                argv[5] = NULL;
        }
        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_exec(bus, argv[0], argv);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        /* That it was let in is known once it has a name. */
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &name);
        if (r >= 0)
                *ret = TAKE_PTR(bus);
        return r;
}

static int open_for(bool change, sd_bus **ret) {
        if (given >= 0)
                return open_peer(TAKE_FD(given), ret);
        if (host)
                return open_remote(ret);
        int r = open_without_bus(change, ret);

        /* Whoever stands still does so on the bus as well. */
        if (r >= 0 || r == -ETIMEDOUT)
                return r;
        r = run_wants_session_bus() ? sd_bus_open_user(ret) : sd_bus_open_system(ret);
        return r >= 0 || !change || open_without_bus(false, ret) < 0 ? r : 0; /* without a bus he is told so over there */
}

int client_open(sd_bus **ret) {
        return open_for(false, ret);
}

int client_open_to_change(sd_bus **ret) {
        return open_for(true, ret);
}

/* Tests bring a daemon of their own. */
bool client_lacks_daemon(void) {
        return !host && !recorded && !run_wants_session_bus() && access(DAEMON, F_OK) < 0 && errno == ENOENT;
}

ExitCode client_fail_without_daemon(const char *error) {
        return fail_with_hint(CODE_UNREACHABLE, error, "install the package safe-remove; without it: safe-remove simulate MACHINE, safe-remove -H HOST",
                              "the daemon is not installed on this machine: there is no " DAEMON);
}

static ExitCode connect_for(bool change, sd_bus **ret) {
        int r = open_for(change, ret);

        if (r < 0 && host)
                return fail(CODE_UNREACHABLE, NULL, "%s cannot be reached by ssh: %s; try: ssh %s systemd-stdio-bridge --version", host, strerror(-r), host);
        if (r == -ETIMEDOUT)
                return fail(CODE_UNREACHABLE, NULL, "the daemon does not answer (%s); see: systemctl status safe-removed", strerror(-r));
        if (r < 0 && client_lacks_daemon())
                return client_fail_without_daemon(NULL);
        return r >= 0 ? CODE_DONE : fail(CODE_UNREACHABLE, NULL, "the %s bus cannot be reached: %s; see: systemctl status safe-removed dbus",
                                         run_wants_session_bus() ? "session" : "system", strerror(-r));
}

ExitCode client_connect(sd_bus **ret) {
        return connect_for(false, ret);
}

ExitCode client_connect_for_details(sd_bus **ret) {
        wants_details = true;
        return client_connect(ret);
}

static int wait_until_ready(sd_bus *bus, uint64_t deadline) {
        int r;

        while ((r = sd_bus_is_ready(bus)) == 0) {
                uint64_t now = now_monotonic();
                if (now >= deadline)
                        return -ETIMEDOUT;
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, deadline - now);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return r;
}

/* The daemon says there, without a look, whether polkit allows it: a look is made twice only for whom the second one tells more. */
static int open_with_details(sd_bus **ret) {
        uint64_t deadline = now_monotonic() + DETAILS_USEC;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        int r = run_wants_session_bus() ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = wait_until_ready(bus, deadline);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_MANAGER, "Subscribe");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call(bus, m, DETAILS_USEC, &e, NULL);
        /* He may, and has as many connections with all events as one may have. */
        if (r < 0 && !sd_bus_error_has_name(&e, BUS_NAME ".Error.Busy"))
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

sd_bus *client_details(sd_bus *bus) {
        static sd_bus *details;
        static bool tried;

        if (!wants_details || !by_public || sd_bus_is_bus_client(bus) != 0)
                return NULL;
        if (!tried)
                (void) open_with_details(&details);
        tried = true;
        return details;
}

ExitCode client_connect_to_change(sd_bus **ret) {
        return connect_for(true, ret);
}

bool client_is_there(sd_bus *bus) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;
        int there = 0;

        if (sd_bus_is_bus_client(bus) == 0)
                return true;
        return sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", &e, &reply,
                                  "s", BUS_NAME) >= 0 && sd_bus_message_read(reply, "b", &there) >= 0 && there;
}
