/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way back of memory that is taken offline block by block, as on kernels whose dax devices have no state, on the recorded machine
 * "hotplug": nothing there does anything with what is written, so what the step has asked the kernel for can be read afterwards. */
#include <errno.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "step/step.h"
#include "tests/unit/test.h"

#define MEMORY "/sys/devices/system/memory/memory"

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC, .offline_timeout_usec = 20 * USEC_PER_SEC };

static const char args_text[] =
        "{\"dax\": \"dax0.0\", \"node\": 1, \"block_size\": 134217728, \"region\": {\"name\": \"region0\", \"start\": 19595788288, "
        "\"targets\": [{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}, \"blocks\": [{\"id\": 149, \"zone\": \"Movable\"}, "
        "{\"id\": 147, \"zone\": \"Normal\"}, {\"id\": 146, \"zone\": \"Movable\"}]}";

static char *state_path(unsigned id) {
        return strf(MEMORY "%u/state", id);
}

static void put_block(unsigned id, const char *state, const char *zones) {
        _cleanup_free_ char *path = state_path(id), *zones_path = strf(MEMORY "%u/valid_zones", id);

        test_put(path, state);
        test_put(zones_path, zones);
}

static void check_block(unsigned id, const char *want) {
        _cleanup_free_ char *path = state_path(id), *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        CHECK_STR(text, want);
}

static void all_offline(void) {
        for (unsigned id = 146; id < 150; id++)
                put_block(id, "offline", "Normal Movable");
}

/* The step's revert ends with what the recorded kernel did not do: it takes the word and shows no zone. */
static void back(unsigned last, const char *word) {
        _cleanup_json_ json_object *args = NULL;
        StepRun run = { .limits = &limits, .ignore_cancel = true, .backwards = true };

        CHECK_INT(json_parse(args_text, strlen(args_text), &args), 0);
        CHECK_INT(step_offline_memory_ops.verify(args, &run), STEP_APPLIED);
        (void) step_offline_memory_ops.revert(args, &run);
        check_block(last, word);
        step_run_done(&run);
}

/* Lowest first, each by the word of its own zone; one that the plan does not have was offline, and stays so. */
static void test_zones(void) {
        all_offline();
        put_block(146, "offline", "Movable");
        back(146, "online_movable");
        check_block(148, "offline");
}

/* The driver is not done yet: its first block comes in a moment. */
static void test_probing(void) {
        all_offline();
        put_block(146, "offline", "Movable");
        CHECK_INT(rename(MEMORY "146", "/sys/devices/system/later"), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                usleep(300 * 1000);
                _exit(rename("/sys/devices/system/later", MEMORY "146") < 0);
        }
        uint64_t start = now_monotonic();
        back(146, "online_movable");
        CHECK(now_monotonic() - start < 8 * USEC_PER_SEC);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

/* Which blocks the recorded kernel has in their own zones once they are online; the others it puts elsewhere. */
static void revert_with(bool lowest, bool middle, bool highest, StepRun *run) {
        _cleanup_json_ json_object *args = NULL;

        all_offline();
        put_block(146, "offline", lowest ? "Movable" : "Normal");
        put_block(147, "offline", middle ? "Normal" : "Movable");
        put_block(149, "offline", highest ? "Movable" : "Normal");
        CHECK_INT(json_parse(args_text, strlen(args_text), &args), 0);
        CHECK_INT(step_offline_memory_ops.revert(args, run), -EIO);
        check_block(146, "online_movable");
        check_block(147, "online_kernel");
        check_block(149, "online_movable");
}

static void check_lost(const StepRun *run, size_t i, const char *want) {
        const char *text = json_object_get_string(json_at(run->lost, i));

        CHECK(text);
        if (!strstr(text, want))
                CHECK_STR(text, want);
}

/* One that does not come back keeps none of those above it offline. */
static void test_past_a_failure(void) {
        StepRun run = { .limits = &limits, .ignore_cancel = true, .backwards = true };

        revert_with(true, false, true, &run);
        CHECK(strstr(run.why, "memory147 did not come back into zone Normal"));
        CHECK_STR(run.remedy, "echo online_kernel > " MEMORY "147/state");
        CHECK_INT(json_len(run.lost), 0);
        step_run_done(&run);
}

/* The first is the failure, and the others are told with what is lost, each with its own word. */
static void test_failures(void) {
        StepRun run = { .limits = &limits, .ignore_cancel = true, .backwards = true };

        revert_with(false, false, false, &run);
        CHECK(strstr(run.why, "memory146 did not come back into zone Movable"));
        CHECK_INT(json_len(run.lost), 2);
        check_lost(&run, 0, "(echo online_kernel > " MEMORY "147/state)");
        check_lost(&run, 1, "(echo online_movable > " MEMORY "149/state)");
        step_run_done(&run);
}

int main(void) {
        test_zones();
        test_past_a_failure();
        test_failures();
        test_probing();
        return 0;
}
