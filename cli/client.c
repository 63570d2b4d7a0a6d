/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "cli/text/output.h"
#include "agent.h"
#include "client.h"

/* A plan and a topology are a look at the whole machine by a process of its own: seconds on a large one. */
#define CALL_USEC (30 * USEC_PER_SEC)
#define LOOK_USEC (120 * USEC_PER_SEC)

/* What somebody would type after an error of the daemon's, whose message does not know who asked. NULL: it says all. */
static char *hint_for(ExitCode code) {
        static const struct {
                ExitCode code;
                const char *then;
        } hints[] = {
                { CODE_NOTHING, "status" },
                { CODE_NOT_FOUND, "list" },
                { CODE_BLOCKED, "list" },
                { CODE_AMBIGUOUS, "list" },
                { CODE_NOT_PROVEN, "certificate --verify" },
                { CODE_STALE, "plan TARGET" },
                { CODE_USAGE, "--help" },
                { CODE_BUSY, "status" },
        };

        for (size_t i = 0; i < ELEMENTSOF(hints); i++)
                if (hints[i].code == code)
                        return strf("see: %s %s", client_command(), hints[i].then);
        if (code == CODE_FAILED)
                return strf("see: %s%s%sjournalctl -b -u safe-removed", client_host() ? "ssh " : "", client_host() ?: "", client_host() ? " " : "");
        return code == CODE_NOT_AUTHORIZED ? strdup("try it as root") : NULL;
}

ExitCode client_fail(int r, const sd_bus_error *e) {
        bool told = e && sd_bus_error_is_set(e);
        ExitCode code = told ? exit_code_of_error(e->name) : CODE_UNREACHABLE;

        if (r == -ENOMEM)
                return fail_memory();
        if (r == -EBADMSG)
                return fail_with_hint(CODE_FAILED, NULL, "after an update: systemctl restart safe-removed", "the daemon's answer could not be read (another version?)");
        if (code == CODE_UNREACHABLE && client_lacks_daemon())
                return client_fail_without_daemon(told ? e->name : NULL);
        if (code == CODE_UNREACHABLE && client_host())
                return fail(code, told ? e->name : NULL, "the daemon on %s cannot be reached (%s); see: ssh %s systemctl status safe-removed", client_host(),
                            told && e->message ? e->message : strerror(-r), client_host());
        if (code == CODE_UNREACHABLE)
                return fail(code, told ? e->name : NULL,
                            "the daemon cannot be reached (%s); see: systemctl status safe-removed",
                            told && e->message ? e->message : strerror(-r));
        _cleanup_free_ char *hint = hint_for(code);
        return fail_with_hint(code, told ? e->name : NULL, hint, "%s", told && e->message ? e->message : strerror(-r));
}

int client_parse(const char *text, json_object **ret) {
        _cleanup_json_ json_object *o = NULL;

        int r = json_parse(text, strlen(text), &o);
        if (r < 0)
                return r;
        if (!json_object_is_type(o, json_type_object))
                return -EBADMSG;
        if (output.json == JSON_OFF && !output.as_it_is)
                json_make_printable(o);
        *ret = TAKE_PTR(o);
        return 0;
}

static int ask_for_text(sd_bus *bus, sd_bus_message *m, uint64_t usec, char **ret, sd_bus_error *reterr) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        uint64_t deadline = now_monotonic() + usec;

        int r = sd_bus_call(bus, m, usec, reterr, &reply);
        return r < 0 ? r : bus_read_document(reply, deadline, ret, reterr);
}

static bool is_withheld(const char *text) {
        _cleanup_json_ json_object *o = NULL;

        return json_parse(text, strlen(text), &o) >= 0 && json_flag(o, "withheld");
}

/* With all in it, where that can be had. */
static int ask_for_details(sd_bus *bus, sd_bus_message *m, uint64_t usec, char **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *again = NULL;

        int r = sd_bus_message_new_method_call(bus, &again, BUS_NAME, sd_bus_message_get_path(m), sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
        if (r >= 0)
                r = sd_bus_message_rewind(m, true);
        if (r >= 0)
                r = sd_bus_message_copy(again, m, true);
        return r < 0 ? r : ask_for_text(bus, again, usec, ret, &e);
}

static int call_for_text(sd_bus *bus, sd_bus_message *m, uint64_t usec, char **ret, sd_bus_error *reterr) {
        char *all = NULL;

        int r = ask_for_text(bus, m, usec, ret, reterr);
        sd_bus *details = r < 0 || !is_withheld(*ret) ? NULL : client_details(bus);
        if (details && ask_for_details(details, m, usec, &all) >= 0) {
                free(*ret);
                *ret = all;
        }
        return r;
}

/* Calls a method whose answer is a JSON object. */
static int call_for_json(sd_bus *bus, sd_bus_message *m, uint64_t usec, json_object **ret, sd_bus_error *reterr) {
        _cleanup_free_ char *text = NULL;

        int r = call_for_text(bus, m, usec, &text, reterr);
        return r < 0 ? r : client_parse(text, ret);
}

static int manager_call_new(sd_bus *bus, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_method_call(bus, ret, BUS_NAME, BUS_PATH, BUS_MANAGER, member);
}

/* A call for a document, in the form in which it can come over this connection. */
static int document_call_new(sd_bus *bus, const char *path, const char *interface, const char *document, sd_bus_message **ret) {
        _cleanup_free_ char *member = strf("%s%s", sd_bus_can_send(bus, SD_BUS_TYPE_UNIX_FD) > 0 ? "Open" : "Keep", document);

        return member ? sd_bus_message_new_method_call(bus, ret, BUS_NAME, path, interface, member) : -ENOMEM;
}

static int append_targets(sd_bus_message *m, const Args *a) {
        if (a->n_targets < 2)
                return sd_bus_message_append(m, "s", a->target);
        int r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; i < a->n_targets && r >= 0; i++)
                r = sd_bus_message_append(m, "s", a->targets[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* TARGET and the options that plans, removals and restorations take; only what was given on the command line, so that the
 * policy files decide about the rest. */
static int append_request(sd_bus_message *m, const Args *a) {
        const struct {
                bool given;
                const char *name;
                const char *type;
                const char *text;
                uint32_t number;
        } options[] = {
                { a->digest, "digest", "s", a->digest, 0 },
                { a->has_grace_sec, "grace_sec", "u", NULL, a->grace_sec },
                { a->has_offline_timeout_sec, "offline_timeout_sec", "u", NULL, a->offline_timeout_sec },
                { a->zone_normal, "zone_normal", "s", a->zone_normal, 0 },
                { a->force, "force", "s", a->force, 0 },
                { a->equal_card, "equal_card", "s", a->equal_card, 0 },
                { a->acknowledge, "acknowledge", "s", a->acknowledge, 0 },
                { a->sanitize, "sanitize", "s", a->sanitize, 0 },
                { a->self_test, "self_test", "s", a->self_test, 0 },
                { a->ignore_inhibitors, "ignore_inhibitors", "b", NULL, true },
        };

        int r = append_targets(m, a);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                if (!options[i].given)
                        continue;
                if (options[i].text)
                        r = sd_bus_message_append(m, "{sv}", options[i].name, options[i].type, options[i].text);
                else
                        r = sd_bus_message_append(m, "{sv}", options[i].name, options[i].type, options[i].number);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

/* `target` is NULL where the method takes none. */
static ExitCode call_for_look(sd_bus *bus, const char *document, const char *target, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, document, &m);
        if (r >= 0 && target)
                r = sd_bus_message_append(m, "s", target);
        if (r >= 0)
                r = call_for_json(bus, m, LOOK_USEC, ret, &e);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

ExitCode client_topology(sd_bus *bus, json_object **ret) {
        return call_for_look(bus, "Topology", NULL, ret);
}

int client_ask_topology(sd_bus *bus, sd_bus_message_handler_t then, void *userdata) {
        _cleanup_message_ sd_bus_message *m = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, "Topology", &m);
        return r < 0 ? r : sd_bus_call_async(bus, NULL, m, then, userdata, LOOK_USEC);
}

int client_read_topology(sd_bus_message *reply, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *text = NULL;

        int r = -sd_bus_message_get_errno(reply);
        if (r >= 0)
                r = bus_read_document(reply, now_monotonic() + CALL_USEC, &text, &e);
        return r < 0 ? r : client_parse(text, ret);
}

ExitCode client_verify(sd_bus *bus, const char *target, json_object **ret) {
        return call_for_look(bus, "Verify", target, ret);
}

ExitCode client_verify_certificates(sd_bus *bus, json_object **ret) {
        return call_for_look(bus, "VerifyCertificates", NULL, ret);
}

ExitCode client_test_report(sd_bus *bus, const char *id, json_object **ret) {
        return call_for_look(bus, "TestReport", id, ret);
}

ExitCode client_snapshot(sd_bus *bus, bool keep_names, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL;
        _cleanup_free_ char *text = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, "Snapshot", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", (int) keep_names);
        if (r >= 0)
                r = call_for_text(bus, m, LOOK_USEC, &text, &e);
        if (r >= 0)
                r = json_parse(text, strlen(text), ret); /* a file is not for a terminal */
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

static int try_plan(sd_bus *bus, const char *document, const Args *a, uint64_t usec, json_object **ret, sd_bus_error *reterr) {
        _cleanup_message_ sd_bus_message *m = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, document, &m);
        if (r >= 0)
                r = append_request(m, a);
        return r < 0 ? r : call_for_json(bus, m, usec, ret, reterr);
}

static ExitCode call_for_plan(sd_bus *bus, const char *document, const Args *a, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        int r = try_plan(bus, document, a, LOOK_USEC, ret, &e);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

/* As it is; an id is one of the history's. */
static ExitCode call_by_id(sd_bus *bus, const char *document, const char *id, char **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, document, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", id);
        if (r >= 0)
                r = call_for_text(bus, m, CALL_USEC, ret, &e);
        if (r < 0 && sd_bus_error_is_set(&e) && e.message && exit_code_of_error(e.name) == CODE_NOT_FOUND)
                return fail_with_hint(CODE_NOT_FOUND, e.name, "see: safe-remove history", "%s", e.message);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

ExitCode client_certificate(sd_bus *bus, const char *id, char **ret) {
        return call_by_id(bus, "Certificate", id, ret);
}

ExitCode client_incident(sd_bus *bus, const char *id, json_object **ret) {
        _cleanup_free_ char *text = NULL;

        ExitCode code = call_by_id(bus, "Incident", id, &text);
        if (code != CODE_DONE)
                return code;
        int r = client_parse(text, ret);
        return r < 0 ? client_fail(r, NULL) : CODE_DONE;
}

int client_try_plan(sd_bus *bus, const char *target, uint64_t usec, json_object **ret, sd_bus_error *reterr) {
        return try_plan(bus, "PlanRemoval", &(Args) { .target = target, .n_targets = 1 }, usec, ret, reterr);
}

int client_try_name(sd_bus *bus, const char *target, sd_bus_error *reterr) {
        _cleanup_json_ json_object *plan = NULL;

        return try_plan(bus, "PlanRestore", &(Args) { .target = target, .n_targets = 1 }, CALL_USEC, &plan, reterr);
}

ExitCode client_plan(sd_bus *bus, const Args *a, json_object **ret) {
        return call_for_plan(bus, a->n_targets > 1 ? "PlanSeveral" : "PlanRemoval", a, ret);
}

ExitCode client_plan_restore(sd_bus *bus, const Args *a, json_object **ret) {
        return call_for_plan(bus, "PlanRestore", a, ret);
}

int client_try_history(sd_bus *bus, uint32_t limit, json_object **ret, sd_bus_error *reterr) {
        _cleanup_message_ sd_bus_message *m = NULL;

        int r = document_call_new(bus, BUS_PATH, BUS_MANAGER, "History", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "u", limit);
        return r < 0 ? r : call_for_json(bus, m, CALL_USEC, ret, reterr);
}

ExitCode client_history(sd_bus *bus, uint32_t limit, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        int r = client_try_history(bus, limit, ret, &e);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

/* Whether the daemon has heard of it nobody can say. */
static bool was_cut_off(int r) {
        return r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ETIMEDOUT;
}

static ExitCode call_for_removal(sd_bus *bus, const char *member, const Args *a, char **ret_path) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        const char *path;

        int r = manager_call_new(bus, member, &m);
        if (r >= 0)
                r = append_request(m, a);
        if (r >= 0)
                r = agent_call(bus, m, a, LOOK_USEC, &e, &reply);
        if (was_cut_off(r)) {
                *ret_path = NULL;
                return CODE_DONE;
        }
        if (r < 0)
                return client_fail(r, &e);
        if (sd_bus_message_read(reply, "o", &path) < 0)
                return client_fail(-EBADMSG, NULL);

        char *copy = strdup(path);
        if (!copy)
                return fail_memory();
        *ret_path = copy;
        return CODE_DONE;
}

ExitCode client_remove(sd_bus *bus, const Args *a, char **ret_path) {
        return call_for_removal(bus, a->n_targets > 1 ? "RemoveSeveral" : "Remove", a, ret_path);
}

ExitCode client_restore(sd_bus *bus, const Args *a, char **ret_path) {
        return call_for_removal(bus, "Restore", a, ret_path);
}

ExitCode client_cancel(sd_bus *bus, const Args *a) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;

        int r = manager_call_new(bus, "Cancel", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", a->target);
        if (r >= 0)
                r = agent_call(bus, m, a, LOOK_USEC, &e, &reply);
        if (r < 0 && exit_code_of_error(e.name) == CODE_NOTHING)
                return CODE_NOTHING;
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

int client_properties(sd_bus *bus, const char *path, const char *interface, json_object **ret, sd_bus_error *reterr) {
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_json_ json_object *o = NULL;

        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", interface);
        if (r >= 0)
                r = sd_bus_call(bus, m, CALL_USEC, reterr, &reply);
        if (r >= 0)
                r = bus_read_properties(reply, &o);
        if (r < 0)
                return r;

        if (output.json == JSON_OFF)
                json_make_printable(o);
        *ret = TAKE_PTR(o);
        return 0;
}

void client_add_report(sd_bus *bus, const char *id, json_object *removal) {
        static const char *const keys[] = { "message", "remedy", "lost", "disturbed", "plan" };
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL;
        _cleanup_json_ json_object *report = NULL;
        _cleanup_free_ char *path = NULL;

        int r = sd_bus_path_encode(BUS_REMOVAL_PREFIX, id, &path);
        if (r >= 0)
                r = document_call_new(bus, path, BUS_REMOVAL, "Report", &m);
        if (r >= 0)
                r = call_for_json(bus, m, CALL_USEC, &report, &e);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(keys); i++)
                json_set(removal, keys[i], json_ref(json_get(report, keys[i])));
}

typedef struct Objects {
        json_object *slots, *removals;
} Objects;

static int read_interface(sd_bus_message *m, void *userdata) {
        _cleanup_json_ json_object *o = NULL;
        Objects *objects = userdata;
        const char *interface;

        int r = sd_bus_message_read_basic(m, 's', &interface);
        if (r < 0)
                return r;

        json_object *array = streq(interface, BUS_SLOT) ? objects->slots : streq(interface, BUS_REMOVAL) ? objects->removals : NULL;
        if (!array)
                return sd_bus_message_skip(m, "a{sv}");

        r = bus_read_properties(m, &o);
        if (r < 0)
                return r;
        if (output.json == JSON_OFF)
                json_make_printable(o);
        json_object_array_add(array, TAKE_PTR(o));
        return 0;
}

static int read_object(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_skip(m, "o");

        return r < 0 ? r : bus_read_dict(m, "sa{sv}", read_interface, userdata);
}

/* Slot names and ids are numbers more often than not: 2 before 10. */
static int compare(const void *a, const void *b, const char *key) {
        const char *x = json_str(*(json_object *const *) a, key), *y = json_str(*(json_object *const *) b, key);

        return strverscmp(x ?: "", y ?: "");
}

static int compare_name(const void *a, const void *b) {
        return compare(a, b, "name");
}

static int newest_first(const void *a, const void *b) {
        return compare(b, a, "id");
}

int client_try_objects(sd_bus *bus, json_object **ret_slots, json_object **ret_removals, sd_bus_error *reterr) {
        _cleanup_json_ json_object *slots = json_object_new_array(), *removals = json_object_new_array();
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;

        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                               "GetManagedObjects");
        if (r >= 0)
                r = sd_bus_call(bus, m, 30 * USEC_PER_SEC, reterr, &reply);
        if (r < 0)
                return r;

        if (bus_read_dict(reply, "oa{sa{sv}}", read_object, &(Objects) { .slots = slots, .removals = removals }) < 0)
                return -EBADMSG;
        json_object_array_sort(slots, compare_name);
        json_object_array_sort(removals, newest_first);

        *ret_slots = TAKE_PTR(slots);
        *ret_removals = TAKE_PTR(removals);
        return 0;
}

ExitCode client_objects(sd_bus *bus, json_object **ret_slots, json_object **ret_removals) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        int r = client_try_objects(bus, ret_slots, ret_removals, &e);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}
