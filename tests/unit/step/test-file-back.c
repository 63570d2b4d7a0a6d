/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Swap and loop devices whose file lies in a folder that is anybody's: they come back on that very file, or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/block/loop.h"
#include "kernel/block/swap.h"
#include "kernel/mounts/file-id.h"
#include "step/step.h"
#include "step/undo/device-back.h"
#include "tests/unit/noted.h"
#include "tests/unit/own-processes.h"

enum { IMAGE_SIZE = 1 << 20 };

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC };
static char top[] = "/var/tmp/safe-remove-file-back-XXXXXX";
static char *file, *was;        /* where it lies, and where somebody moves it to */

typedef struct Case {
        const StepOps *ops;
        json_object *args;
        StepRun run;
} Case;

static Case case_new(StepType type, json_object *args, json_object *notes) {
        Case c = { .ops = step_ops(type), .args = args, .run = { .limits = &limits, .note = keep_notes, .notes = json_object_new_array(), .backwards = true } };

        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(c.run.notes, json_ref(json_at(notes, i)));
        return c;
}

static void case_done(Case *c) {
        json_object_put(c->run.notes);
        step_run_done(&c->run);
}

/* Not put back, told, and nothing is left to do. */
static void check_left(StepType type, json_object *args, json_object *notes, const char *why) {
        _cleanup_(case_done) Case c = case_new(type, args, notes);

        CHECK_INT(c.ops->revert(c.args, &c.run), 0);
        CHECK_INT(json_len(c.run.lost), 1);
        const char *lost = json_object_get_string(json_at(c.run.lost, 0));
        if (!strstr(lost, why) || !strstr(lost, "when it is the right one: "))
                CHECK_STR(lost, why);
        CHECK_INT(c.ops->verify(c.args, &c.run), STEP_NOT_APPLIED);
}

static void make_file(void) {
        _cleanup_close_ int fd = open(file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && ftruncate(fd, IMAGE_SIZE) == 0);
}

/* What somebody who has the folder can do about it; in the end it is as it was. */
static void check_exchanged(StepType type, json_object *args, json_object *notes, const char *another, const char *link, const char *gone) {
        CHECK_INT(rename(file, was), 0);
        check_left(type, args, notes, gone);
        make_file();
        check_left(type, args, notes, another);
        CHECK_INT(unlink(file), 0);
        CHECK_INT(symlink(was, file), 0);
        check_left(type, args, notes, link);
        CHECK_INT(unlink(file), 0);
        CHECK_INT(rename(was, file), 0);
}

static void test_swap(void) {
        _cleanup_json_ json_object *args = json_object_new_object(), *notes = json_object_new_array();
        json_object *note = json_object_new_object(), *id = NULL;

        json_set_str(args, "path", file);
        json_set_str(args, "dev", "0:1");
        json_set_bool(args, "file", true);
        json_set(args, "priority", json_object_new_int(-2));
        check_left(STEP_SWAPOFF, args, notes, "which file it was is not on record");

        CHECK_INT(swap_file_id(file, limits.write_timeout_usec, &id), 0);
        json_set(note, "id", id);
        json_object_array_add(notes, note);
        const char *why = "it is not there, or another file has its name, or a link is on the way to it now";
        check_exchanged(STEP_SWAPOFF, args, notes, why, why, why);
        /* The same file: it is for the kernel to say that there is no swap in it. */
        _cleanup_(case_done) Case c = case_new(STEP_SWAPOFF, args, notes);
        CHECK_INT(c.ops->revert(c.args, &c.run), -EINVAL);
}

/* One that nobody takes who looks for a free one in the moments in which it is. */
static int ask_control(unsigned long request, int number) {
        _cleanup_close_ int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

        return fd < 0 || ioctl(fd, request, (long) number) < 0 ? -errno : 0;
}

static int bind_loop(const char *name, const char *path, uint64_t offset) {
        _cleanup_free_ char *node = strf("/dev/%s", name);
        struct loop_config config = { .info.lo_offset = offset };

        _cleanup_close_ int fd = open(node, O_RDWR | O_CLOEXEC), image = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || image < 0)
                return -errno;
        config.fd = (uint32_t) image;
        return ioctl(fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
}

static void check_back(json_object *args, json_object *notes) {
        _cleanup_(case_done) Case c = case_new(STEP_DETACH_LOOP, args, notes);

        CHECK_INT(c.ops->revert(c.args, &c.run), 0);
        CHECK_INT(json_len(c.run.lost), 0);
        CHECK_INT(c.ops->verify(c.args, &c.run), STEP_NOT_APPLIED);
}

static void unbind(const char *name) {
        CHECK_INT(loop_detach(name, limits.write_timeout_usec), 0);
        for (unsigned i = 0; loop_is_bound(name) && i < 200; i++)
                (void) poll(NULL, 0, 50);
        CHECK(!loop_is_bound(name));
}

static json_object *detach_notes;

static json_object *notes_of_detaching(StepRun *run, uint64_t n) {
        return detach_notes;
}

/* Is what stands on it back? It had another disk number then. */
static void check_found(const char *name, json_object *args, json_object *notes, bool wanted) {
        _cleanup_free_ char *path = strf("/dev/%s", name), *found = NULL;
        _cleanup_(case_done) Case c = case_new(STEP_UNMOUNT, NULL, NULL);
        const Step step = { .type = STEP_DETACH_LOOP, .args = args };
        json_object *note = json_object_new_object();
        dev_t dev;

        json_set_bool(note, "loop", true);
        json_object_array_add(c.run.notes, note);
        detach_notes = notes;
        c.run.notes_of = notes_of_detaching;
        c.run.steps = &step;
        c.run.n_steps = 1;
        c.run.backwards = false;
        CHECK_INT(device_find(&c.run, path, &found, &dev), wanted ? 0 : -ENODEV);
}

/* Somebody was quicker, with the same file, another part of it or another file. */
static void test_bound_by_others(const char *name, json_object *args, json_object *notes) {
        CHECK_INT(bind_loop(name, file, 0), 0);
        check_back(args, notes);
        check_found(name, args, notes, true);
        unbind(name);
        CHECK_INT(bind_loop(name, file, 4096), 0);
        check_found(name, args, notes, false);
        check_left(STEP_DETACH_LOOP, args, notes, "it is bound to another part of it by now");
        unbind(name);
        CHECK_INT(rename(file, was), 0);
        make_file();
        CHECK_INT(bind_loop(name, file, 0), 0);
        check_found(name, args, notes, false);
        check_left(STEP_DETACH_LOOP, args, notes, "it is bound to another file by now");
        unbind(name);
        CHECK_INT(rename(was, file), 0);
}

/* Something is mounted over its folder. */
static void test_elsewhere(const char *name) {
        _cleanup_json_ json_object *setup = NULL, *there = NULL;

        CHECK(!loop_leads_elsewhere(name, limits.write_timeout_usec));
        CHECK_INT(loop_read(name, limits.write_timeout_usec, &there), 0);
        CHECK(json_has(there, "file"));
        CHECK_INT(mount("over", top, "tmpfs", 0, NULL), 0);
        make_file();
        CHECK(loop_leads_elsewhere(name, limits.write_timeout_usec));
        CHECK_INT(loop_read(name, limits.write_timeout_usec, &setup), 0);
        CHECK(!json_has(setup, "file"));
        CHECK_INT(umount2(top, 0), 0);
}

static void test_loop(const char *name) {
        _cleanup_json_ json_object *args = json_object_new_object(), *old = json_object_new_array(), *setup = NULL;
        json_object *note = json_object_new_object();

        test_elsewhere(name);
        json_set_str(args, "loop", name);
        json_set_str(args, "backing_file", file);
        _cleanup_(case_done) Case c = case_new(STEP_DETACH_LOOP, args, NULL);
        c.run.backwards = false;
        CHECK_INT(c.ops->apply(c.args, &c.run), 0);
        CHECK_INT(c.ops->verify(c.args, &c.run), STEP_APPLIED);
        c.run.backwards = true;
        CHECK_INT(c.ops->verify(c.args, &c.run), STEP_APPLIED);

        check_exchanged(STEP_DETACH_LOOP, args, c.run.notes, "another file has its name", "a link or a file is on the way to it now", "it is not there");
        CHECK(!loop_is_bound(name));
        test_bound_by_others(name, args, c.run.notes);
        check_back(args, c.run.notes);
        CHECK(loop_is_bound(name));
        check_back(args, c.run.notes); /* it is there already */
        unbind(name);

        /* As an earlier version has it on record. */
        CHECK_INT(json_object_deep_copy(json_get(json_at(c.run.notes, 0), "setup"), &setup, NULL), 0);
        json_object_object_del(setup, "file");
        json_object_object_del(setup, "inode");
        json_set(note, "setup", TAKE_PTR(setup));
        json_object_array_add(old, note);
        check_left(STEP_DETACH_LOOP, args, old, "which file it was is not on record");
        CHECK(!loop_is_bound(name));
}

int main(void) {
        if (!see_own_processes()) {
                puts("needs root");
                return 77;
        }
        CHECK(mkdtemp(top));
        file = strf("%s/file", top);
        was = strf("%s/was", top);
        CHECK(file && was);
        make_file();
        test_swap();
        int number = 1000 + (int) (now_monotonic() % 100000), made = ask_control(LOOP_CTL_ADD, number);
        _cleanup_free_ char *name = strf("loop%d", number);
        if (made >= 0 && bind_loop(name, file, 0) >= 0)
                test_loop(name);
        else
                puts("no loop devices here");
        if (made >= 0)
                (void) ask_control(LOOP_CTL_REMOVE, number);
        test_remove_tree(top);
        free(file);
        free(was);
        return EXIT_SUCCESS;
}
