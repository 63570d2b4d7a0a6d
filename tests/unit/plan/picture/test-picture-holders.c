/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holders that stood still before and run after a way back, or the other way round, are told; those that have ended are not. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "holders/process.h"
#include "tests/unit/plan/picture/picture-told.h"

static int child(void) {
        int pid = fork();

        CHECK(pid >= 0);
        if (pid == 0)
                for (;;)
                        pause();
        return pid;
}

/* Until the kernel shows it. */
static void send(int pid, int number) {
        int status;

        CHECK_INT(kill(pid, number), 0);
        CHECK_INT(waitpid(pid, &status, WUNTRACED | WCONTINUED), pid);
}

static json_object *holder(int pid) {
        _cleanup_close_ int dirfd = -EBADF;
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        json_object *o = json_object_new_object();
        uint64_t start_time;

        dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        CHECK_INT(process_start_time(dirfd, &start_time), 0);
        json_set_u64(o, "pid", (uint64_t) pid);
        json_set_u64(o, "start_time", start_time);
        json_set_str(o, "comm", "x");
        return o;
}

static json_object *picture(json_object *holders, json_object *before) {
        json_object *o = json_object_new_object();

        json_set(o, "frame", json_object_new_object());
        json_set(o, "back", json_object_new_object());
        picture_add_holders(o, holders, before);
        return o;
}

static void check(json_object *before, json_object *holders, const char *want) {
        _cleanup_json_ json_object *after = picture(holders, before);
        Told told = { 0 };

        (void) picture_compare(before, after, keep, &told);
        CHECK_STR(told.text ?: "", want);
        free(told.text);
}

int main(void) {
        _cleanup_json_ json_object *holders = json_object_new_array();
        int runs = child(), stands = child();

        send(stands, SIGSTOP);
        json_object_array_add(holders, holder(runs));
        json_object_array_add(holders, holder(stands));
        _cleanup_json_ json_object *before = picture(holders, NULL);
        CHECK_INT(json_object_object_length(json_get(before, "frame")), 2);
        check(before, holders, "");

        send(runs, SIGSTOP);
        send(stands, SIGCONT);
        _cleanup_free_ char *want = strf("process %d (x): now stopped, before it was not stopped; to have it as it was: kill -CONT %d\n"
                                         "process %d (x): now not stopped, before it was stopped; to have it as it was: kill -STOP %d\n",
                                         runs, runs, stands, stands);
        check(before, holders, want);

        /* Whoever has ended is told where it was ended. */
        send(runs, SIGKILL);
        send(stands, SIGKILL);
        check(before, holders, "");
        return 0;
}
