/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Undoes the ending of holders, by the notes: starts the units again, and reports the processes that are not started again. */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "holders/process.h"
#include "step/evict/end-holder.h"
#include "step/evict/units.h"

enum {
        /* The manager tells nobody but its bus when a unit has stopped. */
        POLL_MSEC = 200,
};

/* As in end-unit.c: having the manager read its files anew takes its time. */
#define SPARE_USEC (20 * USEC_PER_SEC)

int end_spare(StepRun *run, const char *unit) {
        json_object *note = json_object_new_object();

        json_set_str(note, "spare", unit);
        int r = step_note(run, note);
        return r < 0 ? r : unit_spare(run, unit);
}

static int state_of(StepRun *run, const char *unit, bool *ret_up, bool *ret_stopping) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        const UnitInfo *u;

        int r = unit_show(run, unit, &infos, &u);
        if (r < 0)
                return r;
        *ret_up = unit_info_is_up(u);
        *ret_stopping = streq(u->active, "deactivating");
        return 0;
}

/* Waits for a stop that is under way. 1: it does not come to its end, and its manager has been kept from killing it. */
static int wait_stopped(StepRun *run, json_object *note) {
        uint64_t now = now_monotonic(), until = now + time_for(json_u64(note, "wait_usec")), kill_at = json_u64(note, "kill_at_usec");
        const char *unit = json_str(note, "stop");
        bool up, stopping;

        if (kill_at > 0 && until + SPARE_USEC > kill_at)
                until = kill_at > now + SPARE_USEC ? kill_at - SPARE_USEC : now;
        for (;;) {
                int r = state_of(run, unit, &up, &stopping);
                if (r < 0 || !stopping)
                        return r;
                now = now_monotonic();
                if (now >= until)
                        break;
                step_progress(run, 0, 0, "waiting for %s to stop, to start it again", unit);
                step_pause(run, POLL_MSEC);
        }
        if (kill_at > 0 && !unit_is_spared(unit))
                (void) end_spare(run, unit);
        return 1;
}

/* Those of `names` that are not up. */
static int find_down(StepRun *run, json_object *names, json_object **ret) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        _cleanup_json_ json_object *down = json_object_new_array();

        int r = json_len(names) > 0 ? units_show(run, names, &infos) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < infos.n_items; i++)
                if (!unit_info_is_up(&infos.items[i]))
                        names_add(down, infos.items[i].id);
        *ret = TAKE_PTR(down);
        return 0;
}

static char *names_text(json_object *names) {
        char *text = strdup("");

        for (size_t i = 0; i < json_len(names); i++) {
                _cleanup_free_ char *name = shell_quoted(json_object_get_string(json_at(names, i)));
                (void) text_add(&text, " ", "%s", name);
        }
        return text;
}

/* 1: had to be started; 0: all were up. */
static int start_again(StepRun *run, json_object *names) {
        _cleanup_json_ json_object *down = NULL, *still = NULL;
        _cleanup_free_ char *text = NULL;

        int r = find_down(run, names, &down);
        if (r < 0 || json_len(down) == 0)
                return r;
        text = names_text(down);
        step_progress(run, 0, 0, "starting %s again", text);
        int started = units_start(run, down);
        r = started == 0 || started == -ETIME ? find_down(run, down, &still) : started;
        if (r >= 0 && json_len(still) == 0 && started == -ETIME)
                step_lost(run, "%s: the start is under way and has not come to its end (systemctl status %s)", text, text);
        else if (r >= 0 && json_len(still) > 0)
                r = step_fail(run, -EIO, "%s did not stay up", json_object_get_string(json_at(still, 0)));
        if (r < 0)
                step_remedy(run, "systemctl start %s", text);
        return r < 0 ? r : 1;
}

static int undo_stop(StepRun *run, json_object *note) {
        _cleanup_json_ json_object *gone = NULL;
        const char *unit = json_str(note, "stop");

        int r = wait_stopped(run, note);
        if (r > 0) {
                step_lost(run, "%s was asked to stop and has not: what is left of it goes on, until it ends by itself", unit);
                return 0;
        }
        if (r < 0)
                return r;
        if (unit_is_spared(unit))
                (void) unit_unspare(run, unit);
        r = start_again(run, json_get(note, "units"));
        if (r >= 0)
                r = find_down(run, json_get(note, "passing"), &gone);
        for (size_t i = 0; r >= 0 && i < json_len(gone); i++)
                step_lost(run, "%s was stopped, and cannot be started again: it was made at run time",
                          json_object_get_string(json_at(gone, i)));
        return r;
}

bool end_was_killed(const StepRun *run, int pid, uint64_t start_time) {
        for (size_t i = json_len(run->notes); i-- > 0;) {
                json_object *note = json_at(run->notes, i);

                if (json_u64(note, "pid") == (uint64_t) pid && json_u64(note, "start_time") == start_time && json_u64(note, "signal") == SIGKILL)
                        return true;
        }
        return false;
}

/* It lives, and may have a signal of ours that it has not heard, since it hangs in the kernel: it ends as soon as it comes back, when nobody speaks of us any
 * more. */
static void tell_pending(StepRun *run, json_object *note, int dirfd) {
        uint64_t pid = json_u64(note, "pid"), start_time = json_u64(note, "start_time"), signal = json_u64(note, "signal");
        ProcessStat st;

        if (step_has_noted_process(run, "unsent", pid, start_time) || process_stat(dirfd, &st) < 0 || process_stat_ended(&st))
                return;
        if (signal == SIGKILL || (signal == SIGTERM && st.state == 'D' && !end_was_killed(run, (int) pid, start_time)))
                step_lost(run, "process %ju (%s) was sent %s and has not ended: it hangs in the kernel, and ends when it comes back", (uintmax_t) pid,
                          json_str(note, "comm") ?: "?", signal == SIGKILL ? "SIGKILL" : "SIGTERM");
}

static int undo_signal(StepRun *run, json_object *note) {
        _cleanup_close_ int dirfd = -EBADF;
        const char *unit = json_str(note, "unit");
        uint64_t pid = json_u64(note, "pid");

        int open = process_open((int) pid, json_u64(note, "start_time"), &dirfd, NULL);
        if (open != -ESRCH) {
                if (open >= 0)
                        tell_pending(run, note, dirfd);
                return 0; /* it did not obey, or was not even sent it */
        }
        int r = start_again(run, json_get(note, "units"));
        if (r == 0)
                step_lost(run, "process %ju (%s%s%s) was ended and is not started again", (uintmax_t) pid, json_str(note, "comm") ?: "?",
                          unit ? ", " : "", unit ?: "");
        return r < 0 ? r : 0;
}

/* Whatever kept us from it, the system manager that does not answer for one: those that are up stay so. */
static void start_remedy(StepRun *run, json_object *names) {
        _cleanup_free_ char *text = names_text(names);

        if (json_len(names) > 0 && text)
                step_remedy(run, "systemctl start %s", text);
}

int end_undo(StepRun *run) {
        _cleanup_json_ json_object *down = json_object_new_array();
        int result = 0;

        for (size_t i = json_len(run->notes); i-- > 0;) {
                json_object *note = json_at(run->notes, i), *units = json_get(note, "units");
                int r = json_has(note, "stop") ? undo_stop(run, note) : json_has(note, "signal") ? undo_signal(run, note) : 0;
                for (size_t k = 0; r < 0 && k < json_len(units); k++)
                        names_add(down, json_object_get_string(json_at(units, k)));
                result = result < 0 ? result : r;
        }
        start_remedy(run, down);
        return result;
}

/* One that does not stop has been told as lost. */
static bool is_back(StepRun *run, const char *unit) {
        bool up, stopping;

        return state_of(run, unit, &up, &stopping) >= 0 && (up || stopping);
}

bool end_is_undone(StepRun *run) {
        _cleanup_json_ json_object *down = json_object_new_array();

        for (size_t i = 0; i < json_len(run->notes); i++) {
                json_object *note = json_at(run->notes, i), *units = json_get(note, "units");
                const char *stopped = json_str(note, "stop");
                bool up = false, stopping = false;

                if (stopped && state_of(run, stopped, &up, &stopping) >= 0 && stopping)
                        continue;
                if (json_has(note, "signal") && process_open((int) json_u64(note, "pid"), json_u64(note, "start_time"), NULL, NULL) != -ESRCH)
                        continue;
                for (size_t k = 0; k < json_len(units); k++)
                        if (!is_back(run, json_object_get_string(json_at(units, k))))
                                names_add(down, json_object_get_string(json_at(units, k)));
        }
        start_remedy(run, down);
        return json_len(down) == 0;
}

int end_unspare(StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++) {
                const char *unit = json_str(json_at(run->notes, i), "spare");
                bool up, stopping;

                if (!unit || !unit_is_spared(unit) || state_of(run, unit, &up, &stopping) < 0)
                        continue;
                int r = stopping ? 0 : unit_unspare(run, unit);
                if (r < 0)
                        return r;
        }
        return 0;
}
