/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2", with memory of its own on it, whose kernel takes every word. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/memory/memory-block.h"
#include "step/step.h"
#include "tests/unit/test.h"

#define BLOCKS "/sys/devices/system/memory"

static json_object *noted;

/* Of whichever step: one of them finds what another has noted. */
static int note(StepRun *run, json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(noted, json_ref(json_at(notes, i)));
        return 0;
}

static json_object *notes_of(StepRun *run, uint64_t n) {
        return n == 3 ? noted : NULL;
}

static const StepLimits limits = { .write_timeout_usec = 5 * USEC_PER_SEC };
static json_object *takes_down;

static StepRun new_run(void) {
        return (StepRun) { .limits = &limits, .note = note, .notes_of = notes_of, .notes = noted, .takes_down = takes_down };
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
static void turn_on(bool backward, const char *word, size_t n_lost, const char *told) {
        _cleanup_json_ json_object *args = backward ? args_of("offline", word) : args_of(word, "offline");
        const StepOps *ops = step_ops(STEP_AUTO_ONLINE);
        StepRun run = new_run();

        CHECK_INT((backward ? ops->revert : ops->apply)(args, &run), 0);
        CHECK_INT(json_len(run.lost), n_lost);
        if (n_lost > 0)
                CHECK(strstr(json_object_get_string(json_at(run.lost, 0)), told));
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
        turn_on(backward, "online_movable", 1, "memory202");
        check_state(200, "online_movable");
        check_state(201, "online");
        check_state(147, "offline");
        test_put(BLOCKS "/memory200/state", "offline\n");
        test_put(AUTO_ONLINE_PATH, "offline\n");
        turn_on(backward, "offline", 0, NULL); /* the administrator wants new memory offline */
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

static void check_policy(const char *word) {
        _cleanup_free_ char *now = NULL;

        CHECK_INT(auto_online_policy_read(&now), 0);
        CHECK_STR(now, word);
}

/* Somebody else has written another word over ours: it stays, and what has come is online all the same. */
static void test_policy_of_others(void) {
        noted = json_object_new_array();
        turn_off();
        add_block(200, "offline\n");
        test_put(AUTO_ONLINE_PATH, "online_kernel\n");
        turn_on(true, "online_movable", 1, "somebody has set");
        check_policy("online_kernel");
        check_state(200, "online_movable");
        drop_block(200);
        json_object_put(noted);
        noted = NULL;

        /* Before it was turned off: that is the word which is put back. */
        noted = json_object_new_array();
        _cleanup_json_ json_object *args = args_of("offline", "online_movable");
        const StepOps *ops = step_ops(STEP_AUTO_ONLINE);
        StepRun run = new_run();
        CHECK_INT(ops->apply(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_APPLIED);
        CHECK_INT(ops->revert(args, &run), 0);
        check_policy("online_kernel");
        step_run_done(&run);

        /* And over ours on the way forward: it is left, which is told, and nothing is left to be done. */
        run = new_run();
        CHECK_INT(ops->apply(args, &run), 0);
        step_run_done(&run);
        test_put(AUTO_ONLINE_PATH, "online\n");
        turn_on(false, "online_movable", 1, "somebody has set");
        check_policy("online");
        json_object_put(noted);
        noted = NULL;
        test_put(AUTO_ONLINE_PATH, "online_movable\n");
}

/* A record from before there was such a note. */
static void test_without_note(void) {
        noted = json_object_new_array();
        add_block(200, "offline\n");
        turn_on(true, "online_movable", 0, NULL);
        check_state(200, "offline");
        drop_block(200);
        json_object_put(noted);
}

static void check_lost(const StepRun *run, size_t n, const char *text) {
        CHECK_STR(json_object_get_string(json_at(run->lost, n)), text);
}

/* A device elsewhere is taken off and put back meanwhile, under its old numbers. What somebody has set offline stays so, and is told; the
 * card's come back by other steps. */
static void test_came_back(bool backward) {
        _cleanup_json_ json_object *args = backward ? args_of("offline", "online_movable") : args_of("online_movable", "offline");
        static const char own[] = "{\"blocks\": [{\"id\": 149}, {\"id\": 148}]}";
        const StepOps *ops = step_ops(STEP_AUTO_ONLINE);

        noted = json_object_new_array();
        CHECK_INT(json_parse(own, strlen(own), &takes_down), 0);
        for (unsigned id = 160; id < 166; id++)
                add_block(id, id == 165 ? "offline\n" : "online\n");
        turn_off();
        for (unsigned id = 160; id < 166; id++)
                if (id != 162 && id != 163)
                        drop_block(id);
        for (unsigned id = 148; id < 150; id++)
                drop_block(id);
        for (unsigned id = 160; id < 166; id++)
                if (id != 162 && id != 163)
                        add_block(id, "offline\n");
        for (unsigned id = 148; id < 150; id++)
                add_block(id, "offline\n");
        test_put(BLOCKS "/memory162/state", "offline\n");
        test_put(BLOCKS "/memory163/state", "offline\n");

        StepRun run = new_run();
        CHECK_INT((backward ? ops->revert : ops->apply)(args, &run), 0);
        check_state(160, "online_movable");
        check_state(161, "online_movable");
        check_state(162, "offline");
        check_state(163, "offline");
        check_state(164, "online_movable");
        check_state(165, "offline"); /* as it was */
        check_state(148, "offline");
        check_state(149, "offline");
        CHECK_INT(json_len(run.lost), 1);
        check_lost(&run, 0, "memory162 to memory163, which were online before, have been set offline by somebody and are left so (for n in "
                   "$(seq 162 163); do echo online_movable > /sys/devices/system/memory/memory$n/state; done)");
        step_run_done(&run);
        for (unsigned id = 160; id < 166; id++)
                drop_block(id);
        for (unsigned id = 148; id < 150; id++)
                drop_block(id);
        for (unsigned id = 148; id < 150; id++)
                add_block(id, "online\n");
        json_object_put(TAKE_PTR(takes_down));
        json_object_put(TAKE_PTR(noted));
}

/* It can be read, and whoever writes to it waits until `*ret` is closed (or /proc/sys/fs/lease-break-time is over, 45 s). */
static void add_hanging_block(unsigned id, int *ret) {
        _cleanup_free_ char *path = strf(BLOCKS "/memory%u/state", id);

        add_block(id, "offline\n");
        *ret = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(*ret >= 0);
        CHECK_INT(fcntl(*ret, F_SETLEASE, F_RDLCK), 0);
}

/* Somebody has the lock of all memory and does not give it back: that is waited for once, and told once. */
static void test_hanging(void) {
        const StepLimits short_limits = { .write_timeout_usec = USEC_PER_SEC };
        _cleanup_json_ json_object *args = args_of("offline", "online_movable");
        int leases[64];
        uint64_t start;

        CHECK(signal(SIGIO, SIG_IGN) != SIG_ERR);
        noted = json_object_new_array();
        turn_off();
        for (unsigned id = 200; id < 264; id++)
                add_hanging_block(id, &leases[id - 200]);
        StepRun run = new_run();
        run.limits = &short_limits;
        start = now_monotonic();
        CHECK_INT(step_ops(STEP_AUTO_ONLINE)->revert(args, &run), 0);
        CHECK(now_monotonic() - start < 40 * USEC_PER_SEC); /* 64 of them would take 64 s, or the 45 s of their leases */
        CHECK_INT(json_len(run.lost), 1);
        check_lost(&run, 0, "memory200 to memory263, which were added while new memory was kept offline, are offline still (for n in "
                   "$(seq 200 263); do echo online_movable > /sys/devices/system/memory/memory$n/state; done)");
        step_run_done(&run);
        for (unsigned id = 200; id < 264; id++) {
                close(leases[id - 200]);
                drop_block(id);
        }
        json_object_put(TAKE_PTR(noted));
}

/* Numbers of folders rise in it, as they do in the kernel's own. */
static void make_memory(void) {
        CHECK_INT(mount("memory", BLOCKS, "tmpfs", 0, NULL), 0);
        test_put(BLOCKS "/block_size_bytes", "8000000\n");
        test_put(AUTO_ONLINE_PATH, "online_movable\n");
        for (unsigned id = 146; id < 150; id++)
                add_block(id, "online\n");
}

int main(void) {
        make_memory();
        test_newcomers(true);
        test_newcomers(false);
        test_restoration();
        test_policy_of_others();
        test_without_note();
        test_came_back(true);
        test_came_back(false);
        test_hanging();
        return EXIT_SUCCESS;
}
