/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On a /dev of our own, with the number of a device that everybody has. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel/sysfs/fence.h"
#include "step/step.h"
#include "tests/unit/own-processes.h"

#define NODE "/dev/dax9.9"
#define HIDDEN "/dev/.safe-remove.dax9.9"

static const StepOps *ops;

static json_object *args_new(const char *dev) {
        json_object *args = json_object_new_object();

        json_set_str(args, "dax", "dax9.9");
        json_set_str(args, "dev", dev);
        json_set_str(args, "node", NODE);
        return args;
}

static bool is_zero(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5);
}

static void check_state(json_object *args, StepRun *run, int forwards, int backwards) {
        run->backwards = false;
        CHECK_INT(ops->verify(args, run), forwards);
        run->backwards = true;
        CHECK_INT(ops->verify(args, run), backwards);
        run->backwards = false;
}

/* The very node goes and comes back; whoever has it open keeps it. Twice is once. */
static void test_there_and_back(void) {
        _cleanup_json_ json_object *args = args_new("1:5");
        _cleanup_(step_run_done) StepRun run = { 0 };
        struct stat before, after;
        char byte = 1;

        _cleanup_close_ int fd = open(NODE, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && fstat(fd, &before) == 0);
        check_state(args, &run, STEP_NOT_APPLIED, STEP_NOT_APPLIED);
        for (int i = 0; i < 2; i++) {
                CHECK_INT(ops->apply(args, &run), 0);
                CHECK(access(NODE, F_OK) < 0 && is_zero(HIDDEN));
        }
        check_state(args, &run, STEP_APPLIED, STEP_APPLIED);
        CHECK(read(fd, &byte, 1) == 1 && byte == 0);
        for (int i = 0; i < 2; i++)
                CHECK_INT(ops->revert(args, &run), 0);
        CHECK(stat(NODE, &after) == 0 && after.st_ino == before.st_ino && access(HIDDEN, F_OK) < 0);
        check_state(args, &run, STEP_NOT_APPLIED, STEP_NOT_APPLIED);
}

static void test_known_name(void) {
        static const char *const cases[][2] = {
                { HIDDEN, NODE },
                { NODE, NODE },
                { "/mnt/.safe-remove.dax9.9", "/mnt/.safe-remove.dax9.9" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *name = fence_known_name(cases[i][0]);
                CHECK_STR(name, cases[i][1]);
        }
}

/* The name is another device's by now: it keeps it. */
static void test_other_device(void) {
        _cleanup_json_ json_object *args = args_new("1:3");
        _cleanup_(step_run_done) StepRun run = { 0 };

        CHECK_INT(ops->apply(args, &run), -ESTALE);
        CHECK_STR(run.why, NODE " is not device 1:3 any more");
        CHECK(is_zero(NODE));
}

/* A new node stands in the old one's place: it is not overwritten. */
static void test_name_taken(void) {
        _cleanup_json_ json_object *args = args_new("1:5");
        _cleanup_(step_run_done) StepRun run = { 0 };

        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(mknod(NODE, S_IFCHR | 0600, makedev(1, 3)), 0);
        CHECK_INT(ops->revert(args, &run), -EEXIST);
        CHECK(!is_zero(NODE) && is_zero(HIDDEN));
        CHECK_INT(unlink(NODE), 0);
        CHECK_INT(ops->revert(args, &run), 0);
}

/* The driver was taken off and bound again: the device has a new node, and gets back the one that somebody gave to others. */
static void test_made_anew(void) {
        _cleanup_json_ json_object *args = args_new("1:5");
        _cleanup_(step_run_done) StepRun run = { 0 };
        struct stat before, after;

        CHECK(chmod(NODE, 0640) == 0 && stat(NODE, &before) == 0);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(mknod(NODE, S_IFCHR | 0600, makedev(1, 5)), 0);
        check_state(args, &run, STEP_NOT_APPLIED, STEP_APPLIED);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK(stat(NODE, &after) == 0 && after.st_ino == before.st_ino && after.st_mode == before.st_mode && access(HIDDEN, F_OK) < 0);
        check_state(args, &run, STEP_NOT_APPLIED, STEP_NOT_APPLIED);
}

/* Units are started again before the fence has its turn on the way back, and open what they had. */
static void test_shown_to_units(void) {
        _cleanup_json_ json_object *args = args_new("1:5"), *end = NULL;
        _cleanup_(step_run_done) StepRun run = { .backwards = true };
        const char text[] = "{\"targets\": [{\"kind\": \"char\", \"dev\": \"1:5\", \"name\": \"" NODE "\"}], \"rules\": []}";

        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(json_parse(text, strlen(text), &end), 0);
        CHECK_INT(step_ops(STEP_END_HOLDERS)->revert(end, &run), 0);
        CHECK(is_zero(NODE));
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
}

/* The device went while its node was hidden. */
static void test_gone(void) {
        _cleanup_json_ json_object *args = args_new("1:5");
        _cleanup_(step_run_done) StepRun run = { 0 };

        CHECK_INT(mknod(HIDDEN, S_IFCHR | 0600, makedev(4000, 77)), 0);
        run.backwards = true;
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK(access(HIDDEN, F_OK) < 0);
        CHECK_INT(unlink(NODE), 0);
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->revert(args, &run), 0);
}

int main(void) {
        if (!see_own_processes() || mount("dev", "/dev", "tmpfs", 0, NULL) < 0 || mknod(NODE, S_IFCHR | 0600, makedev(1, 5)) < 0) {
                puts("needs root");
                return 77;
        }
        ops = step_ops(STEP_FENCE_DAX);
        test_there_and_back();
        test_known_name();
        test_other_device();
        test_name_taken();
        test_made_anew();
        test_shown_to_units();
        test_gone();
        return EXIT_SUCCESS;
}
