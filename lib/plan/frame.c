/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/frame.h"
#include "step/ending/hotplug-service.h"

int plan_add_slot_service(Plan *p, const Slot *slot, StepType type) {
        if (!slot->service)
                return 0;

        return plan_add_step(p, type, hotplug_service_args(slot->port, slot->service, type == STEP_HOLD ? &slot->registers : NULL));
}

int plan_add_about_scope(Plan *p, StepType type, json_object *scope) {
        json_object *args = json_object_new_object();

        json_set(args, "scope", json_ref(scope));
        return plan_add_step(p, type, args);
}

int plan_add_auto_online(Plan *p, const char *value, const char *was) {
        if (streq_ptr(value, was) || !value || !was)
                return 0;

        json_object *args = json_object_new_object();
        json_set_str(args, "value", value);
        json_set_str(args, "was", was);
        /* Whoever turns it on again has to know what there was when it was turned off. */
        for (size_t i = 0; i < p->n_steps && !streq(value, "offline"); i++)
                if (p->steps[i].type == STEP_AUTO_ONLINE && streq_ptr(json_str(p->steps[i].args, "value"), was))
                        json_set_u64(args, "of", i);
        return plan_add_step(p, STEP_AUTO_ONLINE, args);
}
