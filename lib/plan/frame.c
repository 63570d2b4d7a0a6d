/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/frame.h"

int plan_add_slot_service(Plan *p, const Slot *slot, StepType type) {
        if (!slot->service)
                return 0;

        json_object *args = json_object_new_object();
        json_set_str(args, "port", slot->port);
        json_set_str(args, "service", slot->service);
        if (type == STEP_HOLD) {
                /* Not as it was but as it should be: a blinking LED is the pending removal itself, which ends when this is undone. */
                json_set_str(args, "power_led", !slot->registers.has_power_indicator ? "reserved" : slot->registers.power_on ? "on" : "off");
                json_set_str(args, "attention_led", indicator_to_string(slot->registers.attention));
        }
        return plan_add_step(p, type, args);
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
        return plan_add_step(p, STEP_AUTO_ONLINE, args);
}
