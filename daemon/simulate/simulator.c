/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for the daemon on a recorded machine: answers whoever started it, over the socket that is its standard input, with what the workers
 * say who look at that machine. Nothing is done to it. Says on standard output what kept it from that; nothing there, and its end: it is ready. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/spawn.h"
#include "daemon/caller/bus-error.h"
#include "daemon/caller/options.h"
#include "daemon/caller/peer-bus.h"
#include "daemon/manager/slot.h"
#include "sandbox.h"
#include "config.h"

#define ROOT_PATH "/org/saferemove1"
#define WORKER "safe-remove-worker"

#define LOOK_USEC (100 * USEC_PER_SEC)

enum {
        ANSWER_MAX = 256 * 1024 * 1024,
        UNREAD = 16 * 1024 * 1024,
        NUMBERS_MAX = 1000,     /* so many processes in a row are started until one has a number that is not recorded */
};

typedef struct Simulator {
        sd_bus *bus;
        int worker;             /* the program, which is nowhere in the sandbox */
} Simulator;

static _Noreturn void become_worker(const Simulator *s, const char *verb, int in, int out, pid_t parent) {
        const char *const argv[] = { WORKER, verb, NULL };
        _cleanup_free_ char *asan = NULL;
        const char *const sanitizer = getenv("ASAN_OPTIONS");
        char empty[] = "ASAN_OPTIONS=";
        sigset_t none;

        asan = sanitizer ? strf("ASAN_OPTIONS=%s", sanitizer) : NULL;
        char *const environment[] = {
                (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "SAFE_REMOVE_PATH=/proc/.programs", (char *) "SYSTEMD_DEVICE_VERIFY_SYSFS=0",
                (char *) "TMPDIR=/dev/shm", (char *) "SAFE_REMOVE_RUN_DIR=/run/safe-remove", (char *) "SAFE_REMOVE_STATE_DIR=/var/lib/safe-remove",
                (char *) "SAFE_REMOVE_CONFIG_DIRS=" CONFIG_VENDOR_DIR ":/etc/safe-remove", asan ?: empty, NULL,
        };

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        /* The number may be one that a recorded process has: then somebody with another one is to do it. */
        int r = sandbox_show_self();
        if (r < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(r == -EEXIST ? EAGAIN : 127);
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                _exit(127);
        (void) fexecve(s->worker, (char *const *) argv, environment);
        _exit(127);
}

/* -EAGAIN: it got the number of a recorded process. */
static int ask_once(const Simulator *s, const char *verb, const char *request, char **ret) {
        pid_t parent = getpid();
        int to[2], from[2], status = 0;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) < 0)
                return -errno;
        _cleanup_close_ int ours = to[0], theirs = to[1];
        if (pipe2(from, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int reads = from[0], writes = from[1];
        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                become_worker(s, verb, theirs, writes, parent);
        close(TAKE_FD(theirs));
        close(TAKE_FD(writes));
        if (request)
                (void) (write_all(ours, request, strlen(request)) < 0 || write_all(ours, "\n", 1) < 0);
        (void) shutdown(ours, SHUT_WR);
        int r = read_to_end(reads, now_monotonic() + LOOK_USEC, ANSWER_MAX, ret);
        if (r < 0)
                (void) kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == EAGAIN && !**ret) {
                free(*ret);
                *ret = NULL;
                return -EAGAIN;
        }
        sandbox_forget(pid);
        return r;
}

/* One line of a worker. An error of its is one of the call. */
static int ask(const Simulator *s, const char *verb, json_object *request, char **ret, sd_bus_error *error) {
        const char *line = request ? json_text(request) : NULL;
        _cleanup_json_ json_object *answer = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        /* Every number there is may be recorded. */
        size_t tries = 0;
        do
                r = ask_once(s, verb, line, &text);
        while (r == -EAGAIN && ++tries < NUMBERS_MAX);
        if (r == -EAGAIN)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The recorded machine cannot be looked at: it has processes of the same numbers as the %d that "
                                "were started here one after the other.", NUMBERS_MAX);
        if (r < 0)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The worker that looks at the recorded machine does not answer: %s.", strerror(-r));
        size_t length = strcspn(text, "\n");
        text[length] = '\0';
        if (json_parse(text, length, &answer) < 0)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The worker that looks at the recorded machine has failed.");
        if (streq_ptr(json_str(answer, "type"), "error"))
                return sd_bus_error_setf(error, bus_error_of_code(json_str(answer, "code")), "%s", json_str(answer, "message") ?: "");
        *ret = TAKE_PTR(text);
        return 0;
}

/* The answer as a descriptor, where it was asked for so, else as text. */
static int reply_text(sd_bus_message *call, const char *text) {
        if (!startswith(sd_bus_message_get_member(call), "Open"))
                return sd_bus_reply_method_return(call, "s", text);
        _cleanup_close_ int fd = memfd_create("answer", MFD_CLOEXEC);
        int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
        if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        return r < 0 ? r : sd_bus_reply_method_return(call, "h", fd);
}

/* What each method reads, and has a worker asked. */
typedef int (*read_t)(sd_bus_message *call, json_object *request, sd_bus_error *error);

static int read_target(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        const char *target;

        int r = sd_bus_message_read_basic(call, 's', &target);
        if (r >= 0)
                json_set_str(request, "target", target);
        return r;
}

static int read_options(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        json_object *options = NULL;

        int r = options_read(call, &options, error);
        if (r >= 0)
                json_set(request, "options", options);
        return r;
}

static int read_wish(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        int r = read_target(call, request, error);

        return r < 0 ? r : read_options(call, request, error);
}

static int read_wish_of_several(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        json_object *targets = json_object_new_array();
        const char *name;

        json_set(request, "targets", targets);
        int r = sd_bus_message_enter_container(call, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(call, 's', &name)) > 0)
                json_append_str(targets, name);
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        _cleanup_free_ char *all = json_joined(targets, NULL, " ");
        json_set_str(request, "target", all);
        if (json_len(targets) < 2)
                json_object_object_del(request, "targets");
        return r < 0 ? r : read_options(call, request, error);
}

static int read_limit(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        uint32_t limit;

        int r = sd_bus_message_read_basic(call, 'u', &limit);
        if (r >= 0)
                json_set_u64(request, "limit", limit);
        return r;
}

static int read_keep_names(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        int keep = 0;

        int r = sd_bus_message_read_basic(call, 'b', &keep);
        json_set_bool(request, "keep_names", keep);
        return r;
}

static int read_id(sd_bus_message *call, json_object *request, sd_bus_error *error) {
        const char *id;

        int r = sd_bus_message_read_basic(call, 's', &id);
        if (r >= 0)
                json_set_str(request, "id", id);
        return r;
}

static const struct {
        const char *member;     /* without "Open" or "Get" */
        const char *verb;
        read_t read;
} methods[] = {
        { "Topology", "topology", NULL },
        { "PlanRemoval", "plan", read_wish },
        { "PlanSeveral", "plan", read_wish_of_several },
        { "PlanRestore", "plan-restore", read_wish },
        { "Verify", "verify", read_target },
        { "History", "history", read_limit },
        { "Certificate", "certificate", read_id },
        { "VerifyCertificates", "certificates", NULL },
        { "Snapshot", "snapshot", read_keep_names },
};

static int answer_look(Simulator *s, sd_bus_message *call, sd_bus_error *error) {
        _cleanup_json_ json_object *request = json_object_new_object();
        const char *member = sd_bus_message_get_member(call);
        _cleanup_free_ char *text = NULL;
        size_t i = 0;

        member = startswith(member, "Open") ?: startswith(member, "Get") ?: member;
        while (i < ELEMENTSOF(methods) && !streq(methods[i].member, member))
                i++;
        if (i == ELEMENTSOF(methods))
                return sd_bus_error_setf(error, BUS_ERROR_NOT_AUTHORIZED, "This is a recorded machine: it can be looked at, and nothing can be done to it.");

        json_set_str(request, "id", "0");
        json_set_str(request, "trigger", "command");
        json_set(request, "options", json_object_new_object());
        int r = methods[i].read ? methods[i].read(call, request, error) : 0;
        if (r >= 0)
                r = ask(s, methods[i].verb, request, &text, error);
        return r < 0 ? r : reply_text(call, text);
}

static int append_property(sd_bus_message *reply, const char *name, const char *type, const char *text, bool flag) {
        return streq(type, "b") ? sd_bus_message_append(reply, "{sv}", name, type, (int) flag) : sd_bus_message_append(reply, "{sv}", name, type, text);
}

/* What the daemon would show of it right after its start. */
static int append_slot(sd_bus_message *reply, json_object *entry) {
        _cleanup_(slot_freep) ManagedSlot *slot = NULL;
        _cleanup_(slot_view_done) SlotView view = { 0 };

        int r = slot_new(NULL, json_str(entry, "name") ?: "", &slot);
        if (r < 0)
                return r;
        slot->left = json_str(entry, "left") ? strdup(json_str(entry, "left")) : NULL;
        r = slot_view_make(slot, entry, NULL, &view);
        if (r < 0)
                return r;
        const struct {
                const char *name;
                bool value;
        } flags[] = { { "Occupied", view.occupied }, { "Held", view.held }, { "Stale", view.stale } };

        r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "o", slot->path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "org.saferemove1.Slot");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < _SLOT_TEXT_MAX; i++)
                r = append_property(reply, slot_text_to_string(i), i == SLOT_TEXT_REMOVAL ? "o" : "s", view.text[i], false);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(flags); i++)
                r = append_property(reply, flags[i].name, "b", NULL, flags[i].value);
        for (size_t i = 0; r >= 0 && i < 4; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int answer_objects(Simulator *s, sd_bus_message *call, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *scan = NULL;
        _cleanup_free_ char *text = NULL;

        int r = ask(s, "scan", NULL, &text, error);
        if (r >= 0)
                r = json_parse(text, strlen(text), &scan);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        json_object *slots = json_array(scan, "slots");
        for (size_t i = 0; r >= 0 && i < json_len(slots); i++)
                r = append_slot(reply, json_at(slots, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(s->bus, reply, NULL);
}

/* Of the manager: that all is known that there is. */
static int answer_properties(sd_bus_message *call) {
        return sd_bus_reply_method_return(call, "a{sv}", 2, "Version", "s", PROJECT_VERSION, "RecordsRead", "b", true);
}

static int on_message(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(call), *interface = sd_bus_message_get_interface(call) ?: "";
        Simulator *s = userdata;

        if (streq(interface, "org.freedesktop.DBus.ObjectManager"))
                return answer_objects(s, call, error);
        if (streq(interface, "org.freedesktop.DBus.Properties") && streq(member, "GetAll"))
                return answer_properties(call);
        return startswith(interface, "org.saferemove1.") ? answer_look(s, call, error) : 0;
}

/* The worker is where we are. */
static int open_worker(void) {
        _cleanup_free_ char *self = NULL, *path = NULL;

        int r = read_link_at(AT_FDCWD, "/proc/self/exe", &self);
        if (r < 0)
                return r;
        path = strf("%s/" WORKER, dirname(self));
        int fd = path ? open(path, O_PATH | O_CLOEXEC) : -ENOMEM;
        return fd < 0 ? -errno : fd;
}

static int serve(Simulator *s) {
        int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        int r = fd < 0 ? -errno : peer_bus_new(&fd, &fd, UNREAD, &s->bus);
        if (r >= 0)
                r = sd_bus_add_fallback(s->bus, NULL, ROOT_PATH, on_message, s);
        while (r >= 0) {
                r = sd_bus_process(s->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(s->bus, UINT64_MAX);
        }
        return r == -ENOTCONN || r == -ECONNRESET ? 0 : r;
}

static int say(const char *error) {
        int r = write_all(STDOUT_FILENO, error, strlen(error));
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0)
                r = -errno;
        return r;
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *error = NULL;
        Simulator s = { .worker = -EBADF };

        if (argc != 2) {
                fprintf(stderr, "usage: safe-remove-simulator MACHINE (started for safe-remove simulate)\n");
                return 64;
        }
        signal(SIGPIPE, SIG_IGN);
        /* Whoever asks is all that we are here for. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return EXIT_FAILURE;
        s.worker = open_worker();
        int r = s.worker < 0 ? s.worker : sandbox_enter(argv[1], &error);
        if (r < 0) {
                (void) say(error ?: strerror(-r));
                return EXIT_FAILURE;
        }
        /* Should a recorded process have the number of this one, that stays the recorded one: nothing is looked at here. */
        r = sandbox_show_self();
        if ((r < 0 && r != -EEXIST) || say("") < 0)
                return EXIT_FAILURE;
        r = serve(&s);
        close(s.worker);
        sd_bus_close_unref(s.bus);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
