/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/caller/answer.h"
#include "daemon/caller/bus-error.h"
#include "daemon/manager/policy.h"
#include "policy-bus.h"

enum {
        RELOAD_COST = 256 * 1024, /* bytes that one counts for: eight at once, then one in a second (caller/quota.h), as each is a worker and lines in the journal */
};

static int answer(const Bus *b, sd_bus_message *call, json_object *request, json_object *line, sd_bus_error *reterr) {
        _cleanup_json_ json_object *document = json_object_new_object();

        if (!manager_policy_checked(line))
                return sd_bus_error_setf(reterr, BUS_ERROR_FAILED, "The files with settings and rules cannot be looked through: %s",
                                         json_str(line, "message") ?: "the worker gave no reason.");
        json_set_str(document, "schema", "safe-remove/policy-check/1");
        json_set(document, "files", json_ref(json_get(line, "files")));
        json_set(document, "warnings", json_ref(json_get(line, "warnings")));
        const char *text = json_text(document);
        size_t length = strlen(text ?: "");
        if (!text || length > ANSWER_INLINE_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_TOO_LARGE, "More is wrong than a reply can hold. The journal has it: journalctl -u safe-removed");
        int r = who_charge(b->who, call, (uint32_t) json_u64(json_get(request, "by"), "uid"), length, reterr);
        return r < 0 ? r : sd_bus_reply_method_return(call, "s", text);
}

static void on_told(void *bus, sd_bus_message *call, json_object *request, json_object *line) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        int r = answer(bus, call, request, line, &error);
        if (r < 0)
                (void) (sd_bus_error_is_set(&error) ? sd_bus_reply_method_error(call, &error) : sd_bus_reply_method_errno(call, r, NULL));
}

static int reload(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr) {
        _cleanup_json_ json_object *request = json_object_new_object();
        const AskWish wish = { .verb = "check-policy", .what = "The policy", .request = request, .told = on_told, .userdata = bus };

        int r = who_charge(((const Bus *) bus)->who, call, (uint32_t) json_u64(by, "uid"), RELOAD_COST, reterr);
        if (r < 0)
                return r;
        json_set(request, "by", json_ref(by));
        return asks_add(((const Bus *) bus)->asks, call, by, &wish, reterr);
}

int policy_bus_reload(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        _cleanup_json_ json_object *actions = json_object_new_array();
        const RightsWish wish = { .actions = actions, .then = reload, .userdata = bus };

        if (who_is_privileged(by))
                return reload(bus, call, by, NULL, true, reterr);
        json_append_str(actions, "manage-policy");
        return rights_ask(((const Bus *) bus)->rights, call, by, &wish, reterr);
}
