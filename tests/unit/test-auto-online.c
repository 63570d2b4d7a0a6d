/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2", whose kernel takes every word: blocks 146 to 149 are the card's. */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/memory-block.h"
#include "step/step.h"
#include "test.h"

#define BLOCKS "/sys/devices/system/memory"

static json_object *noted;

static int note(StepRun *run, json_object *o) {
        json_object_array_add(noted, json_ref(o));
        return 0;
}

static json_object *notes_of(StepRun *run, uint64_t n) {
        return n == 3 ? noted : NULL;
}

static const StepLimits limits = { .write_timeout_usec = 5 * USEC_PER_SEC };

static StepRun new_run(void) {
        return (StepRun) { .limits = &limits, .note = note, .notes_of = notes_of, .notes = noted };
}

static json_object *args_of(const char *value, const char *was) {
        json_object *args = json_object_new_object();

        json_set_str(args, "value", value);
        json_set_str(args, "was", was);
        if (!streq(value, "offline"))
                json_set_u64(args, "of", 3);
        return args;
}

static void check_state(unsigned id, const char *wanted) {
        _cleanup_free_ char *path = strf(BLOCKS "/memory%u/state", id), *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        CHECK_STR(text, wanted);
}

static void add_block(unsigned id, const char *state) {
        _cleanup_free_ char *folder = strf(BLOCKS "/memory%u", id), *path = strf("%s/state", folder), *zones = strf("%s/valid_zones", folder);

        CHECK_INT(mkdir(folder, 0755), 0);
        test_put(path, state);
        test_put(zones, "Normal Movable\n");
}

static void drop_block(unsigned id) {
        _cleanup_free_ char *folder = strf(BLOCKS "/memory%u", id), *path = strf("%s/state", folder), *zones = strf("%s/valid_zones", folder);

        CHECK_INT(unlink(path), 0);
        CHECK_INT(unlink(zones), 0);
        CHECK_INT(rmdir(folder), 0);
}

static void turn_off(void) {
        _cleanup_json_ json_object *args = args_of("offline", "online_movable");
        StepRun run = new_run();

        CHECK_INT(step_ops(STEP_AUTO_ONLINE)->apply(args, &run), 0);
        CHECK_INT(json_len(noted), 1);
        step_run_done(&run);
}

/* Forward by the step that puts the policy back, backward by the undo of the one that turned it off. */
static void turn_on(bool backward, const char *word, size_t n_lost) {
        _cleanup_json_ json_object *args = backward ? args_of("offline", word) : args_of(word, "offline");
        const StepOps *ops = step_ops(STEP_AUTO_ONLINE);
        StepRun run = new_run();

        CHECK_INT((backward ? ops->revert : ops->apply)(args, &run), 0);
        CHECK_INT(json_len(run.lost), n_lost);
        if (n_lost > 0)
                CHECK(strstr(json_object_get_string(json_at(run.lost, 0)), "memory202"));
        step_run_done(&run);
}

static void test_newcomers(bool backward) {
        noted = json_object_new_array();
        test_put(BLOCKS "/memory147/state", "offline\n"); /* was there, and somebody keeps it offline */
        turn_off();
        add_block(200, "offline\n");
        add_block(201, "online\n");
        CHECK_INT(mkdir(BLOCKS "/memory202", 0755), 0); /* can be neither read nor written: told */
        CHECK_INT(mkdir(BLOCKS "/memory202/state", 0755), 0);
        turn_on(backward, "online_movable", 1);
        check_state(200, "online_movable");
        check_state(201, "online");
        check_state(147, "offline");
        test_put(BLOCKS "/memory200/state", "offline\n");
        turn_on(backward, "offline", 0); /* the administrator wants new memory offline */
        check_state(200, "offline");
        drop_block(200);
        drop_block(201);
        CHECK_INT(rmdir(BLOCKS "/memory202/state"), 0);
        CHECK_INT(rmdir(BLOCKS "/memory202"), 0);
        json_object_put(noted);
        noted = NULL;
}

/* A restoration opens the frame by undoing the step that turned the policy on, and closes it by undoing the one that turned it off: which was
 * there in between the first one knows. The card's own blocks come back as they were. */
static void test_restoration(void) {
        _cleanup_json_ json_object *open = args_of("online_movable", "offline"), *close = args_of("offline", "online_movable"), *own = NULL;
        StepRun opening = new_run(), closing = new_run();

        noted = json_object_new_array();
        CHECK_INT(json_parse("[[203, 204]]", strlen("[[203, 204]]"), &own), 0);
        json_set(close, "own", json_ref(own));
        test_put(AUTO_ONLINE_PATH, "online_movable\n");
        test_put(BLOCKS "/memory147/state", "offline\n");
        opening.notes = NULL;
        CHECK_INT(step_ops(STEP_AUTO_ONLINE)->revert(open, &opening), 0);
        CHECK_INT(json_len(noted), 1);
        add_block(200, "offline\n");
        add_block(204, "offline\n");
        closing.n = 5;
        CHECK_INT(step_ops(STEP_AUTO_ONLINE)->revert(close, &closing), 0);
        check_state(200, "online_movable");
        check_state(204, "offline");
        check_state(147, "offline");
        CHECK(!opening.lost && !closing.lost);
        drop_block(200);
        drop_block(204);
        step_run_done(&opening);
        step_run_done(&closing);
        json_object_put(noted);
        noted = NULL;
}

/* Somebody else has written another word over ours: it stays, and what has come is online all the same. */
static void test_policy_of_others(void) {
        _cleanup_free_ char *now = NULL;

        noted = json_object_new_array();
        turn_off();
        add_block(200, "offline\n");
        test_put(AUTO_ONLINE_PATH, "online_kernel\n");
        turn_on(true, "online_movable", 0);
        CHECK_INT(auto_online_policy_read(&now), 0);
        CHECK_STR(now, "online_kernel");
        check_state(200, "online_movable");
        drop_block(200);
        json_object_put(noted);
        noted = NULL;
}

/* A record from before there was such a note. */
static void test_without_note(void) {
        noted = json_object_new_array();
        add_block(200, "offline\n");
        turn_on(true, "online_movable", 0);
        check_state(200, "offline");
        drop_block(200);
        json_object_put(noted);
}

int main(void) {
        test_newcomers(true);
        test_newcomers(false);
        test_restoration();
        test_policy_of_others();
        test_without_note();
        return EXIT_SUCCESS;
}
