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

bool simulate_takes_verb(const char *verb) {
        static const char *const looks[] = { "list", "show", "plan", "explain", "status", "history", "verify", "certificate", "restore", "snapshot", "holders" };

        for (size_t i = 0; i < ELEMENTSOF(looks); i++)
                if (streq(verb, looks[i]))
                        return true;
        return false;
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
                return fail(CODE_FAILED, NULL, "the recorded machine cannot be simulated: %s", strerror(-r));
        if (!*said)
                return CODE_DONE;
        utf8_make_printable(said);
        return fail(CODE_FAILED, NULL, "%s", said);
}

ExitCode simulate_start(const char *machine) {
        _cleanup_free_ char *path = simulator_path();
        const char *const argv[] = { SIMULATOR, machine, NULL };
        int sockets[2], said[2];
        pid_t pid;

        if (!path)
                return fail_memory();
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
                return fail(CODE_FAILED, NULL, "%s", strerror(errno));
        _cleanup_close_ int ours = sockets[0], theirs = sockets[1];
        if (pipe2(said, O_CLOEXEC) < 0)
                return fail(CODE_FAILED, NULL, "%s", strerror(errno));
        _cleanup_close_ int reads = said[0], writes = said[1];
        const Spawn spawn = { .path = path, .argv = argv, .environment = environ, .in = theirs, .out = writes, .err = STDERR_FILENO };

        int r = spawn_process(&spawn, &pid);
        if (r < 0)
                return fail(CODE_FAILED, NULL, "%s cannot be started: %s", path, strerror(-r));
        close(TAKE_FD(theirs));
        close(TAKE_FD(writes));
        ExitCode code = hear_start(reads);
        if (code != CODE_DONE)
                return code;
        client_use(TAKE_FD(ours));
        if (output.legend && output.json == JSON_OFF)
                fprintf(stderr, "recorded machine %s; nothing here is about this one\n", machine);
        return CODE_DONE;
}

/* Without a machine nothing is left to be done. */
ExitCode verb_simulate(const Args *a) {
        return fail(CODE_USAGE, NULL, "'simulate' needs a recorded machine and a verb, such as: safe-remove simulate FILE plan 2");
}
