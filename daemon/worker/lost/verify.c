/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions about what has been proven: of a slot now, and of the records. Nothing is written. */
#include <errno.h>

#include "base/format.h"
#include "daemon/worker/request.h"
#include "daemon/worker/verbs.h"
#include "daemon/worker/view.h"
#include "engine/chain.h"
#include "engine/last-seen.h"
#include "engine/state-dir.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "last-seen.h"
#include "lost.h"
#include "recorded.h"

/* A card that is up is asked about as it is. Of one that is not there is what its removal wrote down, or whoever saw it last: a removal
 * that proved it gone has had that forgotten. *ret_why (newly allocated, may be NULL): of an error, in words. */
static int subject_find(const Request *request, Subject *ret, char **ret_why) {
        _cleanup_(scope_done) Scope now = { 0 };
        _cleanup_json_ json_object *seen = NULL;

        int r = scope_find(request->topology, request->slot, &now);
        if (r < 0)
                return r;
        if (now.n_functions == 0) {
                const char *key = last_seen_key(request->port, request->slot_name);
                r = last_seen_load(key, &seen);
                bool remembered = r >= 0;
                if (r < 0 && r != -ENOENT) {
                        *ret_why = last_seen_left(key); /* it may be what is asked about */
                        return r;
                }
                r = recorded_subject(request->port, request->slot_name, remembered ? json_u64(seen, "seen_usec") ?: UINT64_MAX : 0, ret);
                if (r != 0)
                        return r;
                if (remembered) {
                        *ret = (Subject) { .scope = json_ref(json_get(seen, "scope")), .by = "last-seen" };
                        return 0;
                }
        }
        *ret = (Subject) { .scope = scope_probe_json(&now, request->topology), .by = scope_is_empty(&now) ? "none" : "card" };
        return 0;
}

/* A disk is in use that is gone, and nothing tells that it was not in this slot: of a card of which nobody has written anything down, or of one
 * that was not proved gone. Or *ret stays NULL: that is not so, and what has gone since the proof is none of the slot's. */
static int not_known(const Request *request, Subject *subject, json_object **ret) {
        json_object *since = json_get(subject->scope, "since");
        _cleanup_vanished_ VanishedList vanished = { 0 };

        int r = last_seen_vanished(request->topology, &vanished);
        if (r < 0)
                return r;
        if (vanished_may_be_of(&vanished, request->slot, subject->safe ? json_u64(since, "sequence") : 0))
                *ret = lost_vanished(&vanished);
        else if (subject->safe && request->slot->address)
                vanished_leave_out(&vanished, request->slot, true, subject->scope);
        return 0;
}

static json_object *answer_make(const Request *request, const Subject *subject, json_object *unknown) {
        json_object *o = json_object_new_object(), *report = NULL;
        SlotRegisters s;
        bool known = request->port && slot_registers_read(request->port, &s) >= 0;

        bool holds = probes_report(subject->scope, false, &report);
        json_set_str(o, "schema", "safe-remove/verify/1");
        json_set_str(o, "slot", request->slot_name);
        json_set_str(o, "port", request->port);
        json_set(o, "removal", NULL);
        if (subject->removal > 0)
                json_set_strf(o, "removal", "%ju", (uintmax_t) subject->removal);
        json_set_str(o, "subject", subject->by);
        /* A proof about nothing is none. */
        json_set_bool(o, "holds", holds && !unknown && !streq(subject->by, "none"));
        if (unknown)
                json_set(o, "not_known", json_ref(unknown));
        json_set_str(o, "power_led", known && s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention_led", known && s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set(o, "probes", report);
        json_set_u64(o, "asked_usec", now_wall());
        return o;
}

int worker_verify(WorkerIo *io, json_object *doc) {
        _cleanup_(request_done) Request request = { 0 };
        _cleanup_(subject_done) Subject subject = { 0 };
        _cleanup_json_ json_object *unknown = NULL;
        _cleanup_free_ char *why = NULL;

        int r = request_understand(io, doc, &request);
        if (r < 0)
                return r;
        r = subject_find(&request, &subject, &why);
        if (r >= 0)
                r = not_known(&request, &subject, &unknown);
        if (r < 0) {
                worker_send_error(io, "internal", why ?: format_strerror(r));
                return r;
        }
        _cleanup_json_ json_object *answer = answer_make(&request, &subject, unknown);
        view_restrict(answer, json_get(doc, "by"));
        worker_send_document(io, doc, json_text(answer));
        return 0;
}

int worker_certificates(WorkerIo *io) {
        json_object *report = NULL;

        int r = chain_verify_patiently(&report);
        if (r == -EAGAIN) {
                worker_send_error(io, "busy", "A removal is writing its certificate. Try again in a moment.");
                return r;
        }
        if (r < 0) {
                _cleanup_free_ char *text = strf("The records in %s cannot be read: %s.", state_dir(), format_strerror(r));
                worker_send_error(io, "internal", text ?: strerror(-r));
                return r;
        }
        worker_send(io, report);
        return 0;
}
