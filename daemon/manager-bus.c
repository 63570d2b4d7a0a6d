/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "authorize.h"
#include "base/clock.h"
#include "base/parse.h"
#include "bus-error.h"
#include "engine/chain.h"
#include "engine/state-dir.h"
#include "history.h"
#include "manager.h"
#include "options.h"
#include "removal-bus.h"
#include "slot-bus.h"
#include "strv.h"
#include "worker-call.h"

#define MANAGER_PATH "/org/saferemove1"
#define MANAGER_INTERFACE "org.saferemove1.Manager"

static void answer_topology(json_object *topology, const char *why_not, void *userdata) {
        sd_bus_message *call = userdata;

        if (topology)
                (void) sd_bus_reply_method_return(call, "s", json_text(topology));
        else
                (void) sd_bus_reply_method_errorf(call, BUS_ERROR_FAILED, "The machine could not be scanned: %s.", why_not);
        sd_bus_message_unref(call);
}

static int method_get_topology(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;

        int r = scanner_want(m->scanner, answer_topology, sd_bus_message_ref(call));
        if (r >= 0)
                return 1;

        sd_bus_message_unref(call);
        return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The machine cannot be scanned: %s.", strerror(-r));
}

/* Decodes "sa{sv}". */
static int read_wish(sd_bus_message *call, const char **ret_target, json_object **ret_options, sd_bus_error *error) {
        int r = sd_bus_message_read_basic(call, 's', ret_target);
        return r < 0 ? r : options_read(call, ret_options, error);
}

/* The same with "as". One name is as good as a string; `target` has all of them, for people. */
static int read_wish_of_several(sd_bus_message *call, char **ret_target, json_object **ret_targets, json_object **ret_options, sd_bus_error *error) {
        _cleanup_json_ json_object *targets = json_object_new_array();
        _cleanup_free_ char *all = strdup("");
        const char *name;

        int r = sd_bus_message_enter_container(call, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(call, 's', &name)) > 0) {
                char *more = all ? strf("%s%s%s", all, *all ? " " : "", name) : NULL;
                free(all);
                all = more;
                json_append_str(targets, name);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(call);
        if (r >= 0)
                r = options_read(call, ret_options, error);
        if (r < 0)
                return r;
        if (!all)
                return -ENOMEM;
        if (json_len(targets) == 0)
                return sd_bus_error_setf(error, BUS_ERROR_MALFORMED_NAME, "No card is named.");
        *ret_target = TAKE_PTR(all);
        *ret_targets = json_len(targets) > 1 ? TAKE_PTR(targets) : NULL;
        return 0;
}

/* A request that the worker only answers, about what nobody records. */
static json_object *question_new(const char *target, json_object *targets, json_object *options, json_object *by) {
        json_object *request = json_object_new_object();

        json_set_str(request, "id", "0");
        json_set_str(request, "target", target);
        if (targets)
                json_set(request, "targets", json_ref(targets));
        json_set_str(request, "trigger", trigger_to_string(TRIGGER_COMMAND));
        json_set(request, "by", json_ref(by));
        json_set(request, "options", json_ref(options));
        return request;
}

/* The call is answered when the worker has. `what` is what it is asked for, for a person. */
static int ask_worker(sd_bus_message *call, Manager *m, const char *verb, const char *what, const char *target, json_object *targets,
                      json_object *options, sd_bus_error *error) {
        _cleanup_json_ json_object *by = NULL, *request = NULL;

        int r = authorize_sender(call, &by);
        if (r < 0)
                return r;
        request = question_new(target, targets, options, by);
        r = worker_call_start(m, call, verb, what, request, error);
        return r < 0 ? r : 1;
}

static int call_for_plan(sd_bus_message *call, Manager *m, const char *verb, sd_bus_error *error) {
        _cleanup_json_ json_object *options = NULL;
        const char *target;

        int r = read_wish(call, &target, &options, error);
        return r < 0 ? r : ask_worker(call, m, verb, "The plan", target, NULL, options, error);
}

static int method_plan_removal(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return call_for_plan(call, userdata, "plan", error);
}

static int method_plan_several(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *targets = NULL, *options = NULL;
        _cleanup_free_ char *target = NULL;

        int r = read_wish_of_several(call, &target, &targets, &options, error);
        return r < 0 ? r : ask_worker(call, userdata, "plan", "The plan", target, targets, options, error);
}

static int method_plan_restore(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return call_for_plan(call, userdata, "plan-restore", error);
}

static int method_verify(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *target;

        int r = sd_bus_message_read_basic(call, 's', &target);
        return r < 0 ? r : ask_worker(call, userdata, "verify", "The proof", target, NULL, NULL, error);
}

static int call_for_removal(sd_bus_message *call, Manager *m, RemovalKind kind, sd_bus_error *error) {
        _cleanup_json_ json_object *options = NULL, *by = NULL;
        RemovalRequest request = { .kind = kind, .trigger = TRIGGER_COMMAND };

        int r = authorize_change(call, &by, error);
        if (r < 0)
                return r;
        r = read_wish(call, &request.target, &options, error);
        if (r < 0)
                return r;

        request.options = options;
        request.by = by;
        r = manager_remove(m, request, call);
        if (r < 0)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The %s cannot be started: %s.",
                                kind == KIND_RESTORE ? "restoration" : "removal", strerror(-r));
        return 1;
}

static int method_remove(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return call_for_removal(call, userdata, KIND_REMOVE, error);
}

static int method_remove_several(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *targets = NULL, *options = NULL, *by = NULL;
        _cleanup_free_ char *target = NULL;

        int r = authorize_change(call, &by, error);
        if (r < 0)
                return r;
        r = read_wish_of_several(call, &target, &targets, &options, error);
        if (r < 0)
                return r;

        const RemovalRequest request = {
                .kind = KIND_REMOVE, .trigger = TRIGGER_COMMAND, .target = target, .targets = targets, .options = options, .by = by,
        };
        r = manager_remove(userdata, request, call);
        return r < 0 ? sd_bus_error_setf(error, BUS_ERROR_FAILED, "The removal cannot be started: %s.", strerror(-r)) : 1;
}

static int method_restore(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return call_for_removal(call, userdata, KIND_RESTORE, error);
}

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *by = NULL;
        const char *text;

        int r = authorize_change(call, &by, error);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(call, 's', &text);
        if (r < 0)
                return r;

        Removal *removal = manager_running_meant(userdata, text);
        if (!removal)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_RUNNING, "No removal of '%s' is running.", text);
        r = manager_cancel(removal, by, error);
        return r < 0 ? r : sd_bus_reply_method_return(call, "");
}

static int method_get_history(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *history = NULL;
        uint32_t limit;

        int r = sd_bus_message_read_basic(call, 'u', &limit);
        if (r < 0)
                return r;
        r = history_load(limit, &history);
        if (r < 0)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The records in %s cannot be read: %s.", state_dir(), strerror(-r));
        return sd_bus_reply_method_return(call, "s", json_text(history));
}

static int method_get_certificate(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        uint64_t removal = 0;
        const char *id;

        int r = sd_bus_message_read_basic(call, 's', &id);
        if (r < 0)
                return r;
        r = *id ? parse_u64(id, &removal) : chain_newest(&removal);
        if (r >= 0)
                r = chain_read(removal, NULL, &text, NULL);
        if (r == -ENOENT || r == -EINVAL || r == -ERANGE)
                return sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, *id ? "Removal '%s' has no certificate." :
                                "There is no certificate yet.%s", id);
        if (r == -EBADMSG)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_PROVEN, "The certificate is not as it was written; "
                                "'safe-remove certificate --verify' says more.");
        if (r < 0)
                return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The certificate cannot be read: %s.", strerror(-r));
        text[strcspn(text, "\n")] = '\0';
        return sd_bus_reply_method_return(call, "s", text);
}

static int method_verify_certificates(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        int r = worker_call_start(userdata, call, "certificates", "The verification", NULL, error);
        return r < 0 ? r : 1;
}

static int get_removals(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        int r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; r >= 0 && i < m->n_removals; i++)
                if (removal_runs(m->removals[i]))
                        r = sd_bus_message_append_basic(reply, 'o', m->removals[i]->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

/* Who may do what is decided in authorize.c, hence UNPRIVILEGED everywhere. */
static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetTopology", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), method_get_topology,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanRemoval", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("s", plan),
                        method_plan_removal, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("o", removal),
                        method_remove, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options), SD_BUS_ARGS("s", plan),
                        method_plan_several, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options), SD_BUS_ARGS("o", removal),
                        method_remove_several, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanRestore", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("s", plan),
                        method_plan_restore, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("o", removal),
                        method_restore, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("s", target_or_id), SD_BUS_NO_RESULT, method_cancel,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("u", limit), SD_BUS_ARGS("s", json), method_get_history,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Verify", SD_BUS_ARGS("s", target), SD_BUS_ARGS("s", json), method_verify,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetCertificate", SD_BUS_ARGS("s", id), SD_BUS_ARGS("s", certificate), method_get_certificate,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VerifyCertificates", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), method_verify_certificates,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Removals", "ao", get_removals, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("s", json), 0),
        SD_BUS_SIGNAL_WITH_ARGS("PrepareForRemoval", SD_BUS_ARGS("s", slot, "b", start, "t", deadline_usec), 0),
        SD_BUS_VTABLE_END
};

int manager_bus_register(Manager *m) {
        int r = sd_bus_add_object_manager(m->bus, NULL, MANAGER_PATH);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(m->bus, NULL, MANAGER_PATH, MANAGER_INTERFACE, manager_vtable, m);
        if (r < 0)
                return r;
        r = slot_bus_register(m);
        return r < 0 ? r : removal_bus_register(m);
}

static void warn(int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "The bus cannot be told what happens: %s", strerror(-error));
}

void manager_bus_event(Manager *m, const Removal *r, json_object *event) {
        json_set_str(event, "schema", "safe-remove/event/1");
        json_set_u64(event, "time_usec", now_wall());
        if (r) {
                json_set_str(event, "removal", r->id);
                if (!json_has(event, "slot")) /* an `led` of one slot of several has its own */
                        json_set_str(event, "slot", r->slot);
                if (r->others)
                        json_set(event, "slots", removal_slot_names(r));
        }
        warn(sd_bus_emit_signal(m->bus, MANAGER_PATH, MANAGER_INTERFACE, "Event", "s", json_text(event)));
}

void manager_bus_prepare(Manager *m, const char *slot, bool start, uint64_t deadline_usec) {
        warn(sd_bus_emit_signal(m->bus, MANAGER_PATH, MANAGER_INTERFACE, "PrepareForRemoval", "sbt", slot, (int) start,
                        deadline_usec));
}

void manager_bus_removals_changed(Manager *m) {
        warn(sd_bus_emit_properties_changed(m->bus, MANAGER_PATH, MANAGER_INTERFACE, "Removals", NULL));
}
