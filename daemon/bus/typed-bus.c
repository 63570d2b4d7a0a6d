/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A worker makes the pages, which are no longer than a reply's text (daemon/worker/page.c); what they say is written into the reply one by one.
 * Each structure has a dictionary at its end, for what is said some day: so no signature is ever changed. */
#include "daemon/caller/bus-error.h"
#include "manager-bus.h"
#include "removal-bus.h"
#include "slot-bus.h"
#include "typed-bus.h"

enum {
        INTERFACE_VERSION = 1, /* the one in the names: it changes with them alone */
        SLOT_BYTES = 512,      /* about that much of the reply */
};

/* Of each item; the list's has parentheses around it. */
#define STEP "usssba{sv}"
#define BLOCKER "ssssasa{sv}"
#define HOLD "ssst"
#define HOLDER "utsussssa(" HOLD ")asa{sv}"
#define SLOT "ossbssssssoa{sv}"
#define PAGE_NAMES SD_BUS_PARAM(digest) SD_BUS_PARAM(list) SD_BUS_PARAM(total)

static int append_texts(sd_bus_message *m, json_object *texts) {
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (size_t i = 0; i < json_len(texts) && r >= 0; i++)
                r = sd_bus_message_append_basic(m, 's', json_object_get_string(json_at(texts, i)) ?: "");
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* An entry of a dictionary; none where the object has no such text. */
static int append_text_entry(sd_bus_message *m, json_object *o, const char *key) {
        const char *text = json_str(o, key);

        return text ? sd_bus_message_append(m, "{sv}", key, "s", text) : 0;
}

static int append_flag_entry(sd_bus_message *m, json_object *o, const char *key) {
        return json_has(o, key) ? sd_bus_message_append(m, "{sv}", key, "b", (int) json_flag(o, key)) : 0;
}

static int append_number_entry(sd_bus_message *m, json_object *o, const char *key) {
        return json_get(o, key) ? sd_bus_message_append(m, "{sv}", key, "t", json_u64(o, key)) : 0;
}

static int append_texts_entry(sd_bus_message *m, json_object *o, const char *key) {
        if (!json_array(o, key))
                return 0;
        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = append_texts(m, json_array(o, key));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_step(sd_bus_message *m, json_object *o) {
        int r = sd_bus_message_append(m, "usssb", (uint32_t) json_u64(o, "n"), json_str(o, "name") ?: "", json_str(o, "does") ?: "",
                        json_str(o, "undo") ?: "", (int) json_flag(o, "reversible"));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_flag_entry(m, o, "frame");
        if (r >= 0)
                r = append_texts_entry(m, o, "left_out");
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_blocker(sd_bus_message *m, json_object *o) {
        int r = sd_bus_message_append(m, "ssss", json_str(o, "code") ?: "", json_str(o, "severity") ?: "", json_str(o, "what") ?: "",
                        json_str(o, "evidence") ?: "");
        if (r >= 0)
                r = append_texts(m, json_array(o, "remedy"));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_text_entry(m, o, "library");
        if (r >= 0)
                r = append_flag_entry(m, o, "withheld");
        if (r >= 0)
                r = append_texts_entry(m, o, "left_out");
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_hold(sd_bus_message *m, json_object *o) {
        return sd_bus_message_append(m, "(" HOLD ")", json_str(o, "way") ?: "", json_str(o, "target") ?: "", json_str(o, "path") ?: "",
                        json_u64(o, "bytes"));
}

/* What only some kinds of holders have. */
static int append_more_of_holder(sd_bus_message *m, json_object *o) {
        static const char *const texts[] = { "what", "grade", "found" }, *const numbers[] = { "bytes", "node", "more_holds" },
                          *const flags[] = { "protected", "hidden", "bound", "in_policy" };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text_entry(m, o, texts[i]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(numbers); i++)
                r = append_number_entry(m, o, numbers[i]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(flags); i++)
                r = append_flag_entry(m, o, flags[i]);
        return r < 0 ? r : append_texts_entry(m, o, "left_out");
}

static int append_holder(sd_bus_message *m, json_object *o) {
        json_object *holds = json_array(o, "holds");

        int r = sd_bus_message_append(m, "utsussss", (uint32_t) json_u64(o, "pid"), json_u64(o, "start_time"), json_str(o, "kind") ?: "",
                        json_get(o, "uid") ? (uint32_t) json_u64(o, "uid") : UINT32_MAX, json_str(o, "comm") ?: "", json_str(o, "exe") ?: "",
                        json_str(o, "unit") ?: "", json_str(o, "cgroup") ?: "");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(" HOLD ")");
        for (size_t i = 0; i < json_len(holds) && r >= 0; i++)
                r = append_hold(m, json_at(holds, i));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = append_texts(m, json_array(o, "on_remove"));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_more_of_holder(m, o);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

typedef int (*append_t)(sd_bus_message *m, json_object *o);

static int append_page(sd_bus_message *m, json_object *page, const char *item, append_t append) {
        _cleanup_free_ char *list = strf("(%s)", item);
        json_object *items = json_array(page, "items");

        int r = list ? sd_bus_message_append(m, "ssu", json_str(page, "digest") ?: "", json_str(page, "list") ?: "", (uint32_t) json_u64(page, "total"))
                     : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', list);
        for (size_t i = 0; i < json_len(items) && r >= 0; i++) {
                r = sd_bus_message_open_container(m, 'r', item);
                if (r >= 0)
                        r = append(m, json_at(items, i));
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int reply_steps(json_object *page, sd_bus_message *reply) {
        return append_page(reply, page, STEP, append_step);
}

static int reply_blockers(json_object *page, sd_bus_message *reply) {
        return append_page(reply, page, BLOCKER, append_blocker);
}

static int reply_holders(json_object *page, sd_bus_message *reply) {
        return append_page(reply, page, HOLDER, append_holder);
}

static int reply_summary(json_object *page, sd_bus_message *reply) {
        json_object *o = json_at(json_array(page, "items"), 0);

        int r = sd_bus_message_append(reply, "sss", json_str(o, "digest") ?: "", json_str(o, "verdict") ?: "", json_str(o, "kind") ?: "");
        if (r >= 0)
                r = append_texts(reply, json_array(o, "slots"));
        if (r >= 0)
                r = append_texts(reply, json_array(o, "serials"));
        if (r >= 0)
                r = sd_bus_message_append(reply, "tuuuu", json_u64(o, "eta_usec"), (uint32_t) json_u64(o, "steps"), (uint32_t) json_u64(o, "blockers"),
                                (uint32_t) json_u64(o, "warnings"), (uint32_t) json_u64(o, "holders"));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        static const char *const texts[] = { "of", "code", "message" }, *const numbers[] = { "memory_bytes", "used_bytes" },
                          *const flags[] = { "holders_complete", "withheld" };
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text_entry(reply, o, texts[i]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(numbers); i++)
                r = append_number_entry(reply, o, numbers[i]);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(flags); i++)
                r = append_flag_entry(reply, o, flags[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* The methods that a worker answers: which list of a plan, and what becomes of a page of it. */
static const struct {
        const char *member, *what;
        ask_typed_t typed;
} lists[] = {
        { "Plan", "summary", reply_summary },
        { "ListPlanSteps", "steps", reply_steps },
        { "ListPlanBlockers", "blockers", reply_blockers },
        { "ListPlanWarnings", "warnings", reply_blockers },
        { "ListPlanHolders", "holders", reply_holders },
        { "ListSteps", "steps", reply_steps },
        { "ListBlockers", "blockers", reply_blockers },
        { "ListWarnings", "warnings", reply_blockers },
        { "ListHolders", "holders", reply_holders },
};

/* Which page is meant, behind the arguments that were read: as a request's `page`, and what to make of the answer. */
static int read_page(sd_bus_message *call, json_object *request, ask_typed_t *ret_typed, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(call), *list = "";
        json_object *page = json_object_new_object();
        uint32_t first = 0, most = 0;
        size_t i = 0;

        json_set(request, "page", page);
        while (!streq(lists[i].member, member))
                i++; /* the vtables have no other */
        int r = streq(lists[i].what, "summary") ? 0 : sd_bus_message_read(call, "suu", &list, &first, &most);
        if (r < 0)
                return r;
        const char *name = startswith(list, lists[i].what);
        if (*list && !(name && *name == '@'))
                return sd_bus_error_setf(error, BUS_ERROR_BAD_OPTION, "The list must be empty, or one that %s named.", member);
        json_set_str(page, "what", *list ? list : lists[i].what);
        json_set_u64(page, "first", first);
        json_set_u64(page, "most", most);
        *ret_typed = lists[i].typed;
        return 0;
}

static int plan(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = NULL;
        AskWish wish = { .what = "The plan" };
        const char *kind;

        int r = sd_bus_message_read_basic(call, 's', &kind);
        if (r >= 0)
                r = manager_bus_read_question(bus, call, by, &request, error);
        if (r >= 0)
                r = read_page(call, request, &wish.typed, error);
        if (r < 0)
                return r;
        int k = removal_kind_from_string(kind);
        if (k < 0)
                return sd_bus_error_setf(error, BUS_ERROR_BAD_OPTION, "The kind must be 'remove' or 'restore', not '%s'.", kind);
        if (k == KIND_RESTORE && json_has(request, "targets"))
                return sd_bus_error_setf(error, BUS_ERROR_BAD_OPTION, "One card is restored at a time.");
        wish.verb = k == KIND_RESTORE ? "plan-restore" : "plan";
        wish.request = request;
        return asks_add(((Bus *) bus)->asks, call, by, &wish, error);
}

static int list_of_removal(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = NULL;
        AskWish wish = { .verb = "page", .what = "The page" };

        int r = removal_bus_page_request(bus, call, by, &request, error);
        if (r >= 0)
                r = read_page(call, request, &wish.typed, error);
        if (r < 0)
                return r;
        wish.request = request;
        return asks_add(((Bus *) bus)->asks, call, by, &wish, error);
}

static int append_slot(sd_bus_message *m, const ManagedSlot *s) {
        static const SlotText texts[] = {
                SLOT_TEXT_CARD_ADDRESS, SLOT_TEXT_MEMDEV, SLOT_TEXT_SERIAL, SLOT_TEXT_POWER, SLOT_TEXT_POWER_LED, SLOT_TEXT_ATTENTION_LED,
        };

        int r = sd_bus_message_open_container(m, 'r', SLOT);
        if (r >= 0)
                r = sd_bus_message_append(m, "ossb", s->path, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_STATE), (int) s->view.occupied);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = sd_bus_message_append_basic(m, 's', slot_get(s, texts[i]));
        if (r >= 0)
                r = sd_bus_message_append(m, "oa{sv}", slot_get(s, SLOT_TEXT_REMOVAL), 2, "held", "b", (int) s->view.held, "stale", "b",
                                (int) s->view.stale);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int list_slots(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Bus *b = bus;
        const Manager *m = b->manager;

        int r = who_charge(b->who, call, (uint32_t) json_u64(by, "uid"), m->n_slots * SLOT_BYTES, error);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(" SLOT ")");
        for (size_t i = 0; i < m->n_slots && r >= 0; i++)
                r = append_slot(reply, m->slots[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_plan(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Bus *) userdata)->who, call, plan, error);
}

static int on_list_slots(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Bus *) userdata)->who, call, list_slots, error);
}

#define PLAN_PAGE(name, item, items) \
        SD_BUS_METHOD_WITH_NAMES(name, "sasa{sv}suu", SD_BUS_PARAM(kind) SD_BUS_PARAM(targets) SD_BUS_PARAM(options) SD_BUS_PARAM(list) \
                        SD_BUS_PARAM(first) SD_BUS_PARAM(most), "ssua(" item ")", PAGE_NAMES SD_BUS_PARAM(items), on_plan, SD_BUS_VTABLE_UNPRIVILEGED)

/* What a client may ask for before it uses it (docs/PROTOCOL.md, "What stays"). Words are added, never taken away. */
static const char *const features[] = { "ages", "estimates", "incidents", "inhibitors", "kept-documents", "last-outcome", "locate", "memory-stays", "reload", "self-test", "totals", "typed-plans" };

static int get_features(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(features); i++)
                r = sd_bus_message_append_basic(reply, 's', features[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_count(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const Manager *m = ((Bus *) userdata)->manager;
        uint32_t n = 0;

        if (streq(property, "InterfaceVersion"))
                n = INTERFACE_VERSION;
        else if (streq(property, "SlotCount"))
                for (size_t i = 0; i < m->n_slots; i++)
                        n += m->slots[i]->shown;
        else /* RunningCount */
                for (size_t i = 0; i < m->n_removals; i++)
                        n += removal_runs(m->removals[i]);
        return sd_bus_message_append(reply, "u", n);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("InterfaceVersion", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Features", "as", get_features, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("SlotCount", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RunningCount", "u", get_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_NAMES("ListSlots", "",, "a(" SLOT ")", SD_BUS_PARAM(slots), on_list_slots, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Plan", "sasa{sv}", SD_BUS_PARAM(kind) SD_BUS_PARAM(targets) SD_BUS_PARAM(options), "sssasastuuuua{sv}",
                        SD_BUS_PARAM(digest) SD_BUS_PARAM(verdict) SD_BUS_PARAM(plan_kind) SD_BUS_PARAM(slots) SD_BUS_PARAM(serials)
                        SD_BUS_PARAM(eta_usec) SD_BUS_PARAM(steps) SD_BUS_PARAM(blockers) SD_BUS_PARAM(warnings) SD_BUS_PARAM(holders)
                        SD_BUS_PARAM(more), on_plan, SD_BUS_VTABLE_UNPRIVILEGED),
        PLAN_PAGE("ListPlanSteps", STEP, steps),
        PLAN_PAGE("ListPlanBlockers", BLOCKER, blockers),
        PLAN_PAGE("ListPlanWarnings", BLOCKER, warnings),
        PLAN_PAGE("ListPlanHolders", HOLDER, holders),
        SD_BUS_VTABLE_END
};

static int on_list_of_removal(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return who_asks(((Bus *) userdata)->who, call, list_of_removal, error);
}

#define REMOVAL_PAGE(name, item, items) \
        SD_BUS_METHOD_WITH_NAMES(name, "suu", SD_BUS_PARAM(list) SD_BUS_PARAM(first) SD_BUS_PARAM(most), "ssua(" item ")", \
                        PAGE_NAMES SD_BUS_PARAM(items), on_list_of_removal, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable removal_vtable[] = {
        SD_BUS_VTABLE_START(0),
        REMOVAL_PAGE("ListSteps", STEP, steps),
        REMOVAL_PAGE("ListBlockers", BLOCKER, blockers),
        REMOVAL_PAGE("ListWarnings", BLOCKER, warnings),
        REMOVAL_PAGE("ListHolders", HOLDER, holders),
        SD_BUS_VTABLE_END
};

/* Its methods get the bus: whose removal it is they ask themselves, once they know who calls. */
static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        *ret_found = userdata;
        return removal_bus_at(((Bus *) userdata)->manager, path) != NULL;
}

/* Another table of the interfaces that manager-bus.c and removal-bus.c have registered. */
int typed_bus_register(Bus *b, sd_bus *bus) {
        int r = sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, MANAGER_INTERFACE, manager_vtable, b);
        return r < 0 ? r : sd_bus_add_fallback_vtable(bus, NULL, REMOVAL_PATH, REMOVAL_INTERFACE, removal_vtable, find, b);
}
