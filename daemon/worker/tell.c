/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a removal tells the daemon, line by line (docs/PROTOCOL.md). */
#include "base/clock.h"
#include "daemon/worker/removal/removal.h"
#include "plan/scope/scope.h"
#include "view.h"

enum {
        PLAN_MAX = 12 * 1024 * 1024, /* bytes of the plan that is told, twice in a line: what a user may be told, and well below the daemon's lines */
        SAID_MAX = 16,
        LIST_MAX = 2 * 1024 * 1024,  /* of each of its lists, where it is longer */
};

/* For the journal, a line of one library: removals alone tell them, which not everybody may ask for; a plan is told what is in the way of it, and
 * to who asked. The same question brings the same lines. */
void tell_said(void *userdata, const char *line) {
        Removal *m = userdata;
        size_t length = strcspn(line, ":");
        json_object *o;

        if (!m->said)
                m->said = json_object_new_object();
        if (json_has(m->said, line) || json_object_object_length(m->said) > SAID_MAX)
                return;
        bool more = json_object_object_length(m->said) == SAID_MAX;
        json_set_bool(m->said, line, true);
        _cleanup_free_ char *library = strndup(line, length);
        o = worker_line("library");
        json_set_str(o, "library", more || !line[length] ? NULL : library);
        json_set_str(o, "text", more ? "the libraries have logged more than that" : line);
        worker_send(m->io, o);
}

void tell_unaudited(Removal *m, const char *why) {
        json_object *o = worker_line("library");

        json_set_str(o, "library", NULL);
        json_set_strf(o, "text", "the kernel's audit log does not have what was forced: %s", why);
        worker_send(m->io, o);
}

static void tell_step(void *userdata, size_t n, StepPhase phase, const char *text, uint64_t usec) {
        Removal *m = userdata;
        json_object *o = worker_line("step");

        m->step = n;
        json_set_u64(o, "n", n);
        json_set_u64(o, "of", m->plan->n_steps);
        json_set_str(o, "name", step_type_to_string(m->plan->steps[n].type));
        json_set_str(o, "phase", step_phase_to_string(phase));
        json_set_str(o, "text", text);
        json_set_u64(o, "usec", usec);
        worker_send(m->io, o);
}

void tell_state(Removal *m, const char *state) {
        json_object *o = worker_line("state");

        json_set_str(o, "state", state);
        worker_send(m->io, o);
}

static void tell_progress(void *userdata, uint64_t done, uint64_t of, const char *text) {
        Removal *m = userdata;
        json_object *o = worker_line("progress");

        json_set_u64(o, "n", m->step);
        json_set_u64(o, "done", done);
        json_set_u64(o, "of", of);
        json_set_str(o, "text", text);
        worker_send(m->io, o);
}

static void tell_announce(void *userdata, uint64_t deadline_usec, bool again) {
        Removal *m = userdata;
        json_object *o = worker_line("announce");

        json_set_u64(o, "deadline_usec", now_wall() + (deadline_usec - now_monotonic()));
        if (again)
                json_set_bool(o, "again", true);
        worker_send(m->io, o);
}

static bool is_announced(void *userdata) {
        WorkerIo *io = ((Removal *) userdata)->io;

        worker_receive(io, 0);
        return io->announced;
}

static bool is_cancelled(void *userdata) {
        return worker_cancelled(((Removal *) userdata)->io);
}

static bool is_released(void *userdata) {
        WorkerIo *io = ((Removal *) userdata)->io;

        worker_receive(io, 0);
        return io->released;
}

/* For everybody: the daemon, which asks nobody's folders, tells some people this. */
static json_object *public_copy(json_object *document) {
        json_object *copy = NULL;

        if (json_object_deep_copy(document, &copy, NULL) < 0)
                return NULL;
        view_restrict_for(copy, VIEW_OF_EVERYBODY);
        return copy;
}

static size_t length_of(json_object *o) {
        const char *text = json_text(o);

        return text ? strlen(text) : SIZE_MAX;
}

static json_object *begin_of(json_object *list) {
        json_object *some = json_object_new_array();
        size_t bytes = 0;

        for (size_t i = 0; i < json_len(list); i++) {
                size_t length = length_of(json_at(list, i));
                if (length > LIST_MAX - bytes)
                        break;
                bytes += length;
                json_object_array_add(some, json_ref(json_at(list, i)));
        }
        return some;
}

/* How many users there are to be named, and how many things of theirs, is theirs to choose: a plan must not be too long to be told. All of
 * it is in its record. Its steps are what the daemon goes by. */
static json_object *plan_to_tell(json_object *plan) {
        static const char *const lists[] = { "holders", "blockers", "warnings" };

        if (length_of(plan) <= PLAN_MAX)
                return json_ref(plan);

        json_object *told = json_object_new_object(), *left_out = json_object_new_object();

        json_object_object_foreach(plan, key, value)
                json_set(told, key, json_ref(value));
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                json_object *all = json_array(plan, lists[i]), *some = begin_of(all);
                json_set_u64(left_out, lists[i], json_len(all) - json_len(some));
                json_set(told, lists[i], some);
        }
        json_set(told, "left_out", left_out);
        return told;
}

void tell_plan(Removal *m) {
        _cleanup_json_ json_object *plan = plan_to_tell(m->plan->doc);
        json_object *o = worker_line("plan");

        json_set(o, "plan", json_ref(plan));
        json_set(o, "public", public_copy(plan));
        worker_send(m->io, o);
}

void tell_led(Removal *m, LedState state) {
        for (size_t i = 0; i < plan_n_slots(m->plan); i++) {
                const char *port = json_str(plan_slot(m->plan, i), "port");
                json_object *o = worker_line("led");
                SlotRegisters s;
                bool known = port && slot_registers_read(port, &s) >= 0;

                json_set_str(o, "state", led_state_to_string(state));
                json_set_str(o, "power", known && s.has_power_indicator ? indicator_to_string(s.power) : NULL);
                json_set_str(o, "attention", known && s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
                if (plan_n_slots(m->plan) > 1) {
                        json_set_str(o, "slot", json_str(plan_slot(m->plan, i), "name"));
                        json_set_str(o, "port", port);
                }
                worker_send(m->io, o);
        }
}

static void add_outer(const Topology *t, const Slot *slot, json_object *array) {
        const Slot *outer = topology_slot(t, slot->outer);

        for (size_t i = 0; outer && i < t->n_slots; i++) {
                json_object *o = json_object_new_object();
                json_set_str(o, "name", outer->name);
                json_set_str(o, "port", outer->port);
                json_object_array_add(array, o);
                outer = topology_slot(t, outer->outer);
        }
}

void tell_target(Removal *m) {
        _cleanup_json_ json_object *outer = json_object_new_array();
        _cleanup_(scope_done) Scope scope = { 0 };
        json_object *o = worker_line("target");
        const Request *r = &m->request;

        json_set(o, "by", json_ref(json_get(m->request.doc, "by"))); /* with what was found out of him */
        json_set_str(o, "slot", m->request.slot->name);
        json_set_str(o, "port", m->request.slot->port);
        bool known = scope_find_all(r->topology, r->slot, r->others, r->n_others, &scope) >= 0;
        json_set(o, "card", known ? scope_card_json(&scope) : NULL);
        if (known && r->n_others > 0)
                json_set(o, "slots", scope_slots_json(&scope));
        /* The slots around each, from the nearest on. */
        add_outer(r->topology, r->slot, outer);
        for (size_t i = 0; i < r->n_others; i++)
                add_outer(r->topology, r->others[i], outer);
        if (json_len(outer) > 0)
                json_set(o, "outer", json_ref(outer));
        worker_send(m->io, o);
}

void tell_waiting(Removal *m) {
        json_object *o = worker_line("waiting");

        json_set_str(o, "message", "another removal is running, this one is next");
        worker_send(m->io, o);
}

void tell_end(Removal *m, Outcome outcome, const char *code, const char *message, json_object *remedy) {
        static const char *const keys[] = { "message", "remedy", "lost", "disturbed" };
        _cleanup_json_ json_object *public = json_object_new_object();
        json_object *o = worker_line("end");

        json_set_str(o, "outcome", outcome_to_string(outcome));
        json_set_str(o, "code", code);
        json_set_str(o, "message", message);
        json_set(o, "remedy", json_ref(remedy));
        json_set(o, "lost", m->journal && m->journal->lost ? json_ref(m->journal->lost) : json_object_new_array());
        json_set(o, "disturbed", m->journal ? journal_disturbed(m->journal) : json_object_new_array());
        json_set_str(o, "certificate", *m->certificate ? m->certificate : NULL);
        json_set_u64(o, "usec", now_monotonic() - m->started);
        if (m->unwritten)
                json_set_bool(o, "unwritten", true);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(public, keys[i], json_ref(json_get(o, keys[i])));
        json_set(o, "public", public_copy(public));
        worker_send(m->io, o);
}

static void tell_engine_state(void *userdata, const char *state) {
        tell_state(userdata, state);
}

EngineListener tell_listener(Removal *m) {
        return (EngineListener) { .step = tell_step, .state = tell_engine_state, .userdata = m };
}

StepRun tell_step_run(Removal *m) {
        return (StepRun) {
                .limits = &m->request.policy.limits,
                .cancelled = is_cancelled,
                .progress = tell_progress,
                .announce = tell_announce,
                .announced = is_announced,
                .released = is_released,
                .userdata = m,
        };
}
