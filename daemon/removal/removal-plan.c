/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a removal keeps of its plan, for whoever decides about others and for everybody to see. */
#include "removal.h"
#include "step/step.h"

/* What everybody may know of a plan. */
static json_object *plan_summary(json_object *plan) {
        static const char *const keys[] = { "digest", "verdict", "kind", "of", "eta_usec" }, *const counts[] = { "steps", "holders", "blockers", "warnings" };
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(plan, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(plan, keys[i])));
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                json_set_u64(o, counts[i], json_len(json_array(plan, counts[i])));
        return o;
}

/* Which steps hold a port, or let it go; those of slots inside of its slots are among them. */
static json_object *ports_of_steps(json_object *plan) {
        json_object *steps = json_array(plan, "steps"), *ports = json_object_new_array();

        for (size_t i = 0; i < json_len(steps); i++) {
                const char *name = json_str(json_at(steps, i), "name"), *port = json_str(json_get(json_at(steps, i), "args"), "port");
                bool counts = streq_ptr(name, step_type_to_string(STEP_HOLD)) || streq_ptr(name, step_type_to_string(STEP_RELEASE));
                json_object_array_add(ports, counts && port ? json_object_new_string(port) : NULL);
        }
        return ports;
}

/* Numbers of the inhibitors that findings with this code name; NULL: none. New reference. */
static json_object *inhibitors_of(json_object *findings, const char *code) {
        json_object *ids = NULL;

        for (size_t i = 0; i < json_len(findings); i++) {
                json_object *o = json_at(findings, i);
                if (!streq_ptr(json_str(o, "code"), code) || !json_has(o, "inhibitor"))
                        continue;
                ids = ids ?: json_object_new_array();
                json_object_array_add(ids, json_ref(json_get(o, "inhibitor")));
        }
        return ids;
}

static void put(json_object **place, json_object *value) {
        json_object_put(*place);
        *place = value;
}

void removal_learn_plan(Removal *r, json_object *plan) {
        json_object *announce = json_find(json_array(plan, "steps"), "name", step_type_to_string(STEP_ANNOUNCE));

        put(&r->plan, plan_summary(plan));
        r->step_count = (unsigned) json_u64(r->plan, "steps");
        put(&r->step_ports, ports_of_steps(plan));
        put(&r->regions, json_ref(json_array(json_get(plan, "takes_down"), "regions")));
        put(&r->delays, json_ref(json_array(json_get(announce, "args"), "inhibitors")));
        put(&r->passed_over, inhibitors_of(json_array(plan, "warnings"), "INHIBITED"));
        r->hold_only = r->kind == KIND_REMOVE && !json_has(plan, "takes_down");
        r->announced = r->announced || (r->attempts > 0 && announce); /* perhaps told by another daemon: its end is told as well */
        if (json_get(plan, "card") && !r->card)
                r->card = json_ref(json_get(plan, "card"));
}
