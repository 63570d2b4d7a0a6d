/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/text/output.h"
#include "metrics-text.h"
#include "verbs.h"

/* For the plans of all slots together: one that is not made in time is none, and its card counts as one that cannot be removed. */
#define PLANS_USEC (60 * USEC_PER_SEC)

/* A slot with a removal is not planned: that would look at what is being taken down. */
static void add_plan(sd_bus *bus, json_object *slot, uint64_t deadline) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_object *plan = NULL;
        const char *state = json_str(slot, "state");
        uint64_t now = now_monotonic();

        if (!json_flag(slot, "occupied"))
                return;
        if (streq_ptr(state, "removing") || streq_ptr(state, "restoring")) {
                json_set_str(slot, "verdict", "removal-running");
                return;
        }
        _cleanup_free_ char *target = strf("slot:%s", json_str(slot, "name") ?: "");
        if (!target || now >= deadline || client_try_plan(bus, target, deadline - now, &plan, &e) < 0)
                return;
        json_set(slot, "verdict", json_ref(json_get(plan, "verdict")));
        json_set(slot, "blockers", json_ref(json_get(plan, "blockers")));
}

/* What the daemon says, or nothing: a file with half of it would be taken for all. */
static int ask_daemon(sd_bus *bus, json_object *o, sd_bus_error *reterr) {
        _cleanup_json_ json_object *manager = NULL, *slots = NULL, *removals = NULL, *history = NULL;
        _cleanup_error_ sd_bus_error no_history = SD_BUS_ERROR_NULL;

        int r = client_properties(bus, BUS_PATH, BUS_MANAGER, &manager, reterr);
        if (r >= 0)
                r = client_try_objects(bus, &slots, &removals, reterr);
        if (r < 0)
                return r;
        uint64_t deadline = now_monotonic() + PLANS_USEC;
        for (size_t i = 0; i < json_len(slots); i++)
                add_plan(bus, json_at(slots, i), deadline);
        if (client_try_history(bus, 1, &history, &no_history) >= 0)
                json_set(o, "totals", json_ref(json_get(history, "totals")));
        json_set(o, "manager", TAKE_PTR(manager));
        json_set(o, "slots", TAKE_PTR(slots));
        return 0;
}

/* It is not started for this: who has stopped it wants it stopped, and that is what is told. */
static ExitCode collect(json_object *o) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;
        int r = client_is_there(bus) ? ask_daemon(bus, o, &e) : -EHOSTUNREACH;
        json_set_bool(o, "up", r >= 0);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

ExitCode verb_metrics(const Args *a) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "version", PROJECT_VERSION);
        ExitCode collected = collect(o);
        _cleanup_free_ char *text = metrics_text(o);
        if (!text)
                return fail_memory();
        if (!a->output) {
                fputs(text, stdout);
                return collected;
        }
        int r = output_write_file(a->output, text, 0644);
        if (r < 0)
                return fail_file(a->output, r);
        return collected;
}
