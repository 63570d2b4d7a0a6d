/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "cli/client.h"
#include "cli/removal.h"
#include "cli/text/output.h"
#include "cli/view/slots-view.h"
#include "verbs.h"

/* The command without a verb: how things are, and what to type next. */

static size_t count(json_object *slots, const char *state) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(slots); i++)
                n += streq_ptr(json_str(json_at(slots, i), "state"), state);
        return n;
}

static void print_slots(json_object *slots) {
        /* What is wrong first. */
        static const struct {
                const char *state;
                Color color;
        } states[] = {
                { "stuck", COLOR_BAD }, { "lost", COLOR_BAD }, { "withdrawn", COLOR_BAD }, { "unknown", COLOR_BAD },
                { "refused", COLOR_WARN }, { "removing", COLOR_WARN }, { "restoring", COLOR_WARN }, { "safe", COLOR_GOOD },
                { "released", COLOR_NONE }, { "ready", COLOR_NONE }, { "empty", COLOR_NONE },
        };
        const char *separator = ": ";

        printf("%zu slot%s", json_len(slots), json_len(slots) == 1 ? "" : "s");
        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                size_t n = count(slots, states[i].state);
                if (n == 0)
                        continue;
                printf("%s%zu ", separator, n);
                print_colored(states[i].color, "%s", states[i].state);
                separator = ", ";
        }
        putchar('\n');
}

/* The state that matters most, what it means, and the command for it. */
static const struct {
        const char *state, *means, *command;
} advice[] = {
        { "stuck", "needs attention: its light does not say safe", "status" },
        { "withdrawn", "was safe to pull, and no longer is", "verify" },
        { "lost", "lost its card without a removal, and not all of it is gone", "verify" },
        { "unknown", "is unknown: the record of a removal cannot be read", "explain" },
        { "removing", "is being removed", "status" },
        { "restoring", "is being restored", "status" },
        { "refused", "has a card whose removal was refused", "explain" },
        { "safe", "is safe: pull the card", "certificate" },
        { "ready", NULL, "plan" },
};

static json_object *find_subject(json_object *slots, size_t *ret_advice) {
        for (size_t i = 0; i < ELEMENTSOF(advice); i++) {
                json_object *found = json_find(slots, "state", advice[i].state);
                if (found) {
                        *ret_advice = i;
                        return found;
                }
        }
        return NULL;
}

static char *next_command(json_object *slots) {
        size_t i;
        json_object *slot = find_subject(slots, &i);

        if (!slot)
                return strf("%s --help", client_command());
        _cleanup_free_ char *name = shell_quoted(json_str(slot, "name"));
        bool bare = streq(advice[i].command, "certificate");
        return strf("%s %s%s%s", client_command(), advice[i].command, bare ? "" : " ", bare ? "" : name ?: "");
}

static void print_wrong(json_object *slots) {
        for (size_t i = 0; i < ELEMENTSOF(advice); i++)
                for (size_t k = 0; advice[i].means && k < json_len(slots); k++)
                        if (streq_ptr(json_str(json_at(slots, k), "state"), advice[i].state))
                                printf("slot %s %s\n", json_str(json_at(slots, k), "name") ?: "?", advice[i].means);
}

/* `list` has the rest of them. */
static json_object *slots_short(json_object *slots) {
        static const char *const keys[] = { "name", "state", "card_address", "memdev", "serial", "removal" };
        json_object *all = json_object_new_array();

        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *o = json_object_new_object();
                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        json_set(o, keys[k], json_ref(json_get(json_at(slots, i), keys[k])));
                json_object_array_add(all, o);
        }
        return all;
}

static void print_json_form(json_object *slots, json_object *vanished, json_object *running, json_object *last, const char *next) {
        _cleanup_json_ json_object *o = json_object_new_object(), *shown = json_object_new_array();

        for (size_t i = 0; i < json_len(running); i++)
                json_object_array_add(shown, removal_of_properties(json_at(running, i)));
        json_set_str(o, "schema", "safe-remove/overview/1");
        json_set(o, "slots", slots_short(slots));
        json_set(o, "vanished", json_ref(vanished) ?: json_object_new_array());
        json_set(o, "running", json_ref(shown));
        json_set(o, "last", last ? removal_of_history(last) : NULL);
        json_set_str(o, "next", next);
        print_json(o);
}

ExitCode verb_overview(const Args *a) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL, *running = NULL, *history = NULL, *topology = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        /* The look first: a daemon that was started by this very call knows its slots only after it. */
        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_topology(bus, &topology);
        if (code == CODE_DONE)
                code = client_objects(bus, &slots, &removals);
        if (code == CODE_DONE)
                code = client_history(bus, 1, &history);
        if (code != CODE_DONE)
                return code;

        running = removals_running(removals);
        json_object *last = json_at(json_array(history, "removals"), 0);
        _cleanup_free_ char *next = next_command(slots);
        if (output.json != JSON_OFF) {
                print_json_form(slots, json_array(topology, "vanished"), running, last, next);
                return CODE_DONE;
        }
        print_slots(slots);
        print_wrong(slots);
        slots_print_vanished(topology);
        for (size_t i = 0; i < json_len(running); i++) {
                _cleanup_json_ json_object *r = removal_of_properties(json_at(running, i));
                (void) removal_print(r, NULL);
        }
        if (json_len(running) == 0 && last) {
                _cleanup_json_ json_object *r = removal_of_history(last);
                printf("last %s %s of ", removal_noun(r), json_str(r, "id") ?: "?");
                (void) removal_print(r, NULL);
        }
        if (output.legend)
                printf("\n%sNext:  %s\nMore:  %s list, %s --help, man safe-remove\n", output_as_it_is(), next ?: "safe-remove --help",
                       client_command(), client_command());
        return CODE_DONE;
}
