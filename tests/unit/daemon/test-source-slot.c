/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told of a slot that says "safe to pull". Its registers are ours. */
#include "base/clock.h"
#include "daemon/source/source.h"
#include "kernel/pci/pcie-slot.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"

static SlotRegisters registers;
static unsigned looks;
static SourceEventKind told;
static char *why;

int slot_registers_read(const char *port, SlotRegisters *ret) {
        looks++;
        *ret = registers;
        return 0;
}

static void on_event(const SourceEvent *e, void *userdata) {
        CHECK_INT(told, _SOURCE_EVENT_KIND_INVALID); /* once */
        told = e->kind;
        free(why);
        why = e->text ? strdup(e->text) : NULL;
}

static void look(sd_event *event, unsigned times) {
        uint64_t deadline = now_monotonic() + 60 * USEC_PER_SEC;

        for (unsigned until = looks + times; looks < until && told < 0 && now_monotonic() < deadline;)
                CHECK(sd_event_run(event, 10 * USEC_PER_SEC) >= 0);
}

int main(void) {
        static const SlotRegisters safe = { .has_power_controller = true, .has_power_indicator = true, .has_link_active = true,
                                            .power = INDICATOR_OFF, .card_present = true };
        static const struct {
                bool card, power, link;
                Indicator led;
                int kind;      /* invalid: nothing is told */
                const char *why;
        } cases[] = {
                { true,  false, false, INDICATOR_OFF,   _SOURCE_EVENT_KIND_INVALID, NULL },
                { true,  true,  false, INDICATOR_OFF,   SOURCE_LIGHT_UNTRUE, "the power is on" },
                { true,  false, true,  INDICATOR_OFF,   SOURCE_LIGHT_UNTRUE, "the link is up" },
                { true,  false, false, INDICATOR_BLINK, SOURCE_LIGHT_UNTRUE, "the power LED blinks" },
                { true,  true,  true,  INDICATOR_ON,    SOURCE_LIGHT_UNTRUE, "the power LED is on" },
                { false, false, false, INDICATOR_OFF,   SOURCE_LIGHT_OVER, NULL },
                /* The next card gets its power before it answers. */
                { false, true,  false, INDICATOR_OFF,   SOURCE_LIGHT_OVER, NULL },
                { false, true,  false, INDICATOR_BLINK, SOURCE_LIGHT_OVER, NULL },
        };
        sd_event *event = NULL;
        void *source = NULL;

        CHECK(sd_event_new(&event) >= 0);
        SourceContext context = { .event = event, .emit = on_event };
        CHECK_INT(source_slot.start(&context, &source), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                registers = safe;
                told = _SOURCE_EVENT_KIND_INVALID;
                CHECK_INT(source_slot_guard(source, PORT), 0);
                look(event, 1);
                CHECK_INT(told, _SOURCE_EVENT_KIND_INVALID);
                registers.card_present = cases[i].card;
                registers.power_on = cases[i].power;
                registers.link_active = cases[i].link;
                registers.power = cases[i].led;
                look(event, 2);
                CHECK_INT(told, cases[i].kind);
                CHECK_STR(told >= 0 ? why : NULL, cases[i].why);
                source_slot_unguard(source, PORT);
        }

        source_slot.stop(source);
        sd_event_unref(event);
        free(why);
        return EXIT_SUCCESS;
}
