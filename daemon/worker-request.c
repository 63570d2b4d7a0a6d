/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/worker-request.h"
#include "engine/state-dir.h"
#include "topology/select.h"

void request_done(Request *r) {
        json_object_put(r->doc);
        json_object_put(r->warnings);
        policy_done(&r->policy);
        if (r->topology)
                topology_free(r->topology);
        free(r->slot_name);
        free(r->port);
}

void worker_send_error(WorkerIo *io, const char *code, const char *message) {
        json_object *o = worker_line("error");

        json_set_str(o, "code", code);
        json_set_str(o, "message", message);
        worker_send(io, o);
}

static int fail(WorkerIo *io, int error, const char *code, const char *message) {
        worker_send_error(io, code, message ?: strerror(-error));
        return error;
}

static int policy_understand(WorkerIo *io, Request *r) {
        _cleanup_free_ char *why = NULL;

        r->warnings = json_object_new_array();
        int q = policy_load(&r->policy, r->warnings);
        if (q < 0)
                return fail(io, q, "internal", NULL);
        q = policy_apply_options(&r->policy, json_get(r->doc, "options"), &why);
        return q < 0 ? fail(io, q, "bad-option", why) : 0;
}

static int slot_understand(WorkerIo *io, Request *r) {
        const char *target = json_str(r->doc, "target");
        _cleanup_free_ char *why = NULL;

        if (!target)
                return fail(io, -EINVAL, "malformed", "the request names no target");
        int q = topology_load(&r->topology);
        if (q < 0) {
                _cleanup_free_ char *text = strf("the machine cannot be looked at: %s", strerror(-q));
                return fail(io, q, "internal", text);
        }
        q = topology_select(r->topology, target, &r->slot, &why);
        if (q < 0)
                return fail(io, q, "internal", NULL);
        if (q != SELECT_FOUND)
                return fail(io, -ENXIO, select_result_to_string((SelectResult) q), why);

        r->slot_name = strdup(r->slot->name);
        r->port = r->slot->port ? strdup(r->slot->port) : NULL;
        return !r->slot_name || (r->slot->port && !r->port) ? -ENOMEM : 0;
}

int request_understand(WorkerIo *io, json_object *doc, Request *ret) {
        Request r = { .doc = json_ref(doc) };

        int q = policy_understand(io, &r);
        if (q >= 0)
                q = slot_understand(io, &r);
        if (q < 0) {
                request_done(&r);
                return q;
        }
        *ret = r;
        return 0;
}

int request_look_again(Request *r) {
        Topology *t = NULL;

        int q = topology_load(&t);
        if (q < 0)
                return q;
        topology_free(r->topology);
        r->topology = t;
        r->slot = r->port ? topology_slot_of_port(t, r->port) : topology_slot(t, r->slot_name);
        return r->slot ? 0 : -ENODEV;
}

/* The session of the process that asked, 0 when nobody did or it has ended. */
static int caller_session(json_object *doc) {
        uint64_t pid = json_u64(json_get(doc, "by"), "pid");
        pid_t sid = pid > 0 && pid <= INT32_MAX ? getsid((pid_t) pid) : 0;

        return sid > 1 ? sid : 0;
}

PlanRequest request_for_planner(const Request *r) {
        return (PlanRequest) {
                .target = json_str(r->doc, "target"),
                .trigger = json_str(r->doc, "trigger") ?: "command",
                .policy = &r->policy,
                .policy_warnings = r->warnings,
                .caller_session = caller_session(r->doc),
                .state_dir = state_dir(),
        };
}
