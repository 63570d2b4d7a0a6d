/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test's: sets the lights of a slot that is held to one state after the other, and reads each back from the slot's registers. The card has power
 * all the time, so none of the states is "power LED off and attention LED off", nor passes through it: the power LED goes dark under a lit attention
 * LED alone, and not at all in a slot without one. What was asked and what was read is noted, for the report. */
#include <errno.h>

#include "led/led.h"
#include "step/evict/hotplug-service.h"

enum {
        SHOWN_MSEC = 400, /* each state: long enough to be seen by whoever stands there */
};

/* The last one is what a held slot shows, whose attention LED is then put back as it was. */
static const struct {
        Indicator power, attention;
} states[] = {
        { INDICATOR_BLINK, INDICATOR_ON },
        { INDICATOR_BLINK, INDICATOR_BLINK },
        { INDICATOR_ON, INDICATOR_BLINK },
        { INDICATOR_ON, INDICATOR_ON },
        { INDICATOR_OFF, INDICATOR_ON },
        { INDICATOR_BLINK, INDICATOR_ON },
        { INDICATOR_BLINK, INDICATOR_OFF },
};

static void test_describe(json_object *args, char **ret_does, char **ret_undo) {
        bool power = json_flag(args, "power_indicator"), attention = json_flag(args, "attention_indicator");

        *ret_does = !power && !attention ? strdup("the slot has no lights to test; read its registers")
                  : strf("%s%s%s, each read back from the slot's registers; never both off", power ? attention ? "power LED on, off and blinking"
                         : "power LED on and blinking" : "", power && attention ? ", " : "", attention ? "attention LED on, off and blinking" : "");
        *ret_undo = strf("power LED blinking, attention LED %s", json_str(args, "attention_led"));
}

static Indicator as_before(json_object *args) {
        int i = indicator_from_string(json_str(args, "attention_led"));

        return i < 0 || !json_flag(args, "attention_indicator") ? INDICATOR_RESERVED : (Indicator) i;
}

/* With what the slot has of lights. */
static Indicator wanted(json_object *args, const char *which, Indicator state) {
        return json_flag(args, which) ? state : INDICATOR_RESERVED;
}

static bool are_shown(const SlotRegisters *s, Indicator power, Indicator attention) {
        return (power == INDICATOR_RESERVED || s->power == power) && (attention == INDICATOR_RESERVED || s->attention == attention);
}

static json_object *lights_json(Indicator power, Indicator attention) {
        json_object *o = json_object_new_object();

        json_set_str(o, "power", power == INDICATOR_RESERVED ? NULL : indicator_to_string(power));
        json_set_str(o, "attention", attention == INDICATOR_RESERVED ? NULL : indicator_to_string(attention));
        return o;
}

static int note_shown(StepRun *run, Indicator power, Indicator attention, const SlotRegisters *s) {
        json_object *note = json_object_new_object();

        json_set(note, "asked", lights_json(power, attention));
        json_set(note, "read", lights_json(s->has_power_indicator ? s->power : INDICATOR_RESERVED,
                                           s->has_attention_indicator ? s->attention : INDICATOR_RESERVED));
        return step_note(run, note);
}

/* The port's word alone does not count: the registers are read once more. */
static int show(json_object *args, StepRun *run, Indicator power, Indicator attention) {
        const char *port = json_str(args, "port");
        SlotRegisters s;

        int r = power == INDICATOR_RESERVED && attention == INDICATOR_RESERVED ? 0 : led_show_held(port, power, attention);
        if (r < 0 && r != -EIO)
                return step_fail(run, r, "the lights of port %s cannot be set: %s", port, led_strerror(r));
        int q = slot_registers_read(port, &s);
        if (q >= 0)
                q = note_shown(run, power, attention, &s);
        if (q < 0)
                return step_fail(run, q, "the lights of port %s cannot be read back: %s", port, strerror(-q));
        if (r >= 0 && are_shown(&s, power, attention))
                return 0;
        return step_fail(run, -EIO, "the lights of port %s do not show what was asked for: power LED %s, attention LED %s; they read %s and %s", port,
                         indicator_to_string(power), indicator_to_string(attention), indicator_to_string(s.power), indicator_to_string(s.attention));
}

static int test_apply(json_object *args, StepRun *run) {
        bool power = json_flag(args, "power_indicator"), attention = json_flag(args, "attention_indicator");
        json_object *note = json_object_new_object();
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(states) && (power || attention) && r >= 0; i++) {
                if (states[i].power == INDICATOR_OFF && !attention)
                        continue;
                r = show(args, run, wanted(args, "power_indicator", states[i].power), wanted(args, "attention_indicator", states[i].attention));
                if (r >= 0)
                        step_pause(run, SHOWN_MSEC);
                if (r >= 0 && step_cancelled(run))
                        r = step_fail(run, -ECANCELED, "cancelled while the lights were tested");
        }
        if (r >= 0)
                r = show(args, run, wanted(args, "power_indicator", INDICATOR_BLINK), as_before(args));
        if (r < 0) {
                json_object_put(note);
                return r;
        }
        json_set_bool(note, "tested", true);
        return step_note(run, note);
}

static int test_revert(json_object *args, StepRun *run) {
        /* pciehp has the slot again, and its lights with it. */
        int r = hotplug_service_driven(args, run);
        if (r != 0)
                return r < 0 && r != -ENODEV ? r : 0;
        Indicator power = wanted(args, "power_indicator", INDICATOR_BLINK);
        Indicator attention = step_attention(run, json_str(args, "port"), as_before(args));
        r = power == INDICATOR_RESERVED && attention == INDICATOR_RESERVED ? 0 : led_show_held(json_str(args, "port"), power, attention);
        return r < 0 ? step_fail(run, r, "the lights of port %s cannot be set: %s", json_str(args, "port"), led_strerror(r)) : 0;
}

static bool has_tested(const StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_flag(json_at(run->notes, i), "tested"))
                        return true;
        return false;
}

/* A test leaves nothing to be seen but the lights of a slot that is held. */
static int test_verify(json_object *args, StepRun *run) {
        SlotRegisters s;

        if (!run->backwards)
                return has_tested(run) ? STEP_APPLIED : STEP_NOT_APPLIED;
        int r = hotplug_service_driven(args, run);
        if (r != 0)
                return r < 0 && r != -ENODEV ? r : STEP_NOT_APPLIED;
        r = slot_registers_read(json_str(args, "port"), &s);
        if (r < 0)
                return step_fail(run, r, "the registers of port %s cannot be read: %s", json_str(args, "port"), strerror(-r));
        return are_shown(&s, wanted(args, "power_indicator", INDICATOR_BLINK), step_attention(run, json_str(args, "port"), as_before(args))) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

const StepOps step_test_lights_ops = {
        .needs_card = false, /* they are the slot's */
        .meanwhile = MEANWHILE_BACK,
        .typical_usec = ELEMENTSOF(states) * SHOWN_MSEC * 1000,
        .args = "port:s service:s power_indicator:b attention_indicator:b attention_led:s",
        .describe = test_describe,
        .apply = test_apply,
        .revert = test_revert,
        .verify = test_verify,
};
