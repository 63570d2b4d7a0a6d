/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "kernel/process/system-manager.h"

#define ADDRESS "unix:path=/run/systemd/private"
#define NAME "org.freedesktop.systemd1"
#define PATH "/org/freedesktop/systemd1"
#define MANAGER NAME ".Manager"

typedef struct Manager {
        sd_bus *bus;
        uint64_t end;           /* monotonic */
        json_object *jobs;      /* path of a job -> its unit, of those that have not ended */
        char *failed;           /* what became of the first job that failed */
        char **ret_why;
} Manager;

static void manager_done(Manager *m) {
        sd_bus_close_unref(m->bus);
        json_object_put(m->jobs);
        free(m->failed);
}

/* The first reason is kept. */
static int fail(const Manager *m, int r, const char *format, ...) _printf_(3, 4);

static int fail(const Manager *m, int r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (!*m->ret_why)
                *m->ret_why = strfv(format, ap);
        va_end(ap);
        return r;
}

static int fail_connection(const Manager *m, int r) {
        if (r == -ETIME || r == -ETIMEDOUT)
                return fail(m, -ETIME, "the system manager does not answer in its time");
        if (r == -ENOENT || r == -ECONNREFUSED)
                return fail(m, -ENOENT, "no system manager listens at /run/systemd/private");
        return fail(m, r == -ENOMEM ? r : -EIO, "the system manager cannot be asked: %s", strerror(-r));
}

static uint64_t time_left(const Manager *m) {
        uint64_t now = now_monotonic();

        return m->end > now ? m->end - now : 0;
}

/* Serves what has come, or waits for more. The manager tells of everything that goes on, so more may always have come. */
static int serve(const Manager *m) {
        uint64_t left = time_left(m);
        int r = left > 0 ? sd_bus_process(m->bus, NULL) : -ETIME;

        return r != 0 ? r : sd_bus_wait(m->bus, left);
}

/* sd_bus_call() would wait for the handshake without an end (sd-bus.c:bus_ensure_running), so that is waited for here. */
static int manager_open(Manager *m) {
        int r = time_left(m) > 0 ? sd_bus_new(&m->bus) : -ETIME;

        if (r >= 0)
                r = sd_bus_set_address(m->bus, ADDRESS);
        if (r >= 0)
                r = sd_bus_start(m->bus);
        while (r >= 0 && (r = sd_bus_is_ready(m->bus)) == 0)
                r = serve(m);
        return r < 0 ? fail_connection(m, r) : 0;
}

/* Sends `call` and reads the answer; *ret is unset unless it is 0. */
static int ask(const Manager *m, sd_bus_message *call, const char *what, sd_bus_message **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t left = time_left(m);

        int r = left > 0 ? sd_bus_call(m->bus, call, left, &error, ret) : -ETIME;
        if (r >= 0)
                return 0;
        if (r != -ETIMEDOUT && sd_bus_error_is_set(&error))
                return fail(m, -EIO, "%s: %s", what, error.message ?: error.name);
        return fail_connection(m, r);
}

static int call_manager(const Manager *m, const char *method, const char *unit, const char *mode, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_free_ char *what = strf("%s%s%s", method, unit ? " " : "", unit ?: "");

        int r = sd_bus_message_new_method_call(m->bus, &call, NAME, PATH, MANAGER, method);
        if (r >= 0 && unit)
                r = sd_bus_message_append(call, "s", unit);
        if (r >= 0 && mode)
                r = sd_bus_message_append(call, "s", mode);
        return r < 0 ? fail_connection(m, r) : ask(m, call, what ?: method, ret);
}

static int list_read(sd_bus_message *a, const char *contents, json_object *list) {
        const char *text;

        int r = sd_bus_message_enter_container(a, 'a', contents);
        while (r >= 0 && (r = sd_bus_message_at_end(a, false)) == 0) {
                if (!streq(contents, "s")) {
                        r = sd_bus_message_skip(a, contents);
                        json_object_array_add(list, NULL);
                } else if ((r = sd_bus_message_read_basic(a, 's', &text)) >= 0)
                        json_append_str(list, text);
        }
        return r < 0 ? r : sd_bus_message_exit_container(a);
}

/* One value of a property, which the message stands before. */
static int value_read(sd_bus_message *a, const char *key, json_object *o) {
        const char *contents;
        union {
                const char *text;
                int yes;
                int32_t i;
                uint32_t u;
                uint64_t t;
        } v;

        int r = sd_bus_message_peek_type(a, NULL, &contents);
        if (r < 0)
                return r;
        char type = contents[0];
        if ((contents[1] && type != 'a') || !strchr("sobiuta", type))
                return sd_bus_message_skip(a, "v");
        r = sd_bus_message_enter_container(a, 'v', contents);
        if (r < 0)
                return r;
        if (type == 'a') {
                json_object *list = json_object_new_array();
                r = list_read(a, contents + 1, list);
                json_set(o, key, list);
                return r < 0 ? r : sd_bus_message_exit_container(a);
        }
        r = sd_bus_message_read_basic(a, type, &v);
        if (r < 0)
                return r;
        if (type == 's' || type == 'o')
                json_set_str(o, key, v.text);
        else if (type == 'b')
                json_set_bool(o, key, v.yes);
        else
                json_set(o, key, type == 't' ? json_object_new_uint64(v.t) : json_object_new_int64(type == 'u' ? (int64_t) v.u : v.i));
        return sd_bus_message_exit_container(a);
}

static int properties_read(sd_bus_message *a, json_object *o) {
        int r = sd_bus_message_enter_container(a, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(a, 'e', "sv")) > 0) {
                const char *key;
                r = sd_bus_message_read_basic(a, 's', &key);
                if (r >= 0)
                        r = value_read(a, key, o);
                if (r >= 0)
                        r = sd_bus_message_exit_container(a);
        }
        return r;
}

static int show_one(const Manager *m, const char *name, json_object *all) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *loaded = NULL, *call = NULL, *answer = NULL;
        json_object *o = json_object_new_object();
        const char *path;

        json_set(all, name, o);
        int r = call_manager(m, "LoadUnit", name, NULL, &loaded);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(loaded, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(m->bus, &call, NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", ""); /* of all its interfaces */
        if (r < 0)
                return fail_connection(m, r);
        r = ask(m, call, name, &answer);
        if (r < 0)
                return r;
        r = properties_read(answer, o);
        return r < 0 ? fail(m, r == -ENOMEM ? r : -EBADMSG, "what the system manager says of %s cannot be understood", name) : 0;
}

/* What a property names, one path or several: of a unit, which is loaded for that by the path that stands for it, or of the manager itself. */
static int paths_add(const Manager *m, const char *of, const char *path, const char *interface, const char *name, json_object *paths) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        _cleanup_json_ json_object *o = json_object_new_object();

        int r = sd_bus_message_new_method_call(m->bus, &call, NAME, path, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", interface, name);
        r = r < 0 ? fail_connection(m, r) : ask(m, call, of, &answer);
        if (r >= 0)
                r = value_read(answer, name, o);
        if (r < 0)
                return *m->ret_why ? r : fail(m, -EBADMSG, "what the system manager says of %s cannot be understood", of);
        if (*(json_str(o, name) ?: ""))
                json_append_str(paths, json_str(o, name));
        for (size_t i = 0; i < json_len(json_array(o, name)); i++)
                json_object_array_add(paths, json_ref(json_at(json_array(o, name), i)));
        return 0;
}

static Manager manager(uint64_t timeout_usec, char **ret_why) {
        *ret_why = NULL;
        return (Manager) { .end = now_monotonic() + time_for(timeout_usec), .ret_why = ret_why };
}

int system_manager_show(json_object *names, uint64_t timeout_usec, json_object **ret, char **ret_why) {
        _cleanup_(manager_done) Manager m = manager(timeout_usec, ret_why);
        _cleanup_json_ json_object *all = json_object_new_object();

        int r = manager_open(&m);
        for (size_t i = 0; i < json_len(names) && r >= 0; i++)
                r = show_one(&m, json_object_get_string(json_at(names, i)) ?: "", all);
        if (r >= 0)
                *ret = TAKE_PTR(all);
        return r;
}

int system_manager_paths(const char *unit, uint64_t timeout_usec, json_object **ret, char **ret_why) {
        _cleanup_(manager_done) Manager m = manager(timeout_usec, ret_why);
        _cleanup_json_ json_object *paths = json_object_new_array();
        _cleanup_free_ char *path = NULL;

        int r = manager_open(&m);
        if (r >= 0 && unit && sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0)
                return -ENOMEM;
        if (r >= 0)
                r = paths_add(&m, unit ?: "its folders", path ?: PATH, unit ? NAME ".Unit" : MANAGER, unit ? "FragmentPath" : "UnitPath", paths);
        if (r >= 0 && unit)
                r = paths_add(&m, unit, path, NAME ".Unit", "DropInPaths", paths);
        if (r >= 0)
                *ret = TAKE_PTR(paths);
        return r;
}

/* The results that systemctl takes for a success (systemd's bus-wait-for-jobs.c). */
static int on_message(sd_bus_message *a, void *userdata, sd_bus_error *ret_error) {
        const char *path, *unit, *result;
        Manager *m = userdata;
        uint32_t id;

        if (!sd_bus_message_is_signal(a, MANAGER, "JobRemoved") || sd_bus_message_read(a, "uoss", &id, &path, &unit, &result) < 0 ||
            !json_has(m->jobs, path))
                return 0;
        json_object_object_del(m->jobs, path);
        if (!m->failed && !streq(result, "done") && !streq(result, "skipped"))
                m->failed = strf("the job of %s ended with \"%s\"", unit, result);
        return 0;
}

int system_manager_queue(const char *method, json_object *names, bool wait, uint64_t timeout_usec, char **ret_why) {
        _cleanup_(manager_done) Manager m = manager(timeout_usec, ret_why);
        int refused = 0;

        m.jobs = json_object_new_object();
        int r = manager_open(&m);
        if (r >= 0) /* before the first job can end */
                r = sd_bus_add_filter(m.bus, NULL, on_message, &m);
        for (size_t i = 0; i < json_len(names) && r >= 0; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
                const char *name = json_object_get_string(json_at(names, i)) ?: "", *path;

                r = call_manager(&m, method, name, "replace", &answer);
                if (r == -EIO) { /* it says no to this one, or is gone, which the next call finds */
                        refused = r;
                        r = 0;
                } else if (r >= 0 && (r = sd_bus_message_read_basic(answer, 'o', &path)) >= 0)
                        json_set_str(m.jobs, path, name);
        }
        while (r >= 0 && wait && json_object_object_length(m.jobs) > 0)
                r = serve(&m);
        if (r < 0)
                return *ret_why ? r : fail_connection(&m, r);
        if (refused < 0)
                return refused;
        return m.failed ? fail(&m, -EIO, "%s", m.failed) : 0;
}

int system_manager_do(const char *method, const char *unit, uint64_t timeout_usec, char **ret_why) {
        _cleanup_(manager_done) Manager m = manager(timeout_usec, ret_why);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        int r = manager_open(&m);
        return r < 0 ? r : call_manager(&m, method, unit, NULL, &answer);
}

enum {
        RUN_MEMORY_MIB = 256,
        RUN_TASKS = 64,
        RUNS_MAX = 64,          /* whose output wakes us; that of others is read a little later */
        RUN_KILL_SEC = 1,       /* from SIGTERM to SIGKILL */
        RUN_LOOK_MSEC = 200,    /* at whether somebody has cancelled */
        READ_TURNS = 32,        /* of a pipe's worth each, until others have theirs */
};

typedef struct Runs {
        UnitRun *items;
        size_t n;
} Runs;

void unit_run_done(UnitRun *run) {
        free(TAKE_PTR(run->why));
        free(TAKE_PTR(run->output));
        free(TAKE_PTR(run->object));
        json_object_put(TAKE_PTR(run->properties));
        closep(&run->out);
        run->out = -EBADF;
}

/* Its last properties come before the word that its job is over (systemd's bus_job_send_removed_signal()). */
static int on_run_message(sd_bus_message *a, void *userdata, sd_bus_error *ret_error) {
        bool removed = sd_bus_message_is_signal(a, MANAGER, "JobRemoved");
        const char *path = sd_bus_message_get_path(a), *job, *unit, *result;
        Runs *runs = userdata;
        uint32_t id;

        if (removed ? sd_bus_message_read(a, "uoss", &id, &job, &unit, &result) < 0 :
                      !sd_bus_message_is_signal(a, "org.freedesktop.DBus.Properties", "PropertiesChanged"))
                return 0;
        for (size_t i = 0; i < runs->n; i++) {
                UnitRun *run = &runs->items[i];
                if (removed && streq(unit, run->unit))
                        run->ended = true;
                if (!removed && streq_ptr(path, run->object) && sd_bus_message_skip(a, "s") >= 0)
                        (void) properties_read(a, run->properties);
        }
        return 0;
}

/* What came, of which the end is kept. */
static void output_read(UnitRun *run) {
        for (int turn = 0; turn < READ_TURNS && run->out >= 0; turn++) {
                if (run->n_output == 2 * run->output_max) {
                        memmove(run->output, run->output + run->output_max, run->output_max);
                        run->n_output = run->output_max;
                }
                ssize_t n = read(run->out, run->output + run->n_output, 2 * run->output_max - run->n_output);
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        closep(&run->out);
                        run->out = -EBADF;
                } else
                        run->n_output += (size_t) n;
        }
}

static int append_settings(sd_bus_message *a, const UnitRun *run, int out) {
        int r = sd_bus_message_append(a, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", run->description,
                                      "Type", "s", "oneshot", "CollectMode", "s", "inactive-or-failed", "User", "s", run->user, "WorkingDirectory", "s", "/",
                                      "NoNewPrivileges", "b", 1, "DefaultDependencies", "b", 0, "TimeoutStartUSec", "t", run->timeout_usec,
                                      "TimeoutStopUSec", "t", RUN_KILL_SEC * USEC_PER_SEC, "MemoryMax", "t", (uint64_t) RUN_MEMORY_MIB << 20,
                                      "TasksMax", "t", (uint64_t) RUN_TASKS, "LimitCORE", "t", UINT64_C(0), "UMask", "u", 0077u,
                                      "SyslogIdentifier", "s", "safe-remove-hook", "StandardError", "s", "journal");
        if (r >= 0)
                r = sd_bus_message_append(a, "(sv)", "StandardInputFileDescriptor", "h", run->in);
        if (r >= 0)
                r = out >= 0 ? sd_bus_message_append(a, "(sv)", "StandardOutputFileDescriptor", "h", out) :
                               sd_bus_message_append(a, "(sv)", "StandardOutput", "s", "journal");
        return r < 0 ? r : sd_bus_message_append(a, "(sv)", "ExecStart", "a(sasb)", 1, run->path, 2, run->path, run->argument, 0);
}

static int run_start(const Manager *m, UnitRun *run) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        int fds[2];

        run->properties = json_object_new_object();
        if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", run->unit, &run->object) < 0)
                return -ENOMEM;
        if (run->output_max > 0) {
                if (pipe2(fds, O_CLOEXEC) < 0)
                        return -errno;
                in = fds[0];
                out = fds[1];
                /* Ours alone does not wait. */
                if (fcntl(in, F_SETFL, O_NONBLOCK) < 0)
                        return -errno;
                run->output = malloc(2 * run->output_max);
                if (!run->output)
                        return -ENOMEM;
        }
        int r = sd_bus_message_new_method_call(m->bus, &call, NAME, PATH, MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", run->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "(sv)");
        if (r >= 0)
                r = append_settings(call, run, out);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "a(sa(sv))", 0);
        if (r < 0)
                return fail_connection(m, r);
        r = ask(m, call, run->unit, &answer);
        if (r >= 0)
                run->out = TAKE_FD(in);
        return r;
}

/* Waits for the manager, or for one that prints. */
static int runs_wait(const Manager *m, const Runs *runs) {
        struct pollfd fds[1 + RUNS_MAX];
        nfds_t n = 1;

        fds[0] = (struct pollfd) { .fd = sd_bus_get_fd(m->bus), .events = (short) sd_bus_get_events(m->bus) };
        for (size_t i = 0; i < runs->n && n <= RUNS_MAX; i++)
                if (runs->items[i].out >= 0)
                        fds[n++] = (struct pollfd) { .fd = runs->items[i].out, .events = POLLIN };
        return poll(fds, n, RUN_LOOK_MSEC) < 0 && errno != EINTR ? -errno : 0;
}

static bool is_over(Runs *runs) {
        bool over = true;

        for (size_t i = 0; i < runs->n; i++) {
                UnitRun *run = &runs->items[i];
                if (run->output)
                        output_read(run);
                over = over && (run->ended || run->why);
        }
        return over;
}

static int runs_follow(const Manager *m, Runs *runs, bool (*cancelled)(void *userdata), void *userdata) {
        while (!is_over(runs)) {
                if (cancelled && cancelled(userdata))
                        return -ECANCELED;
                int r = time_left(m) > 0 ? sd_bus_process(m->bus, NULL) : -ETIME;
                if (r == 0)
                        r = runs_wait(m, runs);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void run_understand(UnitRun *run, bool waited) {
        const char *result = json_str(run->properties, "Result");

        if (!waited || run->why)
                return;
        run->code = (int) json_u64(run->properties, "ExecMainCode");
        run->status = (int) json_u64(run->properties, "ExecMainStatus");
        run->timed_out = streq_ptr(result, "timeout");
        if (!run->ended)
                run->why = strf("it has not ended in its time, though it was told to");
        else if (run->code == 0 && !run->timed_out)
                run->why = strf("how it ended is not known (%s)", result ?: "the system manager says nothing");
}

/* Nobody hears their answers any more. By a connection of its own, since the other one may have failed; whether the last order was taken nobody knows. */
static void runs_stop(const Runs *runs) {
        _cleanup_json_ json_object *names = json_object_new_array();
        _cleanup_free_ char *unheard = NULL;

        for (size_t i = 0; i < runs->n; i++)
                if (runs->items[i].object && !runs->items[i].ended && !runs->items[i].why)
                        json_append_str(names, runs->items[i].unit);
        if (json_len(names) > 0)
                (void) system_manager_queue("StopUnit", names, true, 2 * RUN_KILL_SEC * USEC_PER_SEC, &unheard);
}

int system_manager_run(UnitRun *runs, size_t n, bool wait, uint64_t timeout_usec, bool (*cancelled)(void *userdata), void *userdata, char **ret_why) {
        _cleanup_(manager_done) Manager m = manager(timeout_usec, ret_why);
        Runs all = { runs, n };

        for (size_t i = 0; i < n; i++)
                runs[i].out = -EBADF;
        int r = manager_open(&m);
        if (r >= 0) /* before the first of them can end */
                r = sd_bus_add_filter(m.bus, NULL, on_run_message, &all);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = run_start(&m, &runs[i]);
                if (r != -EIO)
                        continue;
                /* It says no to this one, or is gone, which the next call finds. */
                runs[i].why = TAKE_PTR(*ret_why) ?: strdup("the system manager refuses it");
                r = 0;
        }
        if (r >= 0 && wait)
                r = runs_follow(&m, &all, cancelled, userdata);
        if (r < 0)
                runs_stop(&all);
        for (size_t i = 0; i < n; i++)
                run_understand(&runs[i], wait);
        if (r >= 0 || r == -ECANCELED || (r == -ETIME && wait && n > 0 && runs[0].object)) /* those that have not ended say so */
                return r == -ETIME ? 0 : r;
        return *ret_why ? r : fail_connection(&m, r);
}
