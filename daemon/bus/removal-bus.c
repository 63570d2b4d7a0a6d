/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/caller/answer.h"
#include "daemon/caller/bus-error.h"
#include "daemon/manager/removals.h"
#include "daemon/strv.h"
#include "event-bus.h"
#include "removal-bus.h"
#include "rights-bus.h"

/* Everybody reads it, and a path may lead through a closed folder: the report says that to who may know. */
static const char *public_target(const Removal *r) {
        return r->target && strchr(r->target, '/') ? r->slot : r->target;
}

/* As /proc tells everybody, or nobody. */
static const char *asker_text(const Removal *r, const char *key) {
        return json_flag(r->by, "private") ? NULL : json_str(r->by, key);
}

static const char *text_of(const Removal *r, const char *property) {
        const struct {
                const char *property;
                const char *value;
        } texts[] = {
                { "Id", r->id },
                { "Slot", r->slot },
                { "Target", public_target(r) },
                { "Kind", removal_kind_to_string(r->kind) },
                { "Trigger", trigger_to_string(r->trigger) },
                { "State", removal_state_to_string(r->state) },
                { "Step", r->step },
                { "Outcome", outcome_to_string(r->outcome) },
                { "Code", r->code },
                { "Digest", json_str(r->plan, "digest") },
                { "Verdict", json_str(r->plan, "verdict") },
                { "Certificate", r->certificate },
                { "BySession", asker_text(r, "session") },
                { "ByUnit", asker_text(r, "unit") },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(texts[i].property, property))
                        return texts[i].value ?: "";
        return "";
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", text_of(userdata, property));
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Removal *r = userdata;
        const struct {
                const char *property;
                uint64_t value;
        } numbers[] = {
                { "StepIndex", r->step_index },
                { "StepCount", r->step_count },
                { "Holders", json_u64(r->plan, "holders") },
                { "Blockers", json_u64(r->plan, "blockers") },
                { "Warnings", json_u64(r->plan, "warnings") },
                { "ByUid", json_u64(r->by, "uid") },
        };

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (streq(numbers[i].property, property))
                        return sd_bus_message_append(reply, "u", (uint32_t) numbers[i].value);
        return -ENOENT; /* the vtable has no other */
}

static int get_age(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", removal_age(userdata));
}

static int get_cancelable(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Removal *r = userdata;

        return sd_bus_message_append(reply, "b", r->state < REMOVAL_FINISHING && !r->cancelled);
}

Removal *removal_bus_at(const Manager *m, const char *path) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i]->started && streq(m->removals[i]->path, path))
                        return m->removals[i];
        return NULL;
}

static int cancel(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        Removal *r = removal_bus_at(((Bus *) bus)->manager, sd_bus_message_get_path(call));

        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_RUNNING, "The removal has ended already.");
        return rights_bus_cancel(bus, r, call, by, error);
}

/* `whole`: as for root. */
static int hand_report_over(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool whole, sd_bus_error *error) {
        Bus *b = bus;
        Removal *r = removal_bus_at(b->manager, sd_bus_message_get_path(call));
        _cleanup_(answer_unrefp) Answer *report = NULL;

        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, "The removal has ended, and is in the history only.");
        int k = removal_report(r, whole, &report);
        return k < 0 ? k : asks_hand_over(b->asks, call, by, report, "The report", asks_form_of(call));
}

static int get_report(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *actions = json_object_new_array();
        const RightsWish wish = { .actions = actions, .then = hand_report_over, .userdata = bus, .look = true };

        if (who_is_privileged(by))
                return hand_report_over(bus, call, by, NULL, true, error);
        json_append_str(actions, "read-details");
        return rights_ask(((Bus *) bus)->rights, call, by, &wish, error);
}

int removal_bus_page_request(const Bus *b, sd_bus_message *call, json_object *by, json_object **ret, sd_bus_error *error) {
        const Removal *r = removal_bus_at(b->manager, sd_bus_message_get_path(call));
        json_object *request, *reader;

        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, "The removal has ended, and is in the history only.");
        request = json_object_new_object();
        reader = json_object_new_object();
        json_set_u64(reader, "uid", json_u64(by, "uid"));
        json_set(request, "by", reader);
        json_set_str(request, "id", r->id);
        json_set_bool(request, "parts", true);
        *ret = request;
        return 0;
}

static int get_page(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = NULL;
        Bus *b = bus;

        int k = removal_bus_page_request(b, call, by, &request, error);
        if (k >= 0)
                k = asks_read_page(call, request);
        const AskWish wish = { .verb = "page", .what = "The page", .request = request };
        return k < 0 ? k : asks_add(b->asks, call, by, &wish, error);
}

/* What a method does once it is known who calls it. */
static const struct {
        const char *member;
        who_then_t then;
} methods[] = {
        { "Cancel", cancel },
        { "GetReport", get_report },
        { "OpenReport", get_report },
        { "KeepReport", get_report },
        { "GetPage", get_page },
};

/* An object's methods get the object, and whose it is is known by who listens to it. */
static int on_method(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const Bus *b = manager_of(userdata)->listener_data;
        const char *member = sd_bus_message_get_member(call);

        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (streq(methods[i].member, member))
                        return who_asks(b->who, call, methods[i].then, error);
        return -ENOSYS; /* the vtable has no other */
}

static int get_slots(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Removal *r = userdata;

        int k = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; k >= 0 && i < removal_n_slots(r); i++)
                k = sd_bus_message_append_basic(reply, 's', removal_slot(r, i) ?: "");
        return k < 0 ? k : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable removal_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Slot", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Slots", "as", get_slots, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Target", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Kind", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Trigger", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Step", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StepIndex", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StepCount", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Progress", "d", NULL, offsetof(Removal, progress), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StartedUsec", "t", NULL, offsetof(Removal, started_usec), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("AgeUsec", "t", get_age, 0, 0), /* it changes with each look */
        SD_BUS_PROPERTY("Cancelable", "b", get_cancelable, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Holders", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Blockers", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Warnings", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Digest", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Verdict", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("EstimatedEndUsec", "t", NULL, offsetof(Removal, estimated_end_usec), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("EndedUsec", "t", NULL, offsetof(Removal, ended_usec), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Certificate", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DeadlineUsec", "t", NULL, offsetof(Removal, promised_usec), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Outcome", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Code", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ByUid", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("BySession", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ByUnit", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD("Cancel", "", "", on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("KeepReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("u", number, "t", bytes), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetPage", SD_BUS_ARGS("s", what, "u", first, "u", most), SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("Completed", "ss", SD_BUS_PARAM(outcome) SD_BUS_PARAM(code), 0),
        SD_BUS_VTABLE_END
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        *ret_found = removal_bus_at(((Bus *) userdata)->manager, path);
        return *ret_found != NULL;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        const Manager *m = ((Bus *) userdata)->manager;
        _cleanup_(strv_freep) char **nodes = calloc(m->n_removals + 1, sizeof(char *));
        if (!nodes)
                return -ENOMEM;

        for (size_t i = 0, n = 0; i < m->n_removals; i++) {
                if (!m->removals[i]->started)
                        continue;
                nodes[n] = strdup(m->removals[i]->path);
                if (!nodes[n++])
                        return -ENOMEM;
        }
        *ret_nodes = TAKE_PTR(nodes);
        return 0;
}

int removal_bus_append_all(const Bus *b, sd_bus_message *reply) {
        const Manager *m = b->manager;
        int r = 0;

        for (size_t i = 0; i < m->n_removals && r >= 0; i++)
                if (m->removals[i]->started)
                        r = objects_append(reply, m->removals[i]->path, REMOVAL_INTERFACE, removal_vtable, m->removals[i]);
        return r;
}

int removal_bus_register(Bus *b, sd_bus *bus) {
        int r = sd_bus_add_fallback_vtable(bus, NULL, REMOVAL_PATH, REMOVAL_INTERFACE, removal_vtable, find, b);
        return r < 0 ? r : sd_bus_add_node_enumerator(bus, NULL, REMOVAL_PATH, enumerate, b);
}

static void warn(const Removal *r, int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "Removal %s: the bus cannot be told about it: %s", r->id, strerror(-error));
}

/* Which removals run is a property of the manager's. */
static void tell_runs(const Bus *b, const Removal *r) {
        warn(r, buses_properties_changed(b->buses, MANAGER_PATH, MANAGER_INTERFACE, (const char *const[]) { "Removals", "RunningCount", NULL }));
}

static void tell_prepare(const Bus *b, const Removal *r, bool start) {
        for (size_t i = 0; i < removal_n_slots(r); i++)
                warn(r, buses_signal(b->buses, MANAGER_PATH, MANAGER_INTERFACE, "PrepareForRemoval", "sbt", removal_slot(r, i) ?: "", (int) start,
                                start ? r->promised_usec : UINT64_C(0)));
}

static void on_started(Removal *r, void *userdata) {
        const Bus *b = userdata;

        if (r->trigger == TRIGGER_COMMAND)
                rights_begun(b->rights, r->by);
        warn(r, buses_object_added(b->buses, r->path));
        tell_runs(b, r);
}

static void on_changed(Removal *r, const char *const *properties, void *userdata) {
        warn(r, buses_properties_changed(((Bus *) userdata)->buses, r->path, REMOVAL_INTERFACE, properties));
}

static void on_told(Removal *r, json_object *event, void *userdata) {
        if (streq_ptr(json_str(event, "type"), "announce") && !json_flag(event, "again")) {
                tell_prepare(userdata, r, true);
                removal_confirm_announced(r);
        }
        event_bus_removal_told(r, event, userdata);
}

static void on_ended(Removal *r, void *userdata) {
        const Bus *b = userdata;

        if (r->announced)
                tell_prepare(b, r, false);
        warn(r, buses_signal(b->buses, r->path, REMOVAL_INTERFACE, "Completed", "ss", outcome_to_string(r->outcome), r->code ?: ""));
        tell_runs(b, r);
}

static void on_forgotten(Removal *r, void *userdata) {
        warn(r, buses_object_removed(((Bus *) userdata)->buses, r->path));
}

const RemovalListener removal_bus_listener = {
        .started = on_started,
        .changed = on_changed,
        .told = on_told,
        .ended = on_ended,
        .forgotten = on_forgotten,
};
