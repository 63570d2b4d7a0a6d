/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a removal waits before it takes anything down, and for whom. */
#include <errno.h>

#include "base/clock.h"
#include "step/step.h"
#include "tests/unit/test.h"

static struct {
        unsigned asked, release_at, cancel_at; /* which question is answered with yes; 0: none */
        unsigned n_asked_cancel;
        uint64_t announced;
        bool hears, again;      /* the daemon says that listeners were told; they are told once more */
        json_object *notes;
} world;

static bool is_released(void *userdata) {
        return world.release_at > 0 && ++world.asked >= world.release_at;
}

/* A step that waits on and on fails the test by an ending that nobody expects, not by the patience of who runs it. */
#define LOOKS_MAX 40

static bool is_cancelled(void *userdata) {
        unsigned asked = ++world.n_asked_cancel;
        return asked > LOOKS_MAX || (world.cancel_at > 0 && asked >= world.cancel_at);
}

static void announce(void *userdata, uint64_t deadline, bool again) {
        world.announced = deadline;
        world.again = again;
}

static bool is_announced(void *userdata) {
        return world.hears;
}

static int note(StepRun *run, json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(world.notes, json_ref(json_at(notes, i)));
        return 0;
}

/* How many milliseconds it took. */
static uint64_t wait_for(const char *args_text, int expected) {
        _cleanup_json_ json_object *args = NULL;
        static const StepLimits limits = { 0 };
        StepRun run = { .limits = &limits, .released = is_released, .cancelled = is_cancelled, .announce = announce, .announced = is_announced, .note = note, .notes = world.notes };
        uint64_t start = now_monotonic();

        CHECK_INT(json_parse(args_text, strlen(args_text), &args), 0);
        CHECK_INT(step_announce_ops.apply(args, &run), expected);
        if (expected == 0)
                CHECK_INT(step_announce_ops.verify(args, &run), STEP_APPLIED);
        step_run_done(&run);
        return (now_monotonic() - start) / USEC_PER_MSEC;
}

static void begin(unsigned release_at, unsigned cancel_at) {
        json_object_put(world.notes);
        world = (typeof(world)) { .release_at = release_at, .cancel_at = cancel_at, .hears = true, .notes = json_object_new_array() };
}

#define DELAY(grace, delay) "{\"grace_sec\": " grace ", \"delay_sec\": " delay ", \"inhibitors\": [7]}"

static void test_limits(void) {
        uint64_t start = now_monotonic();

        begin(0, 0);
        CHECK(wait_for(DELAY("0", "1"), 0) >= 1000);
        CHECK(world.announced >= start + USEC_PER_SEC);
        CHECK_INT(json_len(world.notes), 2);
        CHECK(!world.again && json_flag(json_at(world.notes, 1), "heard"));
        /* The longer one of both. */
        begin(1, 0);
        CHECK(wait_for(DELAY("1", "0"), 0) >= 1000);
        begin(0, 0);
        CHECK(wait_for("{\"grace_sec\": 0, \"delay_sec\": 3600}", 0) < 60000);
}

/* Whom nobody keeps does not wait; and one who is kept does not wait for ever. */
static void test_released(void) {
        begin(1, 0);
        CHECK(wait_for(DELAY("0", "3600"), 0) < 60000);
        begin(3, 0);
        CHECK(wait_for(DELAY("0", "3600"), 0) >= 500);
        CHECK(world.announced > now_monotonic() + 3000 * USEC_PER_SEC);
        begin(1, 0);
        CHECK(wait_for(DELAY("1", "3600"), 0) >= 1000);
}

static void test_cancelled(void) {
        begin(0, 2);
        CHECK(wait_for(DELAY("0", "3600"), -ECANCELED) < 60000);
}

/* Another worker began to wait: what it promised is kept, and no more. */
static void test_resumed(void) {
        json_object *earlier = json_object_new_object();
        uint64_t now = now_monotonic();

        begin(0, 0);
        json_set_u64(earlier, "grace_until", now);
        json_set_u64(earlier, "delay_until", now + USEC_PER_SEC);
        json_object_array_add(world.notes, json_ref(earlier));
        uint64_t took = wait_for(DELAY("0", "3600"), 0);
        CHECK(took < 60000 && now_monotonic() >= now + USEC_PER_SEC);
        CHECK_INT(world.announced, now + USEC_PER_SEC);
        CHECK(!world.again);
        CHECK_INT(json_len(world.notes), 2);
        /* Listeners have heard of it by now; where nobody knows that, they are told once more. */
        CHECK(wait_for(DELAY("0", "3600"), 0) < 60000);
        CHECK(world.again);
        CHECK_INT(json_len(world.notes), 2);
        begin(0, 0);
        world.hears = false;
        CHECK(wait_for(DELAY("0", "1"), -ECANCELED) < 60000);
        CHECK(wait_for(DELAY("0", "0"), 0) < 60000);
        CHECK(!world.again);
        begin(0, 0);
        json_object_array_add(world.notes, json_ref(earlier));
        /* It was over. */
        json_set_u64(earlier, "delay_until", now);
        CHECK(wait_for(DELAY("0", "3600"), 0) < 60000);
        /* A time that nobody can have promised. */
        json_set_u64(earlier, "delay_until", UINT64_MAX);
        world.release_at = 1;
        CHECK(wait_for(DELAY("0", "3600"), 0) < 60000);
        CHECK(world.announced < now_monotonic() + 3601 * USEC_PER_SEC);
        json_object_put(earlier);
}

int main(void) {
        test_limits();
        test_released();
        test_cancelled();
        test_resumed();
        json_object_put(world.notes);
        return EXIT_SUCCESS;
}
