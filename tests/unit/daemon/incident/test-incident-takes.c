/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "storage": what stands on a card that is gone is taken down, within a minute, and what does not stay. The clock is the test's, and
 * so are the commands: none of them comes to its end. */
#include <sys/sysmacros.h>

#include "daemon/worker/lost/incident.h"
#include "kernel/mounts/fs-shutdown.h"
#include "step/step.h"
#include "tests/unit/test.h"

static uint64_t clock_usec = 1000 * USEC_PER_SEC;
static char *commands;          /* that were begun */
static uint64_t begun, longest;

uint64_t __wrap_now_monotonic(void);
int __wrap_step_command(StepRun *run, const char *const *argv, char **ret_out);

uint64_t __wrap_now_monotonic(void) {
        return clock_usec;
}

/* It hangs, and is ended at its deadline. */
int __wrap_step_command(StepRun *run, const char *const *argv, char **ret_out) {
        uint64_t usec = run->limits->write_timeout_usec;

        CHECK(usec > 0 && usec <= longest);
        clock_usec += usec < 25 * USEC_PER_SEC ? usec : 25 * USEC_PER_SEC;
        CHECK_INT(text_add(&commands, ", ", "%s", argv[0]), 0);
        CHECK(clock_usec - begun <= 60 * USEC_PER_SEC);
        return step_fail(run, -ETIME, "%s did not come to an end", argv[0]);
}

static void act(const char *blocks, uint64_t limit, const char *want, size_t left) {
        _cleanup_(incident_work_done) IncidentWork w = { 0 };
        _cleanup_json_ json_object *scope = json_object_new_object(), *names = json_tokener_parse(blocks);

        CHECK(names);
        json_set(scope, "block_devices", json_ref(names));
        free(commands);
        commands = NULL;
        begun = clock_usec;
        longest = limit;
        incident_act(scope, &w);
        CHECK_STR(commands, want);
        CHECK_INT(json_len(w.left), left);
        CHECK_INT(json_len(w.done), 0);
}

static void run(const char *command) {
        CHECK_INT(system(command), 0);
}

int main(void) {
        static const char both[] = "[{\"name\": \"dm-0\"}, {\"name\": \"md126\"}]";

        run("mkdir -p /sys/dev/block && cd /sys/dev/block && ln -s ../../devices/virtual/block/dm-0 252:0 && ln -s ../../devices/virtual/block/md126 9:126");
        act(both, 0, NULL, 0);

        /* An array that does not run has no size; what it is made of is there. */
        run("cp /sys/class/block/md126/size /run/size && echo 0 > /sys/class/block/md126/size");
        CHECK(!fs_media_gone(makedev(9, 126)));
        act(both, 0, NULL, 0);
        run("rm -rf /sys/class/block/pmem0.5/");
        CHECK(!fs_media_gone(makedev(9, 126)));
        act(both, 0, NULL, 0);
        run("rm -rf /sys/class/block/nvme0n1p3/");
        CHECK(fs_media_gone(makedev(9, 126)));
        run("cat /run/size > /sys/class/block/md126/size");
        CHECK(fs_media_gone(makedev(9, 126)));

        /* A disk that is dead has none either. */
        CHECK(!fs_media_gone(makedev(252, 0)));
        run("cp /sys/class/block/pmem0.2s/size /run/size && echo 0 > /sys/class/block/pmem0.2s/size");
        CHECK(fs_media_gone(makedev(252, 0)));

        /* 25 s each, in two rounds: the third has 10 s, and there is no fourth. */
        act(both, 60 * USEC_PER_SEC, "mdadm, dmsetup, mdadm", 1);
        free(commands);
        return EXIT_SUCCESS;
}
