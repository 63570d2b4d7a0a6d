/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/caller/bus-error.h"
#include "daemon/caller/options.h"
#include "daemon/manager/inhibitors.h"
#include "daemon/manager/removals.h"
#include "event-bus.h"
#include "inhibit-bus.h"
#include "locate-bus.h"
#include "manager-bus.h"
#include "policy-bus.h"
#include "removal-bus.h"
#include "rights-bus.h"

enum {
        TIME_OF_USER_SEC = 600,
};

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
                r = text_add(&all, " ", "%s", name);
                if (r < 0)
                        return r;
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
        json_set_bool(request, "parts", true);
        return request;
}

/* Of what differs by nothing but who may see it. */
static json_object *reading_new(json_object *by) {
        json_object *request = json_object_new_object(), *reader = json_object_new_object();

        json_set_u64(reader, "uid", json_u64(by, "uid"));
        json_set(request, "by", reader);
        json_set_bool(request, "parts", true);
        return request;
}

/* Documents that may be long have pages, by a method whose name begins so. */
static bool wants_page(sd_bus_message *call) {
        return startswith(sd_bus_message_get_member(call), "Page");
}

static int ask_for(Bus *b, sd_bus_message *call, json_object *by, const char *verb, const char *what, json_object *request, sd_bus_error *error) {
        const AskWish wish = { .verb = verb, .what = what, .request = request, .form = asks_form_of(call) };

        return asks_add(b->asks, call, by, &wish, error);
}

/* The slots as well: who asks for the topology sees them as they are. */
static int get_topology(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = reading_new(by);
        const AskWish wish = { .verb = "topology", .what = "The topology", .request = request, .look = true, .form = asks_form_of(call) };

        return asks_add(((Bus *) bus)->asks, call, by, &wish, error);
}

static void tell_what_is_against(const Bus *b, json_object *request) {
        json_object *unread = manager_unread(b->manager), *inhibitors = manager_inhibitors(b->manager);

        if (unread)
                json_set(request, "unread", unread);
        if (inhibitors)
                json_set(request, "inhibitors", json_ref(inhibitors));
}

static int plan_one(Bus *b, sd_bus_message *call, json_object *by, const char *verb, sd_bus_error *error) {
        _cleanup_json_ json_object *options = NULL, *request = NULL;
        const char *target;

        int r = read_wish(call, &target, &options, error);
        if (r < 0)
                return r;
        request = question_new(target, NULL, options, by);
        tell_what_is_against(b, request);
        r = wants_page(call) ? asks_read_page(call, request) : 0;
        return r < 0 ? r : ask_for(b, call, by, verb, "The plan", request, error);
}

static int plan_removal_of(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return plan_one(bus, call, by, "plan", error);
}

static int plan_restore_of(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return plan_one(bus, call, by, "plan-restore", error);
}

int manager_bus_read_question(const Bus *b, sd_bus_message *call, json_object *by, json_object **ret, sd_bus_error *error) {
        _cleanup_json_ json_object *targets = NULL, *options = NULL;
        _cleanup_free_ char *target = NULL;

        int r = read_wish_of_several(call, &target, &targets, &options, error);
        if (r < 0)
                return r;
        *ret = question_new(target, targets, options, by);
        tell_what_is_against(b, *ret);
        return 0;
}

static int plan_several(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = NULL;

        int r = manager_bus_read_question(bus, call, by, &request, error);
        if (r >= 0 && wants_page(call))
                r = asks_read_page(call, request);
        return r < 0 ? r : ask_for(bus, call, by, "plan", "The plan", request, error);
}

static int verify(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = NULL;
        const char *target;

        int r = sd_bus_message_read_basic(call, 's', &target);
        if (r < 0)
                return r;
        request = question_new(target, NULL, NULL, by);
        return ask_for(bus, call, by, "verify", "The proof", request, error);
}

void manager_bus_answered(void *asker, const char *path, const char *code, const char *message, void *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = asker;

        int r = path ? sd_bus_reply_method_return(call, "o", path) : sd_bus_reply_method_errorf(call, bus_error_of_code(code), "%s", message);
        if (r < 0)
                log_plain(LOG_WARNING, "A request for a removal could not be answered: %s", strerror(-r));
}

/* Other removals wait for the machine meanwhile, that of a press too: a user who may remove a card may not keep it from them for hours. */
static int check_times(json_object *options, sd_bus_error *error) {
        static const struct {
                const char *option;
                unsigned most;
        } times[] = { { "grace_sec", TIME_OF_USER_SEC }, { "offline_timeout_sec", TIME_OF_USER_SEC }, { "step_delay_msec", 0 } };

        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                if (json_u64(options, times[i].option) > times[i].most)
                        return sd_bus_error_setf(error, BUS_ERROR_BAD_OPTION, "Option '%s' may be %u at most for who is not root: other removals wait "
                                                 "meanwhile.", times[i].option, times[i].most);
        return 0;
}

/* Who is not root is asked about before. */
static int start(Bus *b, const RemovalRequest *request, sd_bus_message *call, sd_bus_error *error) {
        _cleanup_json_ json_object *question = NULL;

        if (who_is_privileged(request->by))
                return rights_bus_begin(b, *request, call, error);
        int r = check_times(request->options, error);
        if (r < 0)
                return r;
        question = question_new(request->target, request->targets, request->options, request->by);
        json_set_str(question, "kind", removal_kind_to_string(request->kind));
        tell_what_is_against(b, question);
        return rights_bus_start(b, call, question, error);
}

static int remove_or_restore(Bus *b, sd_bus_message *call, json_object *by, RemovalKind kind, sd_bus_error *error) {
        RemovalRequest request = { .kind = kind, .trigger = TRIGGER_COMMAND, .by = by };
        _cleanup_json_ json_object *options = NULL;

        int r = read_wish(call, &request.target, &options, error);
        if (r < 0)
                return r;

        request.options = options;
        return start(b, &request, call, error);
}

static int remove_one(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return remove_or_restore(bus, call, by, KIND_REMOVE, error);
}

static int restore_one(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return remove_or_restore(bus, call, by, KIND_RESTORE, error);
}

static int remove_several(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *targets = NULL, *options = NULL;
        _cleanup_free_ char *target = NULL;

        int r = read_wish_of_several(call, &target, &targets, &options, error);
        if (r < 0)
                return r;

        const RemovalRequest request = {
                .kind = KIND_REMOVE, .trigger = TRIGGER_COMMAND, .target = target, .targets = targets, .options = options, .by = by,
        };
        return start(bus, &request, call, error);
}

static int cancel(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        const char *text;

        int r = sd_bus_message_read_basic(call, 's', &text);
        if (r < 0)
                return r;

        Removal *removal = manager_running_meant(((Bus *) bus)->manager, text);
        if (!removal)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_RUNNING, "No removal of '%s' is running.", text);
        return rights_bus_cancel(bus, removal, call, by, error);
}

static int page_history(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = reading_new(by), *page = json_object_new_object();
        const char *before;
        uint32_t most;

        int r = sd_bus_message_read(call, "su", &before, &most);
        if (r < 0)
                return r;
        json_set_str(request, "before", before);
        json_set_u64(request, "limit", most);
        json_set_str(page, "what", "removals");
        json_set(request, "page", TAKE_PTR(page));
        return ask_for(bus, call, by, "history", "The history", request, error);
}

static int get_history(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = reading_new(by);
        uint32_t limit;

        if (wants_page(call))
                return page_history(bus, call, by, error);
        int r = sd_bus_message_read_basic(call, 'u', &limit);
        if (r < 0)
                return r;
        json_set_u64(request, "limit", limit);
        return ask_for(bus, call, by, "history", "The history", request, error);
}

/* A document of one removal; an empty id is the newest. */
static int ask_by_id(void *bus, sd_bus_message *call, json_object *by, const char *verb, const char *what, sd_bus_error *error) {
        _cleanup_json_ json_object *request = reading_new(by);
        const char *id;

        int r = sd_bus_message_read_basic(call, 's', &id);
        if (r < 0)
                return r;
        json_set_str(request, "id", id);
        return ask_for(bus, call, by, verb, what, request, error);
}

static int get_certificate(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return ask_by_id(bus, call, by, "certificate", "The certificate", error);
}

static int get_incident(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return ask_by_id(bus, call, by, "incident-record", "The incident", error);
}

static int get_test_report(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return ask_by_id(bus, call, by, "test-report", "The report", error);
}

static int verify_certificates(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return ask_for(bus, call, by, "certificates", "The verification", NULL, error);
}

static int read_kept(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        return asks_read_kept(((Bus *) bus)->asks, call, by, error);
}

/* What a method does once it is known who calls it. A document comes in several forms, by methods with the same end. */
static const struct {
        const char *member;
        who_then_t then;
} methods[] = {
        { "Topology", get_topology },
        { "PlanRemoval", plan_removal_of },
        { "PlanSeveral", plan_several },
        { "PlanRestore", plan_restore_of },
        { "History", get_history },
        { "Verify", verify },
        { "Certificate", get_certificate },
        { "TestReport", get_test_report },
        { "Incident", get_incident },
        { "VerifyCertificates", verify_certificates },
        { "ReadKept", read_kept },
        { "Remove", remove_one },
        { "RemoveSeveral", remove_several },
        { "Restore", restore_one },
        { "Cancel", cancel },
        { "Inhibit", inhibit_bus_take },
        { "ListInhibitors", inhibit_bus_list },
        { "Locate", locate_bus_target },
        { "Subscribe", event_bus_subscribe },
        { "Reload", policy_bus_reload },
};

static const char *without_form(const char *member) {
        static const char *const forms[] = { "Get", "Open", "Keep", "Page" };
        const char *rest = NULL;

        for (size_t i = 0; !rest && i < ELEMENTSOF(forms); i++)
                rest = startswith(member, forms[i]);
        return rest ?: member;
}

static int on_method(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *member = without_form(sd_bus_message_get_member(call));

        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (streq(methods[i].member, member))
                        return who_asks(((Bus *) userdata)->who, call, methods[i].then, error);
        return -ENOSYS; /* the vtable has no other */
}

static int get_removals(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Manager *m = ((Bus *) userdata)->manager;

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

static int get_records_read(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Bus *b = userdata;

        return sd_bus_message_append(reply, "b", b->manager->records_known);
}

static int get_last_look(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Bus *b = userdata;

        return sd_bus_message_append(reply, "t", b->manager->looked_usec);
}

#define KEPT(member, types, names) \
        SD_BUS_METHOD_WITH_NAMES(member, types, names, "ut", SD_BUS_PARAM(number) SD_BUS_PARAM(bytes), on_method, SD_BUS_VTABLE_UNPRIVILEGED)

/* Who may do what is decided by rights-bus.c, hence UNPRIVILEGED everywhere. */
static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetTopology", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTopology", SD_BUS_NO_ARGS, SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanRemoval", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("s", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenPlanRemoval", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("h", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PagePlanRemoval", SD_BUS_ARGS("s", target, "a{sv}", options, "s", what, "u", first, "u", most), SD_BUS_ARGS("s", json),
                        on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PagePlanSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options, "s", what, "u", first, "u", most), SD_BUS_ARGS("s", json),
                        on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PagePlanRestore", SD_BUS_ARGS("s", target, "a{sv}", options, "s", what, "u", first, "u", most), SD_BUS_ARGS("s", json),
                        on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PageHistory", SD_BUS_ARGS("s", before, "u", most), SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("o", removal), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options), SD_BUS_ARGS("s", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenPlanSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options), SD_BUS_ARGS("h", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveSeveral", SD_BUS_ARGS("as", targets, "a{sv}", options), SD_BUS_ARGS("o", removal), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PlanRestore", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("s", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenPlanRestore", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("h", plan), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", target, "a{sv}", options), SD_BUS_ARGS("o", removal), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("s", target_or_id), SD_BUS_NO_RESULT, on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Inhibit", SD_BUS_ARGS("s", what, "s", who, "s", why, "s", mode), SD_BUS_ARGS("h", fd), on_method,
                        SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListInhibitors", SD_BUS_NO_ARGS, SD_BUS_ARGS("a(ssssuuta{sv})", inhibitors), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Locate", SD_BUS_ARGS("s", target, "u", seconds), SD_BUS_ARGS("o", slot), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("u", limit), SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenHistory", SD_BUS_ARGS("u", limit), SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Verify", SD_BUS_ARGS("s", target), SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenVerify", SD_BUS_ARGS("s", target), SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetCertificate", SD_BUS_ARGS("s", id), SD_BUS_ARGS("s", certificate), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenCertificate", SD_BUS_ARGS("s", id), SD_BUS_ARGS("h", certificate), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetTestReport", SD_BUS_ARGS("s", id), SD_BUS_ARGS("s", report), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenTestReport", SD_BUS_ARGS("s", id), SD_BUS_ARGS("h", report), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetIncident", SD_BUS_ARGS("s", id), SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenIncident", SD_BUS_ARGS("s", id), SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("VerifyCertificates", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenVerifyCertificates", SD_BUS_NO_ARGS, SD_BUS_ARGS("h", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_ARGS("s", json), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        /* For whoever cannot be handed a descriptor: the document is kept, and read piece by piece. */
        KEPT("KeepTopology", "",),
        KEPT("KeepPlanRemoval", "sa{sv}", SD_BUS_PARAM(target) SD_BUS_PARAM(options)),
        KEPT("KeepPlanSeveral", "asa{sv}", SD_BUS_PARAM(targets) SD_BUS_PARAM(options)),
        KEPT("KeepPlanRestore", "sa{sv}", SD_BUS_PARAM(target) SD_BUS_PARAM(options)),
        KEPT("KeepHistory", "u", SD_BUS_PARAM(limit)),
        KEPT("KeepVerify", "s", SD_BUS_PARAM(target)),
        KEPT("KeepCertificate", "s", SD_BUS_PARAM(id)),
        KEPT("KeepIncident", "s", SD_BUS_PARAM(id)),
        KEPT("KeepTestReport", "s", SD_BUS_PARAM(id)),
        KEPT("KeepVerifyCertificates", "",),
        SD_BUS_METHOD_WITH_ARGS("ReadKept", SD_BUS_ARGS("u", number), SD_BUS_ARGS("s", piece), on_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("RecordsRead", "b", get_records_read, 0, 0),
        SD_BUS_PROPERTY("LastLookUsec", "t", get_last_look, 0, 0),
        SD_BUS_PROPERTY("BlockInhibited", "s", inhibit_bus_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DelayInhibited", "s", inhibit_bus_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Removals", "ao", get_removals, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("s", json), 0),
        SD_BUS_SIGNAL_WITH_ARGS("PrepareForRemoval", SD_BUS_ARGS("s", slot, "b", start, "t", deadline_usec), 0),
        SD_BUS_VTABLE_END
};

int manager_bus_register(Bus *b, sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, MANAGER_INTERFACE, manager_vtable, b);
}
