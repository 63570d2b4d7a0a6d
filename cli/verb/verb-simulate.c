/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/socket.h>

#include "base/fileio.h"
#include "base/spawn.h"
#include "cli/client.h"
#include "cli/text/output.h"
#include "verbs.h"

#define SIMULATOR "safe-remove-simulator"

enum {
        SAID_MAX = 64 * 1024,
};

#define NO_CHANGE "a recorded machine can be looked at, and nothing else"
#define NO_FILES "recordings have no files of hooks, and settings are read where they lie"

/* One that is added has to say which it is. */
static const struct {
        const char *verb;
        const char *why;        /* NULL: it is a look */
        bool with_dry_run;      /* or is one with --dry-run */
} takes[] = {
        { "list", NULL, false }, { "show", NULL, false }, { "plan", NULL, false }, { "explain", NULL, false }, { "status", NULL, false },
        { "history", NULL, false }, { "verify", NULL, false }, { "certificate", NULL, false }, { "snapshot", NULL, false }, { "holders", NULL, false },
        { "remove", NO_CHANGE ", so this wants --dry-run", true }, { "restore", NO_CHANGE ", so this wants --dry-run", true },
        { "replace", NO_CHANGE ", so this wants --dry-run", true }, { "self-test", NO_CHANGE ", so this wants --dry-run", true },
        { "cancel", NO_CHANGE "; no removal runs there", false }, { "locate", NO_CHANGE "; its lights are not here", false },
        { "inhibit", NO_CHANGE "; nobody removes a card there", false }, { "inhibitors", "who keeps cards only a daemon knows, and none runs there", false },
        { "monitor", "nothing happens on a recorded machine", false }, { "watch", "nothing happens on a recorded machine", false },
        { "metrics", "they are of a daemon, and none runs there", false },
        { "cat-config", NO_FILES, false }, { "policy", NO_FILES, false }, { "hook-test", NO_FILES, false },
        { "simulate", "one recorded machine is enough; " NO_CHANGE, false },
};

const char *simulate_refuses(const Args *a) {
        if (client_host())
                return "no daemon is asked, here or elsewhere";
        if (!a->verb)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(takes); i++)
                if (streq(a->verb->name, takes[i].verb))
                        return takes[i].with_dry_run && a->dry_run ? NULL : takes[i].why;
        return NO_CHANGE;
}

/* The one of the same build, where this is none that is installed. */
static char *simulator_path(void) {
        _cleanup_free_ char *self = NULL, *beside = NULL;

        if (read_link_at(AT_FDCWD, "/proc/self/exe", &self) >= 0) {
                beside = strf("%s/../daemon/" SIMULATOR, dirname(self));
                if (beside && access(beside, X_OK) >= 0)
                        return TAKE_PTR(beside);
        }
        return strdup(LIBEXEC_DIR "/" SIMULATOR);
}

/* Whether it is ready: it says what keeps it from that, else nothing. */
static ExitCode hear_start(int fd) {
        _cleanup_free_ char *opened = strf("/proc/self/fd/%d", fd), *said = NULL;

        int r = opened ? read_file_at_most(AT_FDCWD, opened, SAID_MAX, &said, NULL) : -ENOMEM;
        if (r < 0)
                return fail_with_hint(CODE_FAILED, NULL, "try it again; it keeps nothing", "the recorded machine cannot be simulated: %s", strerror(-r));
        if (!*said)
                return CODE_DONE;
        utf8_make_printable(said);
        return fail_with_hint(CODE_FAILED, NULL, "a recording is made by: safe-remove snapshot --output=machine.root", "%s", said);
}

static ExitCode fail_start(const char *path, int r) {
        return fail_with_hint(CODE_FAILED, NULL, "see whether the package is whole, and: ulimit -n", "%s cannot be started: %s", path, strerror(-r));
}

ExitCode simulate_start(const char *machine) {
        _cleanup_free_ char *path = simulator_path();
        const char *const argv[] = { SIMULATOR, machine, NULL };
        int sockets[2], said[2];
        pid_t pid;

        if (!path)
                return fail_memory();
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
                return fail_start(path, -errno);
        _cleanup_close_ int ours = sockets[0], theirs = sockets[1];
        if (pipe2(said, O_CLOEXEC) < 0)
                return fail_start(path, -errno);
        _cleanup_close_ int reads = said[0], writes = said[1];
        const Spawn spawn = { .path = path, .argv = argv, .environment = environ, .in = theirs, .out = writes, .err = STDERR_FILENO };

        int r = spawn_process(&spawn, &pid);
        if (r < 0)
                return fail_start(path, r);
        close(TAKE_FD(theirs));
        close(TAKE_FD(writes));
        ExitCode code = hear_start(reads);
        if (code != CODE_DONE)
                return code;
        client_use(TAKE_FD(ours), machine);
        if (output.legend && output.json == JSON_OFF)
                output_line(stderr, "recorded machine %s; nothing here is about this one\n", machine);
        return CODE_DONE;
}

/* Without a machine nothing is left to be done. */
ExitCode verb_simulate(const Args *a) {
        return fail(CODE_USAGE, NULL, "'simulate' takes the recorded machine first, then a verb, such as: safe-remove simulate %s", a->verb->example);
}
