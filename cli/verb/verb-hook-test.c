/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a hook as a removal would, for whoever writes one: with a made-up card, without the daemon and without a card. A removal has the system manager
 * run it; here its limits are the time and what it prints, and the user where root asks, as the configuration has them. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/hook.h"
#include "cli/client.h"
#include "cli/text/output.h"
#include "cli/worker.h"
#include "verbs.h"

enum {
        UNKNOWN_PHASE = _HOOK_PHASE_MAX,
};

/* How it is run. */
typedef struct Way {
        const char *path;
        const char *user;       /* HookUser= */
        uint64_t limit_sec;     /* HookTimeoutSec= */
} Way;

typedef struct Trial {
        const char *phase;
        HookAnswer answer;
        bool timed_out;
        int code, status;       /* as waitid(2) has them */
        char *reason;
        size_t n_printed;
        uint64_t usec;
} Trial;

/* The path of a hook by its name, as a removal finds it, also where that one may not be run. NULL: there is none. */
static char *path_of(const char *name, json_object *hooks) {
        const char *path = json_str(json_find(hooks, "name", name), "path");

        if (strchr(name, '/'))
                return realpath(name, NULL) ?: strdup(name);
        return path ? strdup(path) : NULL;
}

/* What a removal of a card of 1 GiB would tell it. */
static int document_make(const char *phase, uint64_t limit_sec) {
        static const char made_up[] =
                "{\"trigger\":\"command\",\"target\":\"2\",\"slot\":{\"name\":\"2\",\"port\":\"0000:0c:00.0\"},\"card\":{\"bdf\":\"0000:0d:00.0\",\"memdev\":\"mem0\","
                "\"serial\":\"0x1\"},\"takes_down\":{\"memdevs\":[\"mem0\"],\"regions\":[\"region0\"],\"ram_bytes\":1073741824,\"used_bytes\":0},"
                "\"digest\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"eta_usec\":2000000,\"serial\":\"0x1\",\"holders\":0,"
                "\"removal\":null}";
        _cleanup_json_ json_object *o = NULL;
        _cleanup_close_ int fd = memfd_create("hook", MFD_CLOEXEC);

        if (fd < 0 || json_parse(made_up, strlen(made_up), &o) < 0)
                return fd < 0 ? -errno : -ENOMEM;
        json_set_str(o, "schema", HOOK_SCHEMA);
        json_set_str(o, "phase", phase);
        json_set_u64(o, "deadline_usec", now_wall() + limit_sec * USEC_PER_SEC);
        const char *text = json_text(o);
        int r = text ? write_all(fd, text, strlen(text)) : -ENOMEM;
        if (r >= 0)
                r = write_all(fd, "\n", 1);
        return r < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -EIO : TAKE_FD(fd);
}

static _Noreturn void become_hook(const Way *way, const struct passwd *user, const char *phase, int in, int out) {
        char *const argv[] = { (char *) way->path, (char *) phase, NULL }, *const environment[] = { (char *) "PATH=" HOOK_PATH, NULL };

        /* Of a session of its own: what it is given of our terminal is no place to type for it. */
        if (setsid() < 0)
                _exit(127);
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || chdir("/") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                _exit(127);
        if (user && (initgroups(user->pw_name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
                _exit(127);
        (void) execve(way->path, argv, environment);
        dprintf(STDOUT_FILENO, "user %s cannot run it: %s\n", user ? user->pw_name : "you", strerror(errno));
        _exit(126);
}

/* Reads until it ends or its time is over; the last of what it says is kept. */
static void listen_to(int out, uint64_t deadline, Trial *t, char *buffer, size_t *n) {

        for (;;) {
                uint64_t now = now_monotonic();
                struct pollfd fd = { .fd = out, .events = POLLIN };
                t->timed_out = now >= deadline;
                if (t->timed_out || (poll(&fd, 1, (int) ((deadline - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR))
                        return;
                if (fd.revents == 0)
                        continue;
                if (*n == 2 * (size_t) HOOK_OUTPUT_MAX) {
                        memmove(buffer, buffer + HOOK_OUTPUT_MAX, HOOK_OUTPUT_MAX);
                        *n = HOOK_OUTPUT_MAX;
                }
                ssize_t k = read(out, buffer + *n, 2 * (size_t) HOOK_OUTPUT_MAX - *n);
                if (k <= 0)
                        return;
                *n += (size_t) k;
                t->n_printed += (size_t) k;
        }
}

static int try_phase(const Way *way, const struct passwd *user, const char *phase, Trial *t) {
        _cleanup_free_ char *buffer = malloc(2 * (size_t) HOOK_OUTPUT_MAX);
        _cleanup_close_ int in = document_make(phase, way->limit_sec), out = -EBADF;
        uint64_t start = now_monotonic(), deadline = start + way->limit_sec * USEC_PER_SEC;
        size_t n = 0;
        int fds[2];
        siginfo_t info = { 0 };

        if (in < 0 || !buffer || pipe2(fds, O_CLOEXEC) < 0)
                return in < 0 ? in : buffer ? -errno : -ENOMEM;
        out = fds[0];
        *t = (Trial) { .phase = phase };
        (void) fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
                become_hook(way, user, phase, in, fds[1]);
        close(fds[1]);
        if (pid < 0)
                return -errno;
        listen_to(out, deadline, t, buffer, &n);
        /* One that has closed its output may go on working. */
        for (info.si_pid = 0; !t->timed_out && waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;) {
                t->timed_out = now_monotonic() >= deadline;
                (void) poll(NULL, 0, 10); /* there is no event for it that a program without children of its own could miss */
        }
        (void) kill(-pid, SIGKILL);
        if (waitid(P_PID, (id_t) pid, &info, WEXITED) < 0)
                return -errno;
        t->code = info.si_code;
        t->status = info.si_status;
        t->answer = t->timed_out ? HOOK_ERROR : hook_answer_of(t->code, t->status);
        t->reason = hook_reason(buffer, n);
        t->usec = now_monotonic() - start;
        return 0;
}

/* Is it told of what has happened? */
static bool is_late(const Trial *t) {
        int phase = hook_phase_from_string(t->phase);

        return phase == HOOK_UNDO || (phase >= 0 && hook_phase_is_told((HookPhase) phase));
}

/* What a removal would make of that. A phase that there will be one day does not apply to a hook that does not know it. */
static const char *taken_as(const Trial *t, bool known) {
        static const char *const words[_HOOK_ANSWER_MAX] = {
                [HOOK_OK] = "agrees", [HOOK_ERROR] = "an error, which blocks", [HOOK_NOT_CONCERNED] = "is not concerned", [HOOK_VETO] = "objects",
        };

        if (t->timed_out)
                return "was ended when its time was over, which is an error";
        if (!known && t->answer != HOOK_NOT_CONCERNED)
                return "has to end with 2 where it does not know the phase";
        if (t->answer == HOOK_VETO && is_late(t))
                return "objects, where nothing is left to object to: an error";
        return words[t->answer];
}

static bool is_good(const Trial *t, bool known) {
        if (!known)
                return !t->timed_out && t->answer == HOOK_NOT_CONCERNED;
        return t->answer != HOOK_ERROR && !(is_late(t) && t->answer == HOOK_VETO);
}

static json_object *trial_json(const Trial *t, bool known) {
        json_object *o = json_object_new_object();

        json_set_str(o, "phase", t->phase);
        json_set_str(o, "answer", hook_answer_to_string(t->answer));
        json_set(o, "status", t->code == CLD_EXITED && !t->timed_out ? json_object_new_int(t->status) : NULL);
        json_set(o, "signal", t->code != CLD_EXITED && !t->timed_out ? json_object_new_int(t->status) : NULL);
        json_set_bool(o, "timed_out", t->timed_out);
        json_set_u64(o, "printed_bytes", t->n_printed);
        json_set_str(o, "reason", t->reason);
        json_set_str(o, "taken_as", taken_as(t, known));
        json_set_bool(o, "good", is_good(t, known));
        json_set_u64(o, "usec", t->usec);
        return o;
}

static void trial_print(const Trial *t, uint64_t limit_sec, bool known) {
        _cleanup_free_ char *how = t->timed_out ? strf("ran for %ju s", (uintmax_t) limit_sec) :
                                   t->code == CLD_EXITED ? strf("status %d", t->status) : strf("signal %d", t->status);

        output_line(stdout, "  %-8s %-10s %s%s%s\n", t->phase, how ?: "?", taken_as(t, known), t->reason ? ": " : "", t->reason ?: "");
        if (t->n_printed > HOOK_OUTPUT_MAX)
                output_line(stdout, "  %-8s %-10s it printed %zu bytes, of which the last %d count\n", "", "", t->n_printed, HOOK_OUTPUT_MAX);
}

static int try_all(const Args *a, const Way *way, const struct passwd *user, json_object *trials, bool *good) {
        for (int i = 0; i <= UNKNOWN_PHASE; i++) {
                bool known = i < UNKNOWN_PHASE;
                const char *phase = known ? hook_phase_to_string((HookPhase) i) : "unknown";
                Trial t = { 0 };
                if (a->phase && !streq(a->phase, phase))
                        continue;
                int r = try_phase(way, user, phase, &t);
                if (r < 0)
                        return r;
                *good = *good && is_good(&t, known);
                json_object_array_add(trials, trial_json(&t, known));
                if (output.json == JSON_OFF)
                        trial_print(&t, way->limit_sec, known);
                free(t.reason);
        }
        return 0;
}

/* Only root runs it as anybody else. */
static ExitCode find_user(const char *name, const struct passwd **ret) {
        *ret = getuid() == 0 ? getpwnam(name) : NULL;
        return *ret || getuid() != 0 ? CODE_DONE :
                                       fail(CODE_FAILED, NULL, "there is no user %s to run it as: HookUser= names him; see: %s cat-config", name, client_command());
}

ExitCode verb_hook_test(const Args *a) {
        _cleanup_json_ json_object *o = json_object_new_object(), *config = NULL;
        json_object *trials = json_object_new_array();
        const struct passwd *user;
        bool good = true;

        json_set(o, "trials", trials);
        ExitCode code = worker_ask("hooks", NULL, &config);
        if (code != CODE_DONE)
                return code;
        _cleanup_free_ char *path = path_of(a->target, json_array(config, "hooks")), *wrong = NULL;
        if (!path)
                return fail(CODE_NOT_FOUND, NULL, "there is no hook '%s' in hooks.d; a path works too, such as: safe-remove hook-test ./%s", a->target,
                            a->target);
        const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        json_object *users = json_get(config, "users");
        const Way way = { .path = path, .user = hook_user(users, name), .limit_sec = json_u64(config, "timeout_sec") };
        wrong = hook_name_is_good(name) ? hook_file_wrong(path, 0) : strf("'%s' is no name of a hook", name);
        json_set_str(o, "schema", "safe-remove/hook-test/1");
        json_set_str(o, "path", path);
        json_set_str(o, "wrong", wrong);
        json_set_str(o, "user", way.user);
        json_set_u64(o, "timeout_sec", way.limit_sec);
        if (access(path, X_OK) < 0)
                return fail_with_hint(CODE_FAILED, NULL, errno == EACCES ? "try: chmod 755 FILE" : "see: safe-remove hook-test --help", "%s cannot be run: %s%s%s", path,
                                      strerror(errno), wrong ? "; there it would block every removal: " : "", wrong ?: "");
        code = find_user(way.user, &user);
        if (code != CODE_DONE)
                return code;
        if (output.json == JSON_OFF)
                output_line(stdout, "%s: %s%s\n  as %s, for %ju s at most\n", path, wrong ? "there it would block every removal: " : "its file is in order", wrong ?: "",
                       user || getuid() == 0 ? way.user : "you", (uintmax_t) way.limit_sec);
        int r = try_all(a, &way, user, trials, &good);
        if (r < 0)
                return fail_with_hint(CODE_FAILED, NULL, "see: ulimit -n -u", "%s cannot be tried: %s", path, strerror(-r));
        json_set_bool(o, "good", good && !wrong);
        if (output.json != JSON_OFF)
                print_json(o);
        return good && !wrong ? CODE_DONE : CODE_FAILED;
}
