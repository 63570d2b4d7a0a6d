/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "daemon/caller/bus-error.h"
#include "daemon/manager/removals.h"
#include "rights-bus.h"

int rights_bus_begin(const Bus *b, RemovalRequest request, sd_bus_message *call, sd_bus_error *error) {
        request.asker = sd_bus_message_ref(call);
        int r = manager_remove(b->manager, request);
        if (r >= 0)
                return 1;
        sd_bus_message_unref(call);
        return sd_bus_error_setf(error, BUS_ERROR_FAILED, "The %s cannot be started: %s.",
                        request.kind == KIND_RESTORE ? "restoration" : "removal", strerror(-r));
}

/* What he was authorized for is what is done: the slots that were asked about, whatever his words for them mean by now (a path is his to change), and of them
 * the plan with that digest, which has the card in it, or none. */
static int start_authorized(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr) {
        json_object *question = json_get(kept, "request"), *slots = json_array(kept, "slots");
        _cleanup_json_ json_object *options = json_object_new_object(), *targets = json_object_new_array();
        bool restore = streq_ptr(json_str(question, "kind"), removal_kind_to_string(KIND_RESTORE));

        json_object_object_foreach(json_get(question, "options"), key, value)
                json_set(options, key, json_ref(value));
        json_set_str(options, "digest", json_str(kept, "digest"));
        /* Of several cards that are restored any slot names all. */
        for (size_t i = 0; i < (restore ? 1 : json_len(slots)); i++)
                json_append_strf(targets, "slot:%s", json_object_get_string(json_at(slots, i)));
        _cleanup_free_ char *target = json_joined(targets, NULL, " ");
        const RemovalRequest request = {
                .kind = restore ? KIND_RESTORE : KIND_REMOVE, .trigger = TRIGGER_COMMAND, .target = target, .targets = json_len(targets) > 1 ? targets : NULL,
                .options = options, .by = by,
        };
        return rights_bus_begin(bus, request, call, reterr);
}

/* For polkit: `slot` has all of them, as `holders` is how many use the card. */
static json_object *details_of(json_object *line) {
        _cleanup_free_ char *slots = json_joined(json_array(line, "slots"), NULL, " ");
        json_object *details = json_object_new_object();

        json_set_str(details, "slot", slots);
        json_set_str(details, "serial", json_str(line, "serial") ?: "unknown");
        json_set_strf(details, "holders", "%" PRIu64, json_u64(line, "holders"));
        return details;
}

static int ask_rights(Bus *b, sd_bus_message *call, json_object *request, json_object *line, sd_bus_error *reterr) {
        const char *asked = json_str(json_get(request, "options"), "digest"), *digest = json_str(line, "digest");
        _cleanup_json_ json_object *details = details_of(line), *kept = json_object_new_object();
        json_object *by = json_get(line, "by") ?: json_get(request, "by"); /* with more of him, while he was there */

        if (asked && digest && !digest_is_meant(asked, digest))
                return sd_bus_error_setf(reterr, BUS_ERROR_STALE, "The machine has changed since the plan was shown: its digest is now %s, not %s.", digest, asked);
        json_set(kept, "request", json_ref(request));
        json_set(kept, "slots", json_ref(json_get(line, "slots")));
        json_set_str(kept, "digest", digest);
        const RightsWish wish = { .actions = json_array(line, "actions"), .details = details, .kept = kept, .then = start_authorized, .userdata = b };
        if (json_len(wish.actions) == 0 || json_len(json_array(line, "slots")) == 0 || !digest)
                return sd_bus_error_setf(reterr, BUS_ERROR_FAILED, "The worker did not say what it takes.");
        return rights_ask(b->rights, call, by, &wish, reterr);
}

static void on_told(void *bus, sd_bus_message *call, json_object *request, json_object *line) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        int r = ask_rights(bus, call, request, line, &error);
        if (r < 0)
                (void) (sd_bus_error_is_set(&error) ? sd_bus_reply_method_error(call, &error) : sd_bus_reply_method_errno(call, r, NULL));
}

int rights_bus_start(Bus *b, sd_bus_message *call, json_object *request, sd_bus_error *reterr) {
        const AskWish wish = { .verb = "rights", .what = "What it takes", .request = request, .told = on_told, .userdata = b };
        _cleanup_json_ json_object *actions = json_object_new_array();

        json_append_str(actions, json_str(request, "kind")); /* the two that every other one comes beside */
        if (!rights_may_begin(b->rights, json_get(request, "by")))
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "You have begun many removals, each of which takes the place of an older one on record: one "
                                         "more may begin in each half hour. Root (sudo) may begin one at any time.");
        if (!rights_can_ask(b->rights, call))
                return rights_ask(b->rights, call, json_get(request, "by"), &(const RightsWish) { .actions = actions }, reterr);
        return asks_add(b->asks, call, json_get(request, "by"), &wish, reterr);
}

static int cancel(Removal *r, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        int k = manager_cancel(r, by);

        if (k == -EALREADY)
                return sd_bus_error_setf(error, BUS_ERROR_NOT_RUNNING, "%s %s has ended already (%s).", removal_noun(r), r->id,
                                outcome_to_string(r->outcome));
        if (k < 0)
                return sd_bus_error_setf(error, BUS_ERROR_TOO_LATE,
                                "Removal %s is past the point from which it can be put back. It goes on to its end.", r->id);
        return sd_bus_reply_method_return(call, "");
}

static int cancel_authorized(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr) {
        const Manager *m = ((Bus *) bus)->manager;

        for (size_t i = 0; i < m->n_removals; i++)
                if (m->removals[i]->started && streq(m->removals[i]->path, json_str(kept, "path")))
                        return cancel(m->removals[i], call, by, reterr);
        return sd_bus_error_setf(reterr, BUS_ERROR_NOT_RUNNING, "The removal has ended already.");
}

int rights_bus_cancel(Bus *b, Removal *r, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        _cleanup_json_ json_object *actions = json_object_new_array(), *details = json_object_new_object(), *kept = json_object_new_object();
        const RightsWish wish = { .actions = actions, .details = details, .kept = kept, .then = cancel_authorized, .userdata = b };
        bool own = r->trigger == TRIGGER_COMMAND && json_has(r->by, "uid") && json_u64(r->by, "uid") == json_u64(by, "uid");

        if (own || who_is_privileged(by))
                return cancel(r, call, by, reterr);
        json_append_str(actions, "cancel");
        json_set_str(details, "slot", removal_label(r));
        json_set_str(details, "serial", json_str(r->card, "serial") ?: "unknown");
        json_set_str(details, "removal", r->id);
        json_set_str(kept, "path", r->path);
        return rights_ask(b->rights, call, by, &wish, reterr);
}
