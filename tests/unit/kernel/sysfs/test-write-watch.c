/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who writes to an attribute is named while he is there; what we, or somebody who has ended, have written is nobody's. (Any file does.) */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sysfs/write-watch.h"
#include "tests/unit/own-processes.h"

static char *path;

static void file_write(void) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs("x\n", f) >= 0);
}

/* A shell that writes and lives on, of another program than ours. */
static pid_t shell_start(void) {
        _cleanup_free_ char *script = strf("echo x > '%s'; echo; exec cat > /dev/null", path);
        int in[2], out[2];
        char c;

        CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                CHECK(dup2(in[0], STDIN_FILENO) >= 0 && dup2(out[1], STDOUT_FILENO) >= 0);
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                execl("/bin/sh", "sh", "-c", script, NULL);
                _exit(EXIT_FAILURE);
        }
        CHECK_INT(read(out[0], &c, 1), 1);
        close(out[0]);
        close(out[1]);
        close(in[0]);
        return pid;
}

static void check_who(WriteWatch *w, pid_t pid) {
        _cleanup_free_ char *who = write_watch_who(w), *expected = strf("process %d (", pid);

        CHECK(pid > 0 ? who && startswith(who, expected) : !who);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *file = strf("%s/attribute", dir);
        json_object *paths = json_object_new_array(), *none = json_object_new_array();

        path = file;
        file_write();
        json_append_str(none, "/nowhere");
        json_append_str(paths, "/nowhere");
        json_append_str(paths, path);
        CHECK(!write_watch_add(NULL, none));
        check_who(NULL, 0);
        WriteWatch *w = write_watch_add(NULL, paths);
        if (!w) {
                test_remove_tree(dir);
                return 77;
        }
        CHECK(write_watch_add(w, none) == w);
        check_who(w, 0);
        file_write();
        check_who(w, 0);
        pid_t ours = waiting_child_start(file_write);
        check_who(w, 0);
        waiting_child_end(ours);
        pid_t pid = shell_start();
        check_who(w, pid);
        check_who(w, 0); /* he is told of once */
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);

        /* One that has ended cannot be named. */
        pid = shell_start();
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        check_who(w, 0);
        write_watch_end(w);
        json_object_put(paths);
        json_object_put(none);
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
