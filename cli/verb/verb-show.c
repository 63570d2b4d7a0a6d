/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "cli/client.h"
#include "cli/text/card-view.h"
#include "cli/text/output.h"
#include "cli/view/slots-view.h"
#include "verbs.h"

static void add_stored(json_object *view, json_object *down) {
        static const char *const keys[] = { "namespaces", "block_devices", "file_systems", "swaps" };
        json_object *stored = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(stored, keys[i], json_ref(json_array(down, keys[i])) ?: json_object_new_array());
        json_set(view, "stored", stored);
}

/* The plan says which slot a name means: one rule for names, and it is the one that a removal would go by. And what the card says of itself. */
ExitCode verb_show(const Args *a) {
        _cleanup_json_ json_object *plan = NULL, *topology = NULL, *view = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_json_ json_object *slots = NULL, *removals = NULL;
        const char *slot = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_plan(bus, a, &plan);
        if (code != CODE_DONE)
                return code;
        slot = json_str(json_get(plan, "slot"), "name");
        code = slot ? client_topology(bus, &topology) : client_fail(-EBADMSG, NULL);

        if (code != CODE_DONE)
                return code;

        view = card_view(topology, slot);
        if (!view)
                return fail(CODE_NOT_FOUND, NULL, "slot %s is not there any more; see: %s list", slot, client_command());
        if (json_has(plan, "card_state"))
                json_set(view, "card_state", json_ref(json_get(plan, "card_state")));
        add_stored(view, json_get(plan, "takes_down"));
        if (output.json != JSON_OFF)
                print_json(view);
        else {
                card_view_print(view);
                /* What the daemon has found when the card came; that it does not answer any more is no reason to show less. */
                if (client_objects(bus, &slots, &removals) == CODE_DONE) {
                        slots_print_located(slots, slot);
                        slots_print_stays(slots, slot);
                }
        }
        return CODE_DONE;
}
