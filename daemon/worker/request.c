/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "engine/state-dir.h"
#include "plan/declaration.h"
#include "topology/select/select-name.h"
#include "topology/select/select.h"
#include "request.h"

enum {
        SLOTS_MAX = 64, /* in one request; each is looked for among all */
};

void request_done(Request *r) {
        json_object_put(r->doc);
        json_object_put(r->warnings);
        policy_done(&r->policy);
        if (r->topology)
                topology_free(r->topology);
        free(r->slot_name);
        free(r->port);
        request_drop_others(r);
        free(r->others);
        free(r->other_names);
        free(r->other_ports);
        free(r->under_way);
        if (r->libraries)
                libraries_free(r->libraries);
        if (r->card)
                library_call_free(r->card);
        json_object_put(r->writers);
        json_object_put(r->unread);
        json_object_put(r->inhibitors);
}

void request_drop_others(Request *r) {
        for (size_t i = 0; i < r->n_others; i++) {
                free(r->other_names[i]);
                free(r->other_ports[i]);
        }
        r->n_others = 0;
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

int request_add_slot(Request *r, const Slot *slot) {
        size_t n = r->n_others + 1;
        const Slot **slots = reallocarray(r->others, n, sizeof(Slot *));
        if (!slots)
                return -ENOMEM;
        r->others = slots;
        char **names = reallocarray(r->other_names, n, sizeof(char *));
        if (!names)
                return -ENOMEM;
        r->other_names = names;
        char **ports = reallocarray(r->other_ports, n, sizeof(char *));
        if (!ports)
                return -ENOMEM;
        r->other_ports = ports;

        _cleanup_free_ char *name = strdup(slot->name), *port = slot->port ? strdup(slot->port) : NULL;
        if (!name || (slot->port && !port))
                return -ENOMEM;
        slots[n - 1] = slot;
        names[n - 1] = TAKE_PTR(name);
        ports[n - 1] = TAKE_PTR(port);
        r->n_others = n;
        return 0;
}

static int take_slot(Request *r, const Slot *slot) {
        if (r->slot)
                return request_add_slot(r, slot);
        r->slot = slot;
        r->slot_name = strdup(slot->name);
        r->port = slot->port ? strdup(slot->port) : NULL;
        return !r->slot_name || (slot->port && !r->port) ? -ENOMEM : 0;
}

static const Slot *slot_at(const Request *r, size_t i) {
        return i == 0 ? r->slot : r->others[i - 1];
}

/* Why this slot cannot go together with one that is named before it. NULL: it can. */
static char *clash(const Request *r, const char *target, const Slot *slot) {
        if (slot->nmem || r->slot->nmem)
                return strf("slot %s is a memory module's socket, which has no power of its own: name it alone", slot->nmem ? slot->name : r->slot->name);
        for (size_t i = 0; i <= r->n_others; i++) {
                const Slot *other = slot_at(r, i);
                if (other == slot)
                        return strf("'%s' is in slot %s, which is named already: name each slot once", target, slot->name);
                bool inside = topology_slot_is_within(r->topology, slot->name, other);
                if (inside || topology_slot_is_within(r->topology, other->name, slot))
                        return strf("slot %s is inside of slot %s, whose removal takes it along: name slot %s alone", inside ? slot->name : other->name,
                                    inside ? other->name : slot->name, inside ? other->name : slot->name);
        }
        return NULL;
}

static int select_slot(WorkerIo *io, Request *r, const char *target) {
        const Slot *slot = NULL;
        _cleanup_free_ char *why = NULL;

        int q = topology_select(r->topology, target, &slot, &why);
        if (q < 0)
                return fail(io, q, "internal", NULL);
        if (q != SELECT_FOUND)
                return fail(io, -ENXIO, select_result_to_string((SelectResult) q), why);
        why = r->slot ? clash(r, target, slot) : NULL;
        return why ? fail(io, -EINVAL, "malformed", why) : take_slot(r, slot);
}

static bool has_card(const Topology *t, const Slot *slot) {
        for (size_t i = 0; i < t->n_functions; i++)
                if (t->functions[i].slot && topology_slot_is_within(t, t->functions[i].slot, slot))
                        return true;
        return false;
}

/* All of them have a card, or none has: then what their removal left may be finished. */
static int check_cards(WorkerIo *io, const Request *r) {
        const Slot *empty = NULL, *occupied = NULL;

        for (size_t i = 0; i <= r->n_others; i++)
                if (has_card(r->topology, slot_at(r, i)))
                        occupied = slot_at(r, i);
                else
                        empty = slot_at(r, i);
        if (r->n_others == 0 || !empty || !occupied)
                return 0;
        _cleanup_free_ char *why = strf("there is no card with power in slot %s, but one in slot %s: ask for each alone", empty->name, occupied->name);
        return fail(io, -ENXIO, "unknown", why);
}

/* They are at it on other CPUs meanwhile; and who asks has little in his memory yet, of which each of their processes is a copy. */
static int look(Request *r, Topology **ret) {
        if (r->libraries)
                libraries_free(TAKE_PTR(r->libraries));
        int q = r->asks_libraries ? libraries_ask(NULL, &r->libraries) : 0;
        return q < 0 ? q : topology_load(ret);
}

/* Three processes are started to ask the libraries: not for a slot that is not there, or for what is no name. */
static bool may_be_there(const char *target) {
        _cleanup_(topology_freep) Topology *slots = NULL;
        _cleanup_(name_done) Name name = { 0 };

        if (!target || name_parse(target, &name) == -EINVAL)
                return false;
        return name.kind != NAME_SLOT || topology_load_slots(&slots) < 0 || topology_slot(slots, name.text);
}

static bool all_may_be_there(const Request *r) {
        json_object *targets = json_array(r->doc, "targets");
        bool all = json_len(targets) > 0 || may_be_there(json_str(r->doc, "target"));

        for (size_t i = 0; i < json_len(targets) && all; i++)
                all = may_be_there(json_object_get_string(json_at(targets, i)));
        return all;
}

static int slots_understand(WorkerIo *io, Request *r) {
        json_object *targets = json_array(r->doc, "targets");
        size_t n = json_len(targets);
        bool asks = r->asks_libraries;

        if (n == 0 && !json_str(r->doc, "target"))
                return fail(io, -EINVAL, "malformed", "the request names no target");
        if (n > SLOTS_MAX)
                return fail(io, -EINVAL, "malformed", "the request names too many targets");
        r->asks_libraries = asks && all_may_be_there(r);
        int q = look(r, &r->topology);
        if (q < 0) {
                _cleanup_free_ char *text = strf("the machine cannot be looked at: %s", strerror(-q));
                return fail(io, q, "internal", text);
        }
        if (n == 0)
                q = select_slot(io, r, json_str(r->doc, "target"));
        for (size_t i = 0; i < n && q >= 0; i++)
                q = select_slot(io, r, json_object_get_string(json_at(targets, i)) ?: "");
        if (q >= 0 && asks && !r->asks_libraries)
                return fail(io, -EAGAIN, "unknown", "the slot has only just come: ask once more");
        return q < 0 || n == 0 ? q : check_cards(io, r);
}

static int understand(WorkerIo *io, json_object *doc, bool asks_libraries, Request *ret) {
        Request r = { .doc = json_ref(doc), .asks_libraries = asks_libraries, .inhibitors = json_ref(json_array(doc, "inhibitors")) };

        int q = policy_understand(io, &r);
        if (q >= 0)
                q = slots_understand(io, &r);
        if (q < 0) {
                request_done(&r);
                return q;
        }
        *ret = r;
        return 0;
}

int request_understand(WorkerIo *io, json_object *doc, Request *ret) {
        return understand(io, doc, false, ret);
}

int request_understand_removal(WorkerIo *io, json_object *doc, Request *ret) {
        return understand(io, doc, true, ret);
}

int request_understand_press(WorkerIo *io, json_object *doc, const char *port, Request *ret) {
        Request r = { .doc = json_ref(doc), .asks_libraries = true };

        int q = policy_understand(io, &r);
        if (q >= 0) {
                q = topology_load_slots(&r.topology);
                const Slot *slot = q >= 0 ? topology_slot_of_port(r.topology, port) : NULL;
                if (q >= 0)
                        q = slot ? take_slot(&r, slot) : -ENODEV;
                if (q < 0)
                        (void) fail(io, q, "no-slot", "the port whose button was pressed has no slot any more");
        }
        if (q < 0) {
                request_done(&r);
                return q;
        }
        *ret = r;
        return 0;
}

static const Slot *find_again(const Topology *t, const char *port, const char *name) {
        return port ? topology_slot_of_port(t, port) : topology_slot(t, name);
}

int request_look_again(Request *r) {
        Topology *t = NULL;

        int q = look(r, &t);
        if (q < 0)
                return q;
        topology_free(r->topology);
        r->topology = t;
        r->n_under_way = 0;
        /* What the cards were asked is of the look before: the next plan asks again. */
        if (r->card)
                library_call_free(TAKE_PTR(r->card));
        r->slot = find_again(t, r->port, r->slot_name);
        bool all = r->slot;
        for (size_t i = 0; i < r->n_others; i++) {
                r->others[i] = find_again(t, r->other_ports[i], r->other_names[i]);
                all = all && r->others[i] && has_card(t, r->others[i]);
        }
        return all ? 0 : -ENODEV;
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
                .targets = r->n_others > 0 ? json_array(r->doc, "targets") : NULL,
                .others = r->others, .n_others = r->n_others,
                .under_way = r->under_way, .n_under_way = r->n_under_way,
                .writers = r->writers, .unread = r->unread, .inhibitors = r->inhibitors,
                .trigger = json_str(r->doc, "trigger") ?: "command",
                .policy = &r->policy,
                .policy_warnings = r->warnings,
                .caller_session = caller_session(r->doc),
                .state_dir = state_dir(),
                .declared = declarations_about_memory,
        };
}
