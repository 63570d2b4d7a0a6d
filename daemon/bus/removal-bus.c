/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/caller/ask.h"
#include "daemon/caller/authorize.h"
#include "daemon/caller/who.h"
#include "daemon/manager/manager.h"
#include "daemon/strv.h"
#include "bus-error.h"
#include "objects.h"
#include "removal-bus.h"
#include "removal-report.h"

/* Everybody reads it, and a path may lead through a closed folder: the report says that to who may know. */
static const char *public_target(const Removal *r) {
        return r->target && strchr(r->target, '/') ? r->slot : r->target;
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
                { "ByUid", json_u64(r->by, "uid") },
        };

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (streq(numbers[i].property, property))
                        return sd_bus_message_append(reply, "u", (uint32_t) numbers[i].value);
        return -ENOENT; /* the vtable has no other */
}

static int get_cancelable(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Removal *r = userdata;

        return sd_bus_message_append(reply, "b", r->state < REMOVAL_FINISHING && !r->cancelled);
}

static Removal *find_at(const Manager *m, const char *path) {
        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i]->started && streq(m->removals[i]->path, path))
                        return m->removals[i];
        return NULL;
}

static int cancel(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        Removal *r = find_at(m, sd_bus_message_get_path(call));

        int k = authorize_change(by, error);
        if (k < 0)
                return k;
        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_RUNNING, "The removal has ended already.");
        k = manager_cancel(r, by, error);
        return k < 0 ? k : sd_bus_reply_method_return(call, "");
}

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Removal *) userdata)->manager, call, cancel, error);
}

static int get_report(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        Removal *r = find_at(m, sd_bus_message_get_path(call));
        _cleanup_(answer_unrefp) Answer *report = NULL;

        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, "The removal has ended, and is in the history only.");
        int k = removal_report(r, who_is_privileged(by), &report);
        return k < 0 ? k : asks_hand_over(m, call, by, report, "The report", startswith(sd_bus_message_get_member(call), "Open"));
}

static int method_get_report(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Removal *) userdata)->manager, call, get_report, error);
}

static int get_page(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = json_object_new_object(), *reader = json_object_new_object();
        const AskWish wish = { .verb = "page", .what = "The page", .request = request };
        const Removal *r = find_at(m, sd_bus_message_get_path(call));

        if (!r)
                return sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, "The removal has ended, and is in the history only.");
        json_set_u64(reader, "uid", json_u64(by, "uid"));
        json_set(request, "by", TAKE_PTR(reader));
        json_set_str(request, "id", r->id);
        json_set_bool(request, "parts", true);
        int k = asks_read_page(call, request);
        return k < 0 ? k : asks_add(m, call, by, &wish, error);
}

static int method_get_page(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Removal *) userdata)->manager, call, get_page, error);
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
        SD_BUS_PROPERTY("Cancelable", "b", get_cancelable, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Holders", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Blockers", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DeadlineUsec", "t", NULL, offsetof(Removal, promised_usec), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Outcome", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Code", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ByUid", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD("Cancel", "", "", method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), method_get_report, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenReport", SD_BUS_NO_ARGS, SD_BUS_ARGS("h", json), method_get_report, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetPage", SD_BUS_ARGS("s", what, "u", first, "u", most), SD_BUS_ARGS("s", json), method_get_page, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("Completed", "ss", SD_BUS_PARAM(outcome) SD_BUS_PARAM(code), 0),
        SD_BUS_VTABLE_END
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        *ret_found = find_at(userdata, path);
        return *ret_found != NULL;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        const Manager *m = userdata;
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

int removal_bus_append_all(const Manager *m, sd_bus_message *reply) {
        int r = 0;

        for (size_t i = 0; i < m->n_removals && r >= 0; i++)
                if (m->removals[i]->started)
                        r = objects_append(reply, m->removals[i]->path, REMOVAL_INTERFACE, removal_vtable, m->removals[i]);
        return r;
}

int removal_bus_register(Manager *m, sd_bus *bus) {
        int r = sd_bus_add_fallback_vtable(bus, NULL, REMOVAL_PATH, REMOVAL_INTERFACE, removal_vtable, find, m);
        return r < 0 ? r : sd_bus_add_node_enumerator(bus, NULL, REMOVAL_PATH, enumerate, m);
}

static void warn(const Removal *r, int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "Removal %s: the bus cannot be told about it: %s", r->id, strerror(-error));
}

void removal_bus_added(Removal *r) {
        warn(r, buses_object_added(r->manager->buses, r->path));
}

void removal_bus_removed(Removal *r) {
        warn(r, buses_object_removed(r->manager->buses, r->path));
}

void removal_bus_changed(Removal *r, const char *const *properties) {
        warn(r, buses_properties_changed(r->manager->buses, r->path, REMOVAL_INTERFACE, properties));
}

void removal_bus_completed(Removal *r) {
        warn(r, buses_signal(r->manager->buses, r->path, REMOVAL_INTERFACE, "Completed", "ss",
                        outcome_to_string(r->outcome), r->code ?: ""));
}
