/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs that the system manager runs for us: nothing of them is left where we do not get as far as their ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/system-manager.h"
#include "tests/unit/test.h"

#define FOLDER "/run/fake"

static void manager_start(const char *program) {
        int out[2];
        char ready;

        CHECK(mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0);
        CHECK(mkdir(FOLDER, 0755) == 0 && mkdir(FOLDER "/units", 0755) == 0 && pipe2(out, O_CLOEXEC) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(out[1], STDOUT_FILENO) >= 0)
                        (void) execl(program, program, FOLDER, "/run/systemd/private", NULL);
                _exit(127);
        }
        CHECK_INT(read(out[0], &ready, 1), 1);
        CHECK(close(out[0]) == 0 && close(out[1]) == 0);
}

static unsigned asked;

static bool is_cancelled(void *userdata) {
        return ++asked > 2;
}

static void run_both(const char *first, const char *second, bool (*cancelled)(void *userdata), int expected) {
        _cleanup_close_ int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *why = NULL;
        UnitRun runs[2] = {
                { .unit = first, .description = "x", .path = "/bin/true", .argument = "pre", .user = "nobody", .timeout_usec = 3600 * USEC_PER_SEC, .in = in },
                { .unit = second, .description = "x", .path = "/bin/true", .argument = "pre", .user = "nobody", .timeout_usec = 3600 * USEC_PER_SEC, .in = in },
        };

        CHECK_INT(system_manager_run(runs, ELEMENTSOF(runs), true, 3600 * USEC_PER_SEC, cancelled, NULL, &why), expected);
        for (size_t i = 0; i < ELEMENTSOF(runs); i++)
                unit_run_done(&runs[i]);
}

static void check_log(const char *expected) {
        _cleanup_free_ char *log = NULL;

        CHECK_INT(read_file(FOLDER "/log", &log, NULL), 0);
        CHECK_STR(log, expected);
        CHECK_INT(unlink(FOLDER "/log"), 0);
}

int main(int argc, char **argv) {
        CHECK(argc == 2);
        manager_start(argv[1]);

        run_both("a.service", "b.service", is_cancelled, -ECANCELED);
        check_log("run a.service\nrun b.service\nstop a.service\nstop b.service\n");

        /* The connection ends with the second one, of which nobody knows whether it was taken. */
        CHECK_INT(replace_file(FOLDER "/hangs-up", "d.service"), 0);
        run_both("c.service", "d.service", NULL, -EIO);
        check_log("run c.service\nstop c.service\n");
        return EXIT_SUCCESS;
}
