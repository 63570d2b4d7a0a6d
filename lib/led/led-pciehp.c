/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The indicators of a PCIe hot-plug slot. The power indicator has no attribute: it belongs to pciehp, and to us while
 * pciehp is away. The attention indicator has one, slots/N/attention: 0 off, 1 on, 2 blink
 * (drivers/pci/hotplug/pciehp_hpc.c:pciehp_set_raw_indicator_status, pciehp_core.c:set_attention_status). */
#include <errno.h>

#include "base/clock.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/write.h"
#include "led/led.h"

static const char *const led_state_table[_LED_STATE_MAX] = {
        [LED_WORKING] = "working",
        [LED_SAFE] = "safe",
        [LED_REFUSED] = "refused",
        [LED_STUCK] = "stuck",
};

DEFINE_STRING_TABLE(led_state, LedState)

static const char *const attention_words[_INDICATOR_MAX] = {
        [INDICATOR_ON] = "1",
        [INDICATOR_BLINK] = "2",
        [INDICATOR_OFF] = "0",
};

int led_show_held(const char *port, Indicator power, Indicator attention) {
        return slot_indicators_write(port, power, attention);
}

static int attention_attribute(const char *path, const char *word) {
        const WriteOptions options = { .kind = WRITE_ABANDONABLE, .timeout_usec = 10 * USEC_PER_SEC };
        _cleanup_free_ char *now = NULL;

        int r = kernel_write(path, word, &options);
        if (r < 0)
                return r;
        r = attr_read(path, &now);
        if (r < 0)
                return r;
        return streq(now, word) ? 0 : -EIO;
}

/* The attribute by which the slot's driver sets it, or NULL: pciehp is away, or the slot has none. */
static int attention_path(const char *port, const char *address, char **ret) {
        _cleanup_free_ char *below = NULL, *name = NULL, *path = NULL;

        int r = port ? slot_address_below(port, &below) : 0;
        if (r >= 0)
                r = below || address ? slot_folder_at(below ?: address, &name) : -ENODEV;
        if (r < 0)
                return r == -ENODEV && port ? 0 : r;
        path = strf("/sys/bus/pci/slots/%s/attention", name);
        if (!path)
                return -ENOMEM;
        if (path_existsf("%s", path))
                *ret = TAKE_PTR(path);
        return 0;
}

/* Registers that cannot be read say nothing of what it would show. */
static int stays_lit(const char *port, Indicator attention) {
        SlotRegisters s;

        return slot_registers_read(port, &s) < 0 ? 0 : slot_stays_lit(&s, attention);
}

int led_attention(const char *port, const char *address, Indicator attention) {
        _cleanup_free_ char *path = NULL;

        if (attention < 0 || attention >= _INDICATOR_MAX || !attention_words[attention])
                return -EINVAL;
        if (port && slot_lights_are_foreign(port))
                return -EOPNOTSUPP;

        int r = attention_path(port, address, &path);
        if (r < 0)
                return r;
        if (path && port)
                r = stays_lit(port, attention);
        if (path)
                return r < 0 ? r : attention_attribute(path, attention_words[attention]);
        return port ? slot_indicators_write(port, INDICATOR_RESERVED, attention) : -EOPNOTSUPP;
}

int led_blink(const char *port) {
        _cleanup_free_ char *path = NULL;

        if (slot_lights_are_foreign(port))
                return -EOPNOTSUPP;
        int r = attention_path(port, NULL, &path);
        if (r >= 0 && path)
                r = attention_attribute(path, attention_words[INDICATOR_BLINK]);
        return r >= 0 && path ? 0 : r == -ENOENT || r == -ENODEV || r >= 0 ? -EBUSY : r;
}

int led_fault(const char *port, const char *address) {
        int r = led_attention(port, address, INDICATOR_ON);

        /* pciehp writes the power indicator when it switches power, and then only. */
        return r == -EOPNOTSUPP && port ? slot_indicators_write(port, INDICATOR_ON, INDICATOR_RESERVED) : r;
}

const char *led_strerror(int error) {
        return error == -EUCLEAN || error == EUCLEAN ? "the power LED is off over a card that has power, and the attention LED alone says so" :
               strerror(error < 0 ? -error : error);
}

bool led_blinks_over_card(const SlotRegisters *s) {
        return s->has_power_indicator && s->power == INDICATOR_BLINK && s->power_on && s->card_present;
}

int led_light_up(const char *port) {
        SlotRegisters s;

        int r = slot_registers_read(port, &s);
        return r < 0 || (!slot_hides_power(&s) && !led_blinks_over_card(&s)) || held_is_undriven(port) ? r : slot_indicators_write(port, INDICATOR_ON, INDICATOR_RESERVED);
}
