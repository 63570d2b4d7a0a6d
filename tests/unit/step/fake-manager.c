/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake-manager FOLDER SOCKET: stands in for PID 1 at its private socket. A unit is a folder below FOLDER/units: `properties`, one KEY=VALUE a line
 * (lists with blanks between, times in microseconds), `state` its ActiveState, `group` the path of its cgroup.procs; `freezer`: its FreezerState;
 * `stubborn`: it does not stop; `broken`: it does not start; `slow`: its start does not come to its end; `stops`: who goes down with it.
 * `fragment` and `dropins`: the files that it has read for it; FOLDER/path: where it reads such files from. What
 * is started as a transient unit runs on and on; FOLDER/hangs-up has the name of one that there is no answer about. FOLDER/log gets a line for each thing that it is told to do. A file FOLDER/deaf: it takes connections and says nothing. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/fileio.h"
#include "tests/unit/test.h"

#define PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

static const char *folder;
static unsigned n_jobs;

static char *text_of(const char *unit, const char *file) {
        _cleanup_free_ char *path = strf("%s/units/%s/%s", folder, unit, file);
        char *text = NULL;

        if (read_file(path, &text, NULL) < 0)
                return NULL;
        for (size_t n = strlen(text); n > 0 && text[n - 1] == '\n'; n--)
                text[n - 1] = '\0';
        return text;
}

static bool has(const char *unit, const char *file) {
        _cleanup_free_ char *path = strf("%s/units/%s/%s", folder, unit, file);

        return access(path, F_OK) == 0;
}

/* Whoever reads it meanwhile sees the old text or the new one. */
static void set_text(const char *unit, const char *file, const char *text) {
        _cleanup_free_ char *path = strf("%s/units/%s/%s", folder, unit, file), *beside = strf("%s.new", path);
        FILE *f = fopen(beside, "we");

        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0 && rename(beside, path) == 0);
}

static void log_line(const char *verb, const char *unit) {
        _cleanup_free_ char *path = strf("%s/log", folder);
        FILE *f = fopen(path, "ae");

        CHECK(f && fprintf(f, "%s%s%s\n", verb, unit ? " " : "", unit ?: "") > 0 && fclose(f) == 0);
}

static int append_list(sd_bus_message *a, char *words) {
        CHECK(sd_bus_message_open_container(a, 'v', "as") >= 0 && sd_bus_message_open_container(a, 'a', "s") >= 0);
        for (char *word; (word = strsep(&words, " "));)
                if (*word)
                        CHECK(sd_bus_message_append(a, "s", word) >= 0);
        return sd_bus_message_close_container(a) < 0 || sd_bus_message_close_container(a) < 0 ? -EIO : 0;
}

static void append_property(sd_bus_message *a, const char *key, char *value) {
        static const char *const lists[] = { "RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo", "TriggeredBy" };
        bool list = false;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                list = list || streq(key, lists[i]);
        CHECK(sd_bus_message_open_container(a, 'e', "sv") >= 0 && sd_bus_message_append(a, "s", key) >= 0);
        if (list)
                r = append_list(a, value);
        else if (streq(key, "ExecStop")) {
                r = sd_bus_message_open_container(a, 'v', "a(sasbttttuii)");
                if (r >= 0)
                        r = sd_bus_message_append(a, "a(sasbttttuii)", 1, value, 1, value, false, UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), 0, 0, 0);
                if (r >= 0)
                        r = sd_bus_message_close_container(a);
        } else if (streq(key, "TimeoutStopUSec"))
                r = sd_bus_message_append(a, "v", "t", (uint64_t) strtoull(value, NULL, 10));
        else if (streq(key, "KillSignal"))
                r = sd_bus_message_append(a, "v", "i", (int32_t) strtol(value, NULL, 10));
        else if (streq(value, "yes") || streq(value, "no"))
                r = sd_bus_message_append(a, "v", "b", (int) streq(value, "yes"));
        else
                r = sd_bus_message_append(a, "v", "s", value);
        CHECK(r >= 0 && sd_bus_message_close_container(a) >= 0);
}

static int show(sd_bus_message *call) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *a = NULL;
        _cleanup_free_ char *unit = NULL, *state = NULL, *freezer = NULL, *properties = NULL, *exec_stop = NULL;
        char empty[] = "";

        CHECK(sd_bus_path_decode(sd_bus_message_get_path(call), PATH "/unit", &unit) > 0);
        CHECK(sd_bus_message_new_method_return(call, &a) >= 0 && sd_bus_message_open_container(a, 'a', "{sv}") >= 0);
        state = text_of(unit, "state");
        freezer = text_of(unit, "freezer");
        properties = text_of(unit, "properties");
        exec_stop = text_of(unit, "exec-stop");
        append_property(a, "Id", unit);
        append_property(a, "LoadState", state ? (char[]) { "loaded" } : (char[]) { "not-found" });
        append_property(a, "ActiveState", state ?: (char[]) { "inactive" });
        append_property(a, "FreezerState", freezer ?: (char[]) { "running" });
        if (exec_stop && *exec_stop)
                append_property(a, "ExecStop", exec_stop);
        /* What nobody asks for is passed over, of whatever shape. */
        CHECK(sd_bus_message_append(a, "{sv}", "Conditions", "a(sbbsi)", 1, "ConditionACPower", 0, 0, "true", 1) >= 0);
        CHECK(sd_bus_message_append(a, "{sv}", "Job", "(uo)", 0, "/") >= 0);
        CHECK(sd_bus_message_append(a, "{sv}", "CPUWeightDouble", "d", 1.0) >= 0);
        CHECK(sd_bus_message_append(a, "{sv}", "InvocationID", "ay", 3, 1, 2, 3) >= 0);
        char *rest = properties ?: empty;
        for (char *line; (line = strsep(&rest, "\n"));) {
                char *value = strchr(line, '=');
                if (value) {
                        *value = '\0';
                        append_property(a, line, value + 1);
                }
        }
        CHECK(sd_bus_message_close_container(a) >= 0);
        return sd_bus_send(NULL, a, NULL);
}

/* Which files it has read for a unit: `fragment` and `dropins` name them. */
static int get(sd_bus_message *call) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *a = NULL;
        _cleanup_free_ char *unit = NULL, *fragment = NULL, *dropins = NULL;
        const char *interface, *name;
        char empty[] = "";

        CHECK(sd_bus_message_read(call, "ss", &interface, &name) >= 0 && sd_bus_message_new_method_return(call, &a) >= 0);
        if (streq(interface, MANAGER)) {
                _cleanup_free_ char *path = strf("%s/path", folder);
                CHECK(streq(name, "UnitPath") && append_list(a, path) == 0);
                return sd_bus_send(NULL, a, NULL);
        }
        CHECK(sd_bus_path_decode(sd_bus_message_get_path(call), PATH "/unit", &unit) > 0);
        fragment = text_of(unit, "fragment");
        dropins = text_of(unit, "dropins");
        if (streq(name, "DropInPaths"))
                CHECK(append_list(a, dropins ?: empty) == 0);
        else
                CHECK(sd_bus_message_append(a, "v", "s", streq(name, "FragmentPath") && fragment ? fragment : "") >= 0);
        return sd_bus_send(NULL, a, NULL);
}

/* As the manager signals a unit's processes. */
static void signal_group(const char *unit) {
        _cleanup_free_ char *procs = text_of(unit, "group"), *pids = NULL;

        if (!procs || read_file(procs, &pids, NULL) < 0)
                return;
        char *rest = pids;
        for (char *pid; (pid = strsep(&rest, "\n"));)
                if (*pid)
                        (void) kill((pid_t) strtol(pid, NULL, 10), SIGTERM);
}

static void stop(const char *unit) {
        _cleanup_free_ char *along = text_of(unit, "stops");

        set_text(unit, "state", has(unit, "stubborn") ? "deactivating\n" : "inactive\n");
        char *rest = has(unit, "stubborn") ? NULL : along;
        for (char *other; (other = strsep(&rest, " "));)
                set_text(other, "state", "inactive\n");
        signal_group(unit);
}

static void freeze(const char *unit, bool yes) {
        _cleanup_free_ char *procs = text_of(unit, "group"), *path = NULL;

        CHECK(procs);
        *strrchr(procs, '/') = '\0';
        path = strf("%s/cgroup.freeze", procs);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        CHECK_INT(write(fd, yes ? "1" : "0", 1), 1);
        set_text(unit, "freezer", yes ? "frozen\n" : "running\n");
}

static int job(sd_bus_message *call, const char *unit, bool starts) {
        _cleanup_free_ char *path = strf(PATH "/job/%u", ++n_jobs);
        const char *result = starts && has(unit, "broken") ? "failed" : "done";

        (void) sd_bus_reply_method_return(call, "o", path);
        log_line(starts ? "start" : "stop", unit);
        if (!starts)
                stop(unit);
        else if (has(unit, "slow")) {
                set_text(unit, "state", "activating\n");
                return 1;
        } else if (streq(result, "done"))
                set_text(unit, "state", "active\n");
        sd_bus *bus = sd_bus_message_get_bus(call);
        /* Somebody else's, and this one; who does not wait for it may be gone. */
        (void) sd_bus_emit_signal(bus, PATH, MANAGER, "JobRemoved", "uoss", 0, PATH "/job/0", unit, "failed");
        (void) sd_bus_emit_signal(bus, PATH, MANAGER, "JobRemoved", "uoss", n_jobs, path, unit, result);
        return 1;
}

/* One that runs on and on; or no answer, and the end of the connection. */
static int run_transient(sd_bus_message *call, const char *unit) {
        _cleanup_free_ char *units = strf("%s/units/%s", folder, unit), *path = strf(PATH "/job/%u", ++n_jobs), *file = strf("%s/hangs-up", folder), *who = NULL;

        if (read_file(file, &who, NULL) >= 0 && streq(who, unit)) {
                sd_bus_close(sd_bus_message_get_bus(call));
                return 1;
        }
        CHECK(mkdir(units, 0755) == 0);
        set_text(unit, "state", "active\n");
        log_line("run", unit);
        return sd_bus_reply_method_return(call, "o", path);
}

static int on_message(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
        const char *unit = NULL;

        if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "GetAll"))
                return show(call);
        if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get"))
                return get(call);
        if (sd_bus_message_is_method_call(call, MANAGER, "Reload")) {
                log_line("daemon-reload", NULL);
                return sd_bus_reply_method_return(call, NULL);
        }
        if (!sd_bus_message_is_method_call(call, MANAGER, NULL) || sd_bus_message_read(call, "s", &unit) < 0)
                return 0;
        if (sd_bus_message_is_method_call(call, MANAGER, "StartTransientUnit"))
                return run_transient(call, unit);
        if (sd_bus_message_is_method_call(call, MANAGER, "LoadUnit")) {
                _cleanup_free_ char *path = NULL;
                CHECK(sd_bus_path_encode(PATH "/unit", unit, &path) >= 0);
                return sd_bus_reply_method_return(call, "o", path);
        }
        if (!has(unit, "state"))
                return sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit %s not found.", unit);
        if (sd_bus_message_is_method_call(call, MANAGER, "StopUnit"))
                return job(call, unit, false);
        if (sd_bus_message_is_method_call(call, MANAGER, "StartUnit"))
                return job(call, unit, true);
        bool yes = sd_bus_message_is_method_call(call, MANAGER, "FreezeUnit");
        if (!yes && !sd_bus_message_is_method_call(call, MANAGER, "ThawUnit"))
                return 0;
        log_line(yes ? "freeze" : "thaw", unit);
        freeze(unit, yes);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_disconnect(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        sd_bus_close_unref(userdata);
        return 1;
}

static int on_connection(sd_event_source *source, int listener, uint32_t revents, void *userdata) {
        _cleanup_free_ char *deaf = strf("%s/deaf", folder);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        sd_id128_t id;
        sd_bus *bus;

        CHECK(fd >= 0);
        if (access(deaf, F_OK) == 0)
                return 0; /* never to be closed */
        CHECK(sd_id128_randomize(&id) >= 0 && sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fd, fd) >= 0);
        CHECK(sd_bus_set_server(bus, 1, id) >= 0 && sd_bus_set_trusted(bus, 1) >= 0 && sd_bus_negotiate_fds(bus, 1) >= 0 && sd_bus_start(bus) >= 0);
        CHECK(sd_bus_add_filter(bus, NULL, on_message, NULL) >= 0);
        CHECK(sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                                  on_disconnect, bus) >= 0);
        CHECK(sd_bus_attach_event(bus, userdata, 0) >= 0);
        return 0;
}

int main(int argc, char **argv) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        sd_event *event;

        CHECK(argc == 3 && strlen(argv[2]) < sizeof(address.sun_path));
        folder = argv[1];
        (void) strcpy(address.sun_path, argv[2]);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(listener >= 0 && bind(listener, (struct sockaddr *) &address, sizeof(address)) == 0 && listen(listener, 64) == 0);
        CHECK(sd_event_default(&event) >= 0 && sd_event_add_io(event, NULL, listener, EPOLLIN, on_connection, event) >= 0);
        puts("ready");
        CHECK(fflush(stdout) == 0);
        return sd_event_loop(event) < 0;
}
