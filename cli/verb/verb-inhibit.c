/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An inhibitor for as long as a command runs, as systemd-inhibit(1) has it; and who has one now. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cli/agent.h"
#include "cli/client.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

#define ENTRY "ssssuuta{sv}"
#define NO_REASON "no reason given"
#define CALL_USEC (30 * UINT64_C(1000000))

enum {
        WHO_MAX = 64,          /* bytes: as long as the daemon takes it */
        EXIT_NOT_FOUND = 127,  /* of a command, as shells have it */
        EXIT_NOT_EXECUTABLE = 126,
        EXIT_SIGNAL = 128,
};

/* The command as it was given, in as much as fits. */
static char *who_of(char **words, size_t n) {
        _cleanup_free_ char *who = NULL;

        for (size_t i = 0; i < n; i++)
                if (text_add(&who, " ", "%s", words[i]) < 0)
                        return NULL;
        utf8_make_printable(who);
        size_t length = strlen(who);
        if (length > WHO_MAX) {
                length = WHO_MAX;
                while (length > 0 && ((unsigned char) who[length] & 0xc0) == 0x80)
                        length--;
                who[length] = '\0';
        }
        return TAKE_PTR(who);
}

/* It outlives the connection, of which there are only so many. */
static ExitCode take(const Args *a, int *ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_free_ char *who = a->who ? strdup(a->who) : who_of(a->targets, a->n_targets);
        int fd;

        if (!who)
                return fail_memory();
        ExitCode code = client_connect_to_change(&bus);
        if (code != CODE_DONE)
                return code;
        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_MANAGER, "Inhibit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssss", a->what ?: "all", who, a->why ?: NO_REASON, a->mode ?: "block");
        if (r >= 0)
                r = agent_call(bus, m, a, CALL_USEC, &e, &reply);
        if (r < 0)
                return client_fail(r, &e);
        if (sd_bus_message_read(reply, "h", &fd) < 0) /* stays the reply's */
                return client_fail(-EBADMSG, NULL);
        *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret < 0 ? fail_with_hint(CODE_FAILED, NULL, "see: ulimit -n", "the inhibitor cannot be kept: %s", strerror(errno)) : CODE_DONE;
}

/* It ends with us: nobody would hold the card for it any more. It has no copy of the descriptor, nor have its children. */
static void become(char **words, pid_t parent) {
        struct sigaction standard = { .sa_handler = SIG_DFL };

        (void) sigaction(SIGINT, &standard, NULL);
        (void) sigaction(SIGQUIT, &standard, NULL);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        (void) execvp(words[0], words);
        int error = errno;
        fprintf(stderr, "safe-remove: %s cannot be run: %s\n", words[0], strerror(error));
        _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* The daemon ends a user's that has lasted too long: the command goes on, and nothing keeps the card for it any more. */
static void watch(pid_t child, int fd) {
        _cleanup_close_ int pidfd = (int) syscall(SYS_pidfd_open, child, 0);
        struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN }, { .fd = fd } };

        while (pidfd >= 0 && fds[0].revents == 0) {
                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        return;
                if (fds[1].revents == 0)
                        continue;
                output_line(stderr, "safe-remove: the inhibitor has ended before the command: it has lasted as long as one may, or the service was stopped\n");
                fds[1].fd = -1;
                fds[1].revents = 0;
        }
}

static ExitCode run_command(char **words, int fd) {
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        pid_t parent = getpid();
        int status;

        /* A terminal's Ctrl-C is for the command: what it does about it is still worth to be waited for. */
        (void) sigaction(SIGINT, &ignore, NULL);
        (void) sigaction(SIGQUIT, &ignore, NULL);
        pid_t child = fork();
        if (child < 0)
                return fail_with_hint(CODE_FAILED, NULL, "see: ulimit -u", "%s cannot be run: %s", words[0], strerror(errno));
        if (child == 0)
                become(words, parent);
        watch(child, fd);
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return fail_with_hint(CODE_FAILED, NULL, "nothing keeps the card any more; see: ps -C COMMAND", "%s cannot be waited for: %s", words[0],
                                              strerror(errno));
        return (ExitCode) (WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status));
}

/* Whether the daemon takes it, and whether the command can be run, is known when that is done. */
static ExitCode inhibit_dry(const Args *a) {
        _cleanup_free_ char *who = a->who ? strdup(a->who) : who_of(a->targets, a->n_targets), *command = NULL;
        const char *why = a->why ?: NO_REASON, *what = a->what ?: "all", *mode = a->mode ?: "block";
        _cleanup_json_ json_object *o = json_object_new_object();

        for (size_t i = 0; i < a->n_targets; i++) {
                _cleanup_free_ char *word = shell_quoted(a->targets[i]);
                if (!word || text_add(&command, " ", "%s", word) < 0)
                        return fail_memory();
        }
        json_set_str(o, "schema", "safe-remove/inhibit/1");
        json_set_str(o, "what", what);
        json_set_str(o, "who", who);
        json_set_str(o, "why", why);
        json_set_str(o, "mode", mode);
        json_set_str(o, "command", command);
        if (output.json != JSON_OFF) {
                print_json(o);
                return CODE_DONE;
        }
        json_make_printable(o);
        output_line(stdout, "%s%s would not be removed%s as long as this runs: %s\n  who: %s\n  why: %s\n", streq(what, "all") ? "cards" : "cards of ", streq(what, "all") ? "" : json_str(o, "what"),
               streq(mode, "block") ? "" : " at once", json_str(o, "command"), json_str(o, "who"), json_str(o, "why"));
        return CODE_DONE;
}

ExitCode verb_inhibit(const Args *a) {
        _cleanup_close_ int fd = -EBADF;

        if (a->dry_run)
                return inhibit_dry(a);
        ExitCode code = take(a, &fd);
        return code == CODE_DONE ? run_command(a->targets, fd) : code;
}

/* What a later version adds to it is passed over. */
static int read_more(sd_bus_message *m, uint64_t *ret_until) {
        const char *key;

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = streq(key, "until_usec") ? sd_bus_message_read(m, "v", "t", ret_until) : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_one(sd_bus_message *m, json_object *list) {
        const char *what, *who, *why, *mode;
        uint64_t since, until = 0;
        uint32_t uid, pid;

        int r = sd_bus_message_enter_container(m, 'r', ENTRY);
        if (r <= 0)
                return r;
        r = sd_bus_message_read(m, "ssssuut", &what, &who, &why, &mode, &uid, &pid, &since);
        if (r >= 0)
                r = read_more(m, &until);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        json_object *o = json_object_new_object();
        json_set_str(o, "what", what);
        json_set_str(o, "who", who);
        json_set_str(o, "why", why);
        json_set_str(o, "mode", mode);
        if (uid == UINT32_MAX)
                json_set(o, "uid", NULL);
        else
                json_set_u64(o, "uid", uid);
        if (pid > 0)
                json_set_u64(o, "pid", pid);
        else
                json_set(o, "pid", NULL);
        json_set_u64(o, "since_usec", since);
        if (until > 0)
                json_set_u64(o, "until_usec", until);
        else
                json_set(o, "until_usec", NULL);
        json_object_array_add(list, o);
        return 1;
}

static ExitCode read_list(sd_bus *bus, json_object *list) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *reply = NULL;

        int r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_MANAGER, "ListInhibitors", &e, &reply, "");
        if (r < 0)
                return client_fail(r, &e);
        r = sd_bus_message_enter_container(reply, 'a', "(" ENTRY ")");
        while (r > 0)
                r = read_one(reply, list);
        return r < 0 ? client_fail(-EBADMSG, NULL) : CODE_DONE;
}

static char *user_text(json_object *o) {
        const struct passwd *p = json_has(o, "uid") ? getpwuid((uid_t) json_u64(o, "uid")) : NULL;

        return p ? strdup(p->pw_name) : json_has(o, "uid") ? strf("%ju", (uintmax_t) json_u64(o, "uid")) : NULL;
}

static void print_list(json_object *list) {
        static const char *const headers[] = { "WHO", "USER", "PID", "WHAT", "MODE", "WHY" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        table_align_right(t, 2);
        for (size_t i = 0; i < json_len(list); i++) {
                json_object *o = json_at(list, i);
                _cleanup_free_ char *user = user_text(o), *pid = json_has(o, "pid") ? strf("%ju", (uintmax_t) json_u64(o, "pid")) : NULL;

                table_cell(t, COLOR_NONE, json_str(o, "who"));
                table_cell(t, COLOR_NONE, user);
                table_cell(t, COLOR_NONE, pid);
                table_cell(t, COLOR_NONE, json_str(o, "what"));
                _cleanup_free_ char *mode = json_has(o, "until_usec") ? strf("%s until %s", json_str(o, "mode"), FORMAT_TIME(json_u64(o, "until_usec"))) : NULL;
                table_cell(t, streq_ptr(json_str(o, "mode"), "block") ? COLOR_WARN : COLOR_NONE, mode ?: json_str(o, "mode"));
                table_cell(t, COLOR_NONE, json_str(o, "why"));
        }
        table_print(t, "");
}

ExitCode verb_inhibitors(const Args *a) {
        _cleanup_json_ json_object *o = json_object_new_object();
        json_object *list = json_object_new_array();
        _cleanup_bus_ sd_bus *bus = NULL;

        json_set_str(o, "schema", "safe-remove/inhibitors/1");
        json_set(o, "inhibitors", list);
        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = read_list(bus, list);
        if (code != CODE_DONE)
                return code;
        if (output.json != JSON_OFF) {
                print_json(o);
                return CODE_DONE;
        }
        json_make_printable(o);
        if (json_len(list) > 0)
                print_list(list);
        else if (output.legend)
                puts("no inhibitors");
        return CODE_DONE;
}
