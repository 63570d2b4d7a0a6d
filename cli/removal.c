/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>

#include "base/clock.h"
#include "cli/text/event-text.h"
#include "cli/text/output.h"
#include "removal.h"

enum {
        DISTURBED_MAX = 20,
};

#define SCHEMA "safe-remove/removal/1"

/* The plan is a document of its own; on the bus it travels as text. */
static json_object *plan_of(json_object *removal) {
        json_object *plan = json_get(removal, "plan"), *parsed = NULL;

        if (!json_object_is_type(plan, json_type_string))
                return json_ref(plan);
        (void) client_parse(json_object_get_string(plan), &parsed);
        return parsed;
}

/* One order and one set of keys, whatever it was made from: a script must not care whether the removal was still on the
 * bus. A key without a value is null. */
static json_object *removal_new(json_object *from) {
        static const char *const keys[] = {
                "id", "kind", "slot", "target", "trigger", "by_uid", "by_session", "by_unit", "state", "step", "step_index", "step_count", "progress",
                "started_usec", "usec", "cancelable", "outcome", "code", "message", "remedy", "lost", "disturbed",
        };
        static const char *const asker_keys[] = { "by_session", "by_unit" };
        json_object *o = json_object_new_object();

        json_set_str(o, "schema", SCHEMA);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(o, keys[i], json_ref(json_get(from, keys[i])));
        if (json_has(from, "age_usec"))
                json_set(o, "usec", json_ref(json_get(from, "age_usec")));
        /* On the bus that is a number, whoever asked. */
        if (json_str(from, "trigger") && !streq(json_str(from, "trigger"), "command"))
                json_set(o, "by_uid", NULL);
        /* "" on the bus. */
        for (size_t i = 0; i < ELEMENTSOF(asker_keys); i++)
                if (streq_ptr(json_str(o, asker_keys[i]), ""))
                        json_set(o, asker_keys[i], NULL);
        json_set(o, "plan", plan_of(from));
        if (json_len(json_array(from, "slots")) > 1)
                json_set(o, "slots", json_ref(json_get(from, "slots")));
        return o;
}

json_object *removal_of_properties(json_object *properties) {
        return removal_new(properties);
}

json_object *removal_of_history(json_object *entry) {
        json_object *o = removal_new(entry);

        if (streq_ptr(json_str(entry, "trigger"), "command")) {
                json_object *by = json_get(entry, "by");
                json_set(o, "by_uid", json_ref(json_get(by, "uid")));
                json_set(o, "by_session", json_ref(json_get(by, "session")));
                json_set(o, "by_unit", json_ref(json_get(by, "unit")));
        }
        /* Where the daemon works on it, it is on the bus too; here it is one that nobody works on. */
        json_set_str(o, "state", json_flag(entry, "ended") ? "ended" : "unfinished");
        json_set(o, "usec", json_ref(json_get(entry, "took_usec")));
        return o;
}

json_object *removal_of_end(json_object *event) {
        json_object *o = removal_new(event);

        json_set_str(o, "id", event_removal(event));
        json_set_str(o, "state", "ended");
        return o;
}

/* Slots are named by strings, or are objects that have a name. */
static const char *name_of(json_object *slot) {
        return json_object_is_type(slot, json_type_string) ? json_object_get_string(slot) : json_str(slot, "name");
}

char *slots_text(json_object *o) {
        json_object *slots = json_array(o, "slots");
        _cleanup_free_ char *text = NULL;

        if (json_len(slots) <= 1)
                return strdup(name_of(json_get(o, "slot")) ?: "?");
        for (size_t i = 0; i < json_len(slots); i++)
                if (text_add(&text, " ", "%s", name_of(json_at(slots, i)) ?: "?") < 0)
                        return NULL;
        return TAKE_PTR(text);
}

char *slots_label(json_object *o) {
        _cleanup_free_ char *slots = slots_text(o);

        return strf("slot%s %s", json_len(json_array(o, "slots")) > 1 ? "s" : "", slots);
}

char *event_line(json_object *event) {
        const char *slot = json_str(event, "slot"), *removal = event_removal(event);
        bool one = streq_ptr(json_str(event, "type"), "led"), has_slot = slot && *slot, has_removal = removal && *removal;
        _cleanup_free_ char *text = event_text(event), *slots = one || !json_array(event, "slots") ? NULL : slots_text(event);

        return strf("%s%s%s%s%s%s%s", has_slot ? "slot " : "", has_slot ? slots ?: slot : "", has_slot ? "  " : "", has_removal ? "removal " : "",
                    has_removal ? removal : "", has_removal ? "  " : "", text ?: "");
}

/* Of several slots each finds it. */
static json_object *find_by_slot(json_object *removals, const char *slot) {
        json_object *found = json_find(removals, "slot", slot);

        for (size_t i = 0; slot && !found && i < json_len(removals); i++) {
                json_object *slots = json_array(json_at(removals, i), "slots");
                for (size_t k = 0; k < json_len(slots) && !found; k++)
                        found = streq_ptr(name_of(json_at(slots, k)), slot) ? json_at(removals, i) : NULL;
        }
        return found;
}

/* The other names are those that a slot object carries. */
static bool slot_has_name(json_object *slot, const char *name) {
        static const char *const keys[] = { "card_address", "memdev", "serial" };
        const char *serial = startswith(name, "serial:") ?: name, *port = startswith(name, "port:");

        if (port)
                return streq_ptr(json_str(slot, "port"), port);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (streq_ptr(json_str(slot, keys[i]), serial))
                        return true;
        return false;
}

/* "2", "slot2" and "slot:2" are the same slot. */
static const char *slot_of_name(const char *name) {
        return startswith(name, "slot:") ?: startswith(name, "slot") ?: name;
}

/* The daemon's order (a bare number is a slot wherever there is one of that name, only then an id): `status 7` must not
 * show another removal than `cancel 7` stops. */
json_object *removal_find(json_object *removals, json_object *slots, const char *name) {
        const char *slot = slot_of_name(name);
        json_object *found = find_by_slot(removals, slot) ?: json_find(removals, "target", name);

        for (size_t i = 0; !found && i < json_len(slots); i++)
                if (slot_has_name(json_at(slots, i), name))
                        found = find_by_slot(removals, json_str(json_at(slots, i), "name"));
        if (found || json_find(slots, "name", name))
                return found;
        return json_find(removals, "id", name);
}

ExitCode removal_fail_none(sd_bus *bus, json_object *slots, const char *name, const char *what) {
        static const char not_running[] = "org.saferemove1.Error.NotRunning";
        _cleanup_json_ json_object *ended = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *slot = slot_of_name(name);
        bool there = json_find(slots, "name", slot) != NULL, number = *name && strspn(name, "0123456789") == strlen(name);

        for (size_t i = 0; !there && i < json_len(slots); i++)
                there = slot_has_name(json_at(slots, i), name);
        if (!there && number && removal_from_history(bus, name, &ended) >= 0)
                return fail(CODE_NOTHING, not_running, "%s %s has ended; see: %s status %s", removal_noun(ended), name, client_command(), name);
        if (!there && number)
                return fail(CODE_NOT_FOUND, NULL, "no removal has the id or the target '%s'; see: %s history", name, client_command());
        /* What it is of a card only the machine itself says. */
        int r = there ? 0 : client_try_name(bus, name, &e);
        if (r < 0)
                return client_fail(r, &e);
        return fail(CODE_NOTHING, not_running, "no removal of '%s' %s; see: %s status", name, what, client_command());
}

json_object *removals_running(json_object *removals) {
        json_object *running = json_object_new_array();

        for (size_t i = 0; i < json_len(removals); i++) {
                const char *state = json_str(json_at(removals, i), "state");
                if (!streq_ptr(state, "ended") && !streq_ptr(state, "unfinished"))
                        json_object_array_add(running, json_ref(json_at(removals, i)));
        }
        return running;
}

int removal_from_history(sd_bus *bus, const char *id, json_object **ret) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_object *history = NULL;

        int r = client_try_history(bus, 0, &history, &e);
        if (r < 0)
                return r;

        json_object *entry = json_find(json_array(history, "removals"), "id", id);
        if (!json_flag(entry, "ended"))
                return -ENOENT;
        *ret = removal_of_history(entry);
        return 0;
}

char *removal_leds(sd_bus *bus, const char *slot) {
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *path = NULL;

        if (!slot || sd_bus_path_encode(BUS_SLOT_PREFIX, slot, &path) < 0)
                return NULL;
        if (client_properties(bus, path, BUS_SLOT, &properties, &e) < 0)
                return NULL;
        return led_text(json_str(properties, "power_led"), json_str(properties, "attention_led"));
}

/* Users of another machine have names that are not known here. */
static char *user_text(uint64_t uid) {
        const struct passwd *user = client_host() ? NULL : getpwuid((uid_t) uid);
        char *text = user ? strdup(user->pw_name) : strf("uid %" PRIu64, uid);

        if (text)
                utf8_make_printable(text);
        return text;
}

char *asker_text(json_object *o) {
        json_object *by = json_get(o, "by"), *uid = by ? json_get(by, "uid") : json_get(o, "by_uid");
        const char *trigger = json_str(o, "trigger"), *session = json_str(by, "session") ?: json_str(o, "by_session"),
                   *unit = json_str(by, "unit") ?: json_str(o, "by_unit");

        if (!uid || !streq_ptr(trigger, "command"))
                return strdup(trigger ?: "");
        _cleanup_free_ char *user = user_text(json_object_get_uint64(uid));
        if (session && *session)
                return strf("%s, session %s", user, session);
        return strf("%s%s%s", user, unit && *unit ? ", " : "", unit ?: "");
}

const char *lost_word(json_object *removal) {
        const char *outcome = json_str(removal, "outcome");

        return streq_ptr(outcome, "safe") || streq_ptr(outcome, "released") ? "lost" : "not put back";
}

const char *removal_noun(json_object *removal) {
        return streq_ptr(json_str(removal, "kind"), "restore") ? "restoration" : "removal";
}

static void print_running(json_object *removal) {
        _cleanup_free_ char *slots = slots_label(removal);

        printf("%s: %s %s is %s", slots, removal_noun(removal), json_str(removal, "id") ?: "?",
               json_str(removal, "state") ?: "?");
        if (json_u64(removal, "step_count") > 0)
                printf(", step %" PRIu64 "/%" PRIu64 " %s", json_u64(removal, "step_index") + 1,
                       json_u64(removal, "step_count"), json_str(removal, "step") ?: "");
        puts(streq_ptr(json_str(removal, "state"), "finishing") ? ", cannot be cancelled any more" : "");
}

/* The message without the words that the outcome beside it says already. */
static const char *reason_text(json_object *removal) {
        static const char *const said[] = { "refused: ", "nothing to do: ", "failed, " };
        const char *message = message_text(removal);

        for (size_t i = 0; message && i < ELEMENTSOF(said); i++)
                message = startswith(message, said[i]) ?: message;
        return message;
}

/* How many there are was their users' choice. */
static void print_disturbed(json_object *removal) {
        json_object *all = json_array(removal, "disturbed");
        size_t n = json_len(all);

        for (size_t i = 0; i < n && i < DISTURBED_MAX; i++)
                printf("  disturbed: %s\n", json_object_get_string(json_at(all, i)));
        if (n > DISTURBED_MAX)
                printf("  disturbed: %zu more (%s certificate %s)\n", n - DISTURBED_MAX, client_command(), json_str(removal, "id") ?: "");
}

static void print_ended(json_object *removal, const char *leds) {
        bool restores = streq_ptr(json_str(removal, "kind"), "restore"), test = json_has(json_get(removal, "plan"), "self_test") || json_has(removal, "self_test");
        const struct {
                const char *outcome;
                Color color;
                const char *text;
        } outcomes[] = {
                { "safe", COLOR_GOOD, "safe to pull" },
                { "released", COLOR_GOOD, "released" },
                { "restored", COLOR_WARN, test ? "not passed" : "not removed" },
                { "refused", COLOR_BAD, "refused, nothing was touched" },
                { "nothing", COLOR_NONE, restores ? "nothing to restore" : test ? "nothing to test" : "nothing to remove" },
                { "stuck", COLOR_BAD, "STUCK, needs attention" },
                { "interrupted", COLOR_WARN, "interrupted by a reboot" },
                { "rebuilt", COLOR_GOOD, "rebuilt" },
                { "tested", COLOR_GOOD, "tested" },
                { "incomplete", COLOR_BAD, "rebuilt in part" },
        };
        const char *outcome = json_str(removal, "outcome"), *message = reason_text(removal);
        json_object *remedy = json_array(removal, "remedy"), *lost = json_array(removal, "lost");
        _cleanup_free_ char *slots = slots_label(removal);
        bool safe = streq_ptr(outcome, "safe");

        printf("%s: ", slots);
        for (size_t i = 0; i < ELEMENTSOF(outcomes); i++)
                if (streq_ptr(outcomes[i].outcome, outcome))
                        print_colored(outcomes[i].color, "%s", outcomes[i].text);
        if (safe && leds && json_len(json_array(removal, "slots")) < 2)
                printf("  (%s)", leds);
        printf("%s%s\n", message && *message && !safe ? ": " : "", message && !safe ? message : "");
        for (size_t i = 0; i < json_len(remedy); i++)
                printf("%s  %s %s\n", output_as_it_is(), i == 0 ? "remedy:" : "       ", json_object_get_string(json_at(remedy, i)));
        for (size_t i = 0; i < json_len(lost); i++)
                printf("  %s: %s\n", lost_word(removal), json_object_get_string(json_at(lost, i)));
        print_disturbed(removal);
}

ExitCode removal_print(json_object *removal, const char *leds) {
        bool ended = streq_ptr(json_str(removal, "state"), "ended");

        if (output.json != JSON_OFF)
                print_json(removal);
        else if (ended)
                print_ended(removal, leds);
        else
                print_running(removal);
        if (!ended)
                return CODE_DONE;
        return exit_code_of_removal(json_str(removal, "outcome"), json_str(removal, "code"));
}

ExitCode removal_report(json_object *removal, const char *leds) {
        output_keep();
        ExitCode code = removal_print(removal, leds);
        output_release();
        return code;
}

void removal_print_now(sd_bus *bus, const char *path) {
        _cleanup_json_ json_object *properties = NULL, *removal = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *id = bus_name_of_path(path);

        if (client_properties(bus, path, BUS_REMOVAL, &properties, &e) >= 0) {
                removal = removal_of_properties(properties);
        } else if (!id || removal_from_history(bus, id, &removal) < 0) {
                removal = removal_new(NULL);
                json_set_str(removal, "id", id);
        }
        print_json(removal);
}
