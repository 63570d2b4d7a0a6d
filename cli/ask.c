/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "cli/text/output.h"
#include "ask.h"
#include "follow.h"
#include "removal.h"

/* Those that run, quietly: NULL where nobody says. */
static json_object *ask_running(sd_bus *bus, json_object **ret_slots) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        if (client_try_objects(bus, &slots, &removals, &e) < 0)
                return NULL;
        if (ret_slots)
                *ret_slots = TAKE_PTR(slots);
        return removals_running(removals);
}

/* Another host's is one more login: what was found out over it and what is asked for next share it. */
static sd_bus *kept;

static json_object *find_joined(const Args *a, json_object *running, json_object *slots) {
        json_object *joined = NULL;

        for (size_t i = 0; i < a->n_targets; i++) {
                json_object *found = removal_find(running, slots, a->targets[i]);
                if (!found || (joined && found != joined))
                        return NULL;
                joined = found;
        }
        return joined;
}

ExitCode ask_joins(const Args *a, const char *kind, char **ret_digest) {
        _cleanup_json_ json_object *slots = NULL, *running = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        if (a->force || a->sanitize || a->ignore_inhibitors)
                return CODE_DONE;
        ExitCode code = client_connect_for_details(&bus);
        if (code != CODE_DONE)
                return code;
        running = ask_running(bus, &slots);
        json_object *joined = find_joined(a, running, slots);
        const char *digest = json_str(joined, "digest");
        if (!digest || !*digest || !streq_ptr(json_str(joined, "kind"), kind)) {
                kept = TAKE_PTR(bus);
                return CODE_DONE;
        }
        *ret_digest = strdup(digest);
        return *ret_digest ? CODE_DONE : fail_memory();
}

/* "is running already, step 2/6 offline-memory", or "started". Newly allocated. */
static char *begun_text(json_object *joined) {
        if (!joined)
                return strdup("started");
        if (json_u64(joined, "step_count") == 0)
                return strdup("is running already");
        return strf("is running already, step %ju/%ju %s", (uintmax_t) json_u64(joined, "step_index") + 1, (uintmax_t) json_u64(joined, "step_count"),
                    json_str(joined, "step") ?: "");
}

static ExitCode accepted(sd_bus *bus, const char *path, const char *noun, json_object *running) {
        _cleanup_free_ char *id = bus_name_of_path(path);
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        if (output.json != JSON_OFF) {
                removal_print_now(bus, path);
                return CODE_DONE;
        }
        /* By its slot, as everywhere: a bare number that is an id may name another slot. */
        (void) client_properties(bus, path, BUS_REMOVAL, &properties, &e);
        _cleanup_free_ char *name = shell_quoted(json_str(properties, "slot") ?: id ?: "");
        _cleanup_free_ char *begun = begun_text(json_find(running, "id", id));
        output_line(stdout, "%s %s %s%s%s; see: %s status %s\n", noun, id ?: "?", begun, client_host() ? " on " : "", client_host() ?: "", client_command(), name);
        return CODE_DONE;
}

enum {
        /* For the daemon to be reached again, and from then on for the request to become a removal (the daemon takes 20 s at most to find out whose
         * slot it is about). */
        REACH_SEC = 90,
        BEGIN_SEC = 30,
        LOOK_MSEC = 500,
};

static char *target_of(const Args *a) {
        _cleanup_free_ char *all = NULL;

        for (size_t i = 0; i < a->n_targets; i++)
                if (text_add(&all, " ", "%s", a->targets[i]) < 0)
                        return NULL;
        return TAKE_PTR(all);
}

/* Is that what we have asked for? One that runs, and that is of the same card by the same user, is: the daemon would answer with it. Of those that
 * have ended only this machine's clock tells. */
static bool is_ours(json_object *removal, const char *target, const char *kind, uint64_t asked_usec) {
        bool runs = !streq_ptr(json_str(removal, "state"), "ended"), remote = client_host() != NULL;

        if (!streq_ptr(json_str(removal, "trigger"), "command") || !streq_ptr(json_str(removal, "kind"), kind))
                return false;
        if (!remote && json_u64(removal, "by_uid") != geteuid())
                return false;
        /* Of a path the daemon does not tell everybody. */
        bool same = strchr(target, '/') || streq_ptr(json_str(removal, "target"), target);
        bool since = !remote && json_u64(removal, "started_usec") >= asked_usec;
        return same && (since || (runs && !strchr(target, '/')));
}

/* By connections of its own: the one that was lost comes back by itself. 1: found. */
static int look_for(const char *target, const char *kind, uint64_t asked_usec, char **ret_path) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        int r = client_open(&bus);
        if (r >= 0)
                r = client_try_objects(bus, &slots, &removals, &e);
        for (size_t i = 0; r >= 0 && i < json_len(removals); i++)
                if (is_ours(json_at(removals, i), target, kind, asked_usec))
                        return sd_bus_path_encode(BUS_REMOVAL_PREFIX, json_str(json_at(removals, i), "id") ?: "", ret_path) < 0 ? -ENOMEM : 1;
        return r < 0 ? r : 0;
}

/* The connection ended before an answer came. A second request might remove a card that somebody has put in since: we look, and do not ask again. */
static ExitCode find_accepted(const Args *a, Follow *f, const char *noun, uint64_t asked_usec, char **ret_path) {
        const char *kind = streq(noun, "restoration") ? "restore" : "remove";
        uint64_t deadline = now_monotonic() + REACH_SEC * USEC_PER_SEC;
        _cleanup_free_ char *target = target_of(a);
        bool reached = false;

        if (!target)
                return fail_memory();
        if (f)
                progress_note(&f->progress, "the connection ended before the request was answered; looking whether it was accepted");
        while (now_monotonic() < deadline && !(f && f->signal)) {
                int r = look_for(target, kind, asked_usec, ret_path);
                if (r > 0)
                        return CODE_DONE;
                if (r == 0 && !reached)
                        deadline = now_monotonic() + BEGIN_SEC * USEC_PER_SEC;
                reached = reached || r == 0;
                if (!f)
                        (void) poll(NULL, 0, LOOK_MSEC);
                else if (sd_event_run(f->event, LOOK_MSEC * USEC_PER_MSEC) < 0)
                        break;
        }
        return fail(CODE_UNREACHABLE, NULL, reached ? "the connection ended before the request was answered, and no %s of '%s' by you is running: it has "
                    "not begun, or has ended; nothing was asked for again; see: %s status" : "the connection ended before the request was answered, and the "
                    "daemon cannot be reached; whether a %s of '%s' runs is not known; see: %s status", noun, target, client_command());
}

/* running: those that did before it was asked for. What one of them is at was said before we listened. */
static ExitCode follow(Follow *f, const char *path, const char *noun, json_object *running) {
        _cleanup_free_ char *id = bus_name_of_path(path);
        json_object *joined = json_find(running, "id", id);
        _cleanup_free_ char *begun = begun_text(joined);

        if (joined && f->listen.bus) {
                _cleanup_json_ json_object *event = json_object_new_object();
                client_add_report(f->listen.bus, id, event);
                json_set_str(event, "type", "plan");
                progress_event(&f->progress, event);
        }
        /* It may have nothing to do, or be refused: then nothing has started. */
        f->progress.started_note = strf("%s %s %s%s%s%s", noun, id ?: "?", begun, client_host() ? " on " : "", client_host() ?: "",
                                        f->progress.live ? "; Ctrl-C leaves it running" : "");
        return follow_run(f, path);
}

static ExitCode ask_alone(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path)) {
        _cleanup_json_ json_object *running = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        ExitCode code = client_connect_to_change(&bus);
        uint64_t asked_usec = now_wall();
        if (code == CODE_DONE) {
                running = ask_running(bus, NULL);
                code = ask(bus, a, &path);
        }
        if (code == CODE_DONE && !path) {
                bus = sd_bus_close_unref(bus);
                code = find_accepted(a, NULL, noun, asked_usec, &path);
                if (code == CODE_DONE)
                        code = client_connect(&bus);
        }
        return code == CODE_DONE ? accepted(bus, path, noun, running) : code;
}

ExitCode ask_and_wait(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path), json_object **ret,
                      char **ret_leds) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        ExitCode code = client_connect_to_change(&bus);
        uint64_t asked_usec = now_wall();
        if (code != CODE_DONE)
                return code;
        _cleanup_json_ json_object *running = ask_running(bus, NULL);
        _cleanup_follow_ Follow f = { 0 };
        code = follow_prepare(&f, bus);
        if (code == CODE_DONE)
                code = ask(bus, a, &path);
        if (code == CODE_DONE && !path)
                code = find_accepted(a, &f, noun, asked_usec, &path);
        if (code == CODE_DONE)
                code = follow(&f, path, noun, running);
        if (code == CODE_DETACHED) {
                progress_done(&f.progress);
                /* Interrupting the wait is not a wish to interrupt the removal: half-way is the worst place to be surprised. */
                _cleanup_free_ char *name = shell_quoted(f.name);
                return fail(code, NULL, "%s %s goes on; see: %s status %s; to stop it: %s cancel %s", noun, f.id, client_command(), name,
                            client_command(), name);
        }
        if (code != CODE_DONE)
                return code;

        /* What the worker read back last of all. The slot object, for want of that, is as old as the daemon's last look. */
        _cleanup_free_ char *leds = f.leds || !f.listen.bus ? NULL : removal_leds(f.listen.bus, json_str(f.result, "slot"));
        *ret = json_ref(f.result);
        if (ret_leds)
                *ret_leds = f.leds ? strdup(f.leds) : TAKE_PTR(leds);
        return CODE_DONE;
}

ExitCode ask_and_follow(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path)) {
        _cleanup_json_ json_object *removal = NULL;
        _cleanup_free_ char *leds = NULL;

        if (a->no_wait)
                return ask_alone(a, noun, ask);
        ExitCode code = ask_and_wait(a, noun, ask, &removal, &leds);
        return code == CODE_DONE ? removal_report(removal, leds) : code;
}

static bool is_vetoed(json_object *plan) {
        json_object *blockers = json_array(plan, "blockers");

        for (size_t i = 0; i < json_len(blockers); i++)
                if (!streq_ptr(json_str(json_at(blockers, i), "code"), "INHIBITED"))
                        return false;
        return json_len(blockers) > 0;
}

ExitCode exit_code_of_plan(json_object *plan) {
        return is_vetoed(plan) ? CODE_VETOED : exit_code_of_verdict(json_str(plan, "verdict"));
}

ExitCode ask_plan(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret), json_object **ret) {
        _cleanup_bus_ sd_bus *bus = TAKE_PTR(kept);

        ExitCode code = bus ? CODE_DONE : client_connect_for_details(&bus);
        return code == CODE_DONE ? ask(bus, a, ret) : code;
}

ExitCode ask_for_plan(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret),
                      void (*print)(json_object *plan, const Args *a)) {
        _cleanup_json_ json_object *plan = NULL;

        ExitCode code = ask_plan(a, ask, &plan);
        if (code != CODE_DONE)
                return code;

        print(plan, a);
        return exit_code_of_plan(plan);
}
