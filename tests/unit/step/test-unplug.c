/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a whole dax device, on the recorded machine "hotplug": nothing there does anything with what is written, so what the
 * step has asked the kernel for can be read afterwards. The device has memory146 to memory149. */
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "step/step.h"
#include "step/undo/region-moves.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define STATE "/sys/bus/dax/devices/dax0.0/state"
#define DRIVER_LINK "/sys/bus/dax/devices/dax0.0/driver"
#define BIND "/sys/bus/dax/drivers/kmem/bind"
#define MEMORY "/sys/devices/system/memory/memory"

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC, .offline_timeout_usec = 20 * USEC_PER_SEC };

typedef struct Case {
        StepRun run;
        json_object *args;
} Case;

static Case case_new(const char *was) {
        Case c = { .run = { .limits = &limits, .note = keep_notes, .ignore_cancel = true } };
        _cleanup_free_ char *text = strf("{\"dax\": \"dax0.0\", \"start\": 19595788288, \"was\": \"%s\", \"n_blocks\": 4, \"region\": "
                                         "{\"name\": \"region0\", \"start\": 19595788288, \"targets\": "
                                         "[{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}}", was);

        CHECK_INT(json_parse(text, strlen(text), &c.args), 0);
        return c;
}

static void case_done(Case *c) {
        json_object_put(c->args);
        json_object_put(c->run.notes);
        step_run_done(&c->run);
}

static void put(const char *text, const char *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");
        CHECK(f && fprintf(f, "%s\n", text) >= 0);
}

static void put_block(unsigned id, const char *state, const char *zone) {
        _cleanup_free_ char *path = strf(MEMORY "%u/state", id), *zones = strf(MEMORY "%u/valid_zones", id);

        put(state, path);
        put(zone, zones);
}

static void check_file(const char *path, const char *want) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        CHECK_STR(text, want);
}

static void check_block(unsigned id, const char *want) {
        _cleanup_free_ char *path = strf(MEMORY "%u/state", id);

        check_file(path, want);
}

/* The blocks as they are now are noted, and the device's word is written. */
static void take(Case *c, const char *was) {
        put(was, STATE);
        CHECK_INT(step_unplug_memory_ops.verify(c->args, &c->run), STEP_NOT_APPLIED);
        CHECK_INT(step_unplug_memory_ops.apply(c->args, &c->run), 0);
        check_file(STATE, "unplugged");
        CHECK_INT(step_unplug_memory_ops.verify(c->args, &c->run), STEP_APPLIED);
        CHECK_INT(json_len(c->run.notes), 1);
        c->run.backwards = true;
}

/* A driver that was bound anew, with the policy for new blocks off. */
static void bound_anew(void) {
        put("offline", STATE);
        for (unsigned id = 146; id < 150; id++) {
                _cleanup_free_ char *path = strf(MEMORY "%u/state", id);
                put("offline", path);
        }
}

static void back(Case *c) {
        CHECK_INT(step_unplug_memory_ops.verify(c->args, &c->run), STEP_PARTLY_APPLIED);
        CHECK_INT(step_unplug_memory_ops.revert(c->args, &c->run), 0);
        CHECK_INT(step_unplug_memory_ops.verify(c->args, &c->run), STEP_NOT_APPLIED);
}

static void test_all_alike(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");

        take(&c, "online_movable");
        bound_anew();
        back(&c);
        check_file(STATE, "online_movable");
        for (unsigned id = 146; id < 150; id++)
                check_block(id, "online_movable");
}

/* One in another zone, one that somebody keeps offline: each comes back as it was. */
/* Pages that the kernel has given up may be somebody's still: it would take them from him. Where that cannot be seen nothing is written. */
static void test_poisoned(void) {
        _cleanup_free_ char *folder = test_folder(), *meminfo = strf("%s/meminfo", folder), *nothing = strf("%s/nothing", folder);
        Case c = case_new("online_movable");

        put("online_movable", STATE);
        for (unsigned id = 146; id < 150; id++)
                put_block(id, "online", "Movable");
        CHECK_INT(write_file_durably(meminfo, "MemTotal:        1048576 kB\nHardwareCorrupted:     4 kB\n"), 0);
        CHECK_INT(write_file_durably(nothing, ""), 0);
        CHECK_INT(mount(meminfo, "/proc/meminfo", NULL, MS_BIND, NULL), 0);
        CHECK_INT(mount(nothing, "/proc/kpageflags", NULL, MS_BIND, NULL), 0);
        CHECK(step_unplug_memory_ops.apply(c.args, &c.run) < 0);
        check_file(STATE, "online_movable");
        check_block(146, "online");
        CHECK(strstr(c.run.why, "cannot be found out"));
        put("MemTotal:        1048576 kB\nHardwareCorrupted:     0 kB", meminfo);
        CHECK_INT(step_unplug_memory_ops.apply(c.args, &c.run), 0);
        check_file(STATE, "unplugged");
        case_done(&c);
        put("online_movable", STATE);
}

static void test_mixed(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");

        put_block(147, "online", "Normal Movable");
        put_block(148, "offline", "Normal Movable");
        take(&c, "online_movable");
        bound_anew();
        put_block(148, "online", "Movable"); /* as the word brings it */
        back(&c);
        check_file(STATE, "online_movable");
        check_block(146, "online_movable");
        check_block(147, "online_kernel");
        check_block(148, "offline");
        check_block(149, "online_movable");
        put_block(147, "online", "Movable");
        put_block(148, "online", "Movable");
}

/* A restoration, of what was noted when the memory had other numbers: each block is as it was at its place. */
static void test_elsewhere(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");
        RegionMove move = { .from = 0x470000000, .size = 0x20000000, .to = 0x490000000 };
        const RegionMoves moves = { .items = &move, .n = 1, .block_size = 128 << 20 };
        const char *noted = "[{\"memory\": {\"dax\": \"dax0.0\", \"size\": 536870912, \"block_size\": 134217728, \"region\": {\"name\": \"region0\", "
                            "\"start\": 19058917376, \"targets\": [{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}, \"blocks\": "
                            "[{\"id\": 145, \"zone\": \"Movable\"}, {\"id\": 143, \"zone\": \"Normal\"}], \"offline\": [144, 142]}}]";

        CHECK_INT(json_parse(noted, strlen(noted), &c.run.notes), 0);
        c.run.moves = &moves;
        c.run.backwards = c.run.restoring = true;
        put_block(147, "offline", "Normal Movable");
        bound_anew();
        put_block(148, "online", "Movable"); /* as the word brings it */
        back(&c);
        check_block(146, "offline");
        check_block(147, "online_kernel");
        check_block(148, "offline");
        check_block(149, "online_movable");
        for (unsigned id = 146; id < 150; id++)
                put_block(id, "online", "Movable");
}

/* Brought online by hand, of which the device's word knows nothing. */
static void test_by_hand(void) {
        _cleanup_(case_done) Case c = case_new("offline");

        put_block(149, "offline", "Normal Movable");
        take(&c, "offline");
        bound_anew();
        back(&c);
        check_file(STATE, "offline");
        check_block(146, "online_movable");
        check_block(149, "offline");
        put_block(149, "online", "Movable");
}

/* A word that would have the kernel put pages of its own where none may be stays away; the blocks are as they were. */
static void test_word_does_not_fit(void) {
        _cleanup_(case_done) Case c = case_new("online");

        put_block(148, "offline", "Normal Movable");
        take(&c, "online");
        bound_anew();
        back(&c);
        check_file(STATE, "offline");
        check_block(147, "online_movable");
        check_block(148, "offline");
        put_block(148, "online", "Movable");
}

/* The driver is not done yet: its attribute comes in a moment. */
static void test_probing(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");

        take(&c, "online_movable");
        bound_anew();
        CHECK_INT(rename(STATE, STATE ".later"), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                usleep(300 * 1000);
                _exit(rename(STATE ".later", STATE) < 0);
        }
        back(&c);
        check_file(STATE, "online_movable");
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

/* A worker that died, or whose write failed, between the driver's going and its coming: nobody else binds it. */
static void test_without_driver(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");
        char link[256] = "";

        take(&c, "online_movable");
        bound_anew();
        CHECK(readlink(DRIVER_LINK, link, sizeof(link) - 1) > 0);
        CHECK_INT(unlink(DRIVER_LINK), 0);
        CHECK_INT(rename(STATE, STATE ".later"), 0);
        put("", BIND);
        CHECK_INT(step_unplug_memory_ops.revert(c.args, &c.run), -EIO);
        check_file(BIND, "dax0.0");
        CHECK_STR(c.run.remedy, "echo dax0.0 > " BIND);

        CHECK_INT(unlink(BIND), 0);
        CHECK_INT(rename(STATE ".later", STATE), 0);
        CHECK_INT(symlink(link, DRIVER_LINK), 0);
        back(&c);
        check_file(STATE, "online_movable");
}

static void put_range(unsigned n, const char *start, const char *end, const char *page_offset) {
        _cleanup_free_ char *folder = strf("/sys/bus/dax/devices/dax0.0/mapping%u", n), *starts = strf("%s/start", folder),
                            *ends = strf("%s/end", folder), *offsets = strf("%s/page_offset", folder);

        CHECK(mkdir(folder, 0755) == 0 || errno == EEXIST);
        put(start, starts);
        put(end, ends);
        put(page_offset, offsets);
}

/* Of two ranges, the higher one first: memory147 between them is somebody else's. */
static void test_two_ranges(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");

        put_range(0, "0x4a0000000", "0x4afffffff", "0x0");
        put_range(1, "0x490000000", "0x497ffffff", "0x10000");
        put("402653184", "/sys/bus/dax/devices/dax0.0/size");
        put("0x4a0000000", "/sys/bus/dax/devices/dax0.0/resource");
        json_set_u64(c.args, "start", 0x4a0000000);
        put_block(147, "offline", "Normal");
        take(&c, "online_movable");
        json_object *memory = json_get(json_at(c.run.notes, 0), "memory");
        CHECK_INT(json_len(json_array(memory, "blocks")), 3);
        CHECK_INT(json_u64(json_at(json_array(memory, "blocks"), 0), "id"), 149);
        CHECK_INT(json_u64(json_at(json_array(memory, "blocks"), 2), "id"), 146);
        CHECK_INT(json_len(json_array(memory, "offline")), 0);
        CHECK_INT(json_len(json_array(memory, "ranges")), 2);
        CHECK_INT(json_u64(json_at(json_array(memory, "ranges"), 1), "start"), 0x490000000);
        bound_anew();
        back(&c);
        check_block(146, "online_movable");
        check_block(147, "offline");
        check_block(149, "online_movable");
}

/* Nothing was noted, so nothing was written. */
static void test_not_begun(void) {
        _cleanup_(case_done) Case c = case_new("online_movable");

        put("online_movable", STATE);
        c.run.backwards = true;
        CHECK_INT(step_unplug_memory_ops.verify(c.args, &c.run), STEP_NOT_APPLIED);
}

int main(void) {
        test_all_alike();
        test_poisoned();
        test_mixed();
        test_elsewhere();
        test_by_hand();
        test_word_does_not_fit();
        test_probing();
        test_without_driver();
        test_not_begun();
        test_two_ranges();
        return 0;
}
