/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells listeners (PrepareForRemoval on the bus) and gives them the time that the policy grants, before anything is
 * taken down; and more to those who have asked for it (plan/find/inhibitor.h), until all of them are through. Until when is written down: nothing in the
 * kernel changes, and a worker that goes on for another waits for what is left of that time, or nobody could say when it will be over. */
#include "base/clock.h"
#include "step/step.h"

enum {
        LOOK_MSEC = 500,        /* the time between two looks at what the daemon has said */
        FIRST_LOOK_MSEC = 20,   /* until it has said that listeners were told, which a worker after this one has to know */
};

static void announce_describe(json_object *args, char **ret_does, char **ret_undo) {
        uintmax_t grace = json_u64(args, "grace_sec"), delay = json_u64(args, "delay_sec");
        size_t n = json_len(json_array(args, "inhibitors"));

        *ret_does = n > 0 ? strf("announce the removal, wait %ju s, and up to %ju s for %zu inhibitor%s", grace, delay, n, n == 1 ? "" : "s")
                          : strf("announce the removal and wait %ju s", grace);
}

static int announce_verify(json_object *args, StepRun *run) {
        bool over = run->announced_until > 0 && now_monotonic() >= run->announced_until;

        return over ? STEP_APPLIED : STEP_NOT_APPLIED;
}

typedef struct Times {
        uint64_t grace, delay;  /* monotonic; the delay is over when nobody asks for it any more */
} Times;

/* As this removal has promised it, whichever worker did. */
static int times_of(json_object *args, StepRun *run, Times *ret) {
        json_object *noted = json_at(run->notes, 0);
        bool delays = json_len(json_array(args, "inhibitors")) > 0;
        uint64_t now = now_monotonic();

        *ret = (Times) {
                .grace = now + json_u64(args, "grace_sec") * USEC_PER_SEC,
                .delay = now + (delays ? json_u64(args, "delay_sec") * USEC_PER_SEC : 0),
        };
        /* Later than what would be promised now: not of this boot, or not ours. */
        if (json_u64(noted, "grace_until") > 0 && json_u64(noted, "grace_until") <= ret->grace && json_u64(noted, "delay_until") <= ret->delay) {
                *ret = (Times) { .grace = json_u64(noted, "grace_until"), .delay = json_u64(noted, "delay_until") };
                return 0;
        }
        if (noted || (ret->grace == now && ret->delay == now))
                return 0;
        json_object *note = json_object_new_object();
        json_set_u64(note, "grace_until", ret->grace);
        json_set_u64(note, "delay_until", ret->delay);
        return step_note(run, note);
}

static bool is_waited_for(const Times *times, const StepRun *run) {
        uint64_t now = now_monotonic();

        return now < times->grace || (now < times->delay && !(run->released && run->released(run->userdata)));
}

static bool was_heard(const StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_flag(json_at(run->notes, i), "heard"))
                        return true;
        return false;
}

/* Not before somebody has: who dies in between has them told twice, which they may be, and not never. */
static int note_heard(StepRun *run, bool *heard) {
        json_object *note = json_object_new_object();

        *heard = true;
        json_set_bool(note, "heard", true);
        return step_note(run, note);
}

static int announce_apply(json_object *args, StepRun *run) {
        bool heard = was_heard(run);
        uint64_t start = now_monotonic();
        Times times;

        int r = times_of(args, run, &times);
        if (r < 0)
                return r;
        run->announced_until = times.grace > times.delay ? times.grace : times.delay;
        if (run->announce)
                run->announce(run->userdata, run->announced_until, heard);

        uint64_t all = run->announced_until > start ? (run->announced_until - start) / USEC_PER_SEC : 0;
        while (is_waited_for(&times, run)) {
                if (!heard && run->announced && run->announced(run->userdata) && (r = note_heard(run, &heard)) < 0)
                        return r;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled in the grace time, before anything was taken down");
                step_pause(run, heard || !run->announced ? LOOK_MSEC : FIRST_LOOK_MSEC);
                uint64_t passed = (now_monotonic() - start) / USEC_PER_SEC;
                step_progress(run, passed > all ? all : passed, all, "waiting for %s", now_monotonic() < times.grace ? "listeners" : "inhibitors");
        }
        if (run->announced_until > now_monotonic())
                run->announced_until = now_monotonic();
        return 0;
}

const StepOps step_announce_ops = {
        .needs_card = true,
        .args = "grace_sec:u",
        .describe = announce_describe,
        .apply = announce_apply,
        .verify = announce_verify,
};
