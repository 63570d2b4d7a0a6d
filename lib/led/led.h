/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "kernel/pci/pcie-slot.h"

/* What the slot's indicators say. "Safe" is the power indicator off with the attention indicator off (PCI Express Base
 * Specification 6.7.1.1); attention on is a fault; attention blinking shows somebody the way to the slot (locate.h), and says nothing about its card. */
typedef enum LedState {
        LED_WORKING,  /* power blinking */
        LED_SAFE,     /* power off, attention off */
        LED_REFUSED,  /* power on, attention as before */
        LED_STUCK,    /* attention on */
        _LED_STATE_MAX,
        _LED_STATE_INVALID = -EINVAL,
} LedState;

DECLARE_STRING_TABLE(led_state, LedState);

/* Sets indicators of a slot that is held (pciehp away), so that nobody else writes Slot Control: INDICATOR_RESERVED
 * leaves one alone. Read back by slot_indicators_write(). */
int led_show_held(const char *port, Indicator power, Indicator attention);

/* Sets the attention indicator of the slot below a port: through the attribute of its hot-plug driver when that has the slot, else as
 * above. The slot's folder is looked up by its address each time, for its name may be another slot's by now. `address`
 * ("DDDD:BB:DD") says which one is meant where the slot has no port (NULL). 0, or a negative errno (-EOPNOTSUPP: the slot has no such
 * indicator that is ours; -EUCLEAN: it is all that says that the card has power (slot_stays_lit())). The value is read back. */
int led_attention(const char *port, const char *address, Indicator attention);

/* Has the attention indicator blink, only by the attribute of the driver that has the slot: -EBUSY where none has it. The value is read back. */
int led_blink(const char *port);

/* Says "do not pull": the attention indicator is turned on, or, in a slot that has none, the power indicator. As led_attention(). */
int led_fault(const char *port, const char *address);

/* Why one of these could not be done, for a person; static. */
const char *led_strerror(int error);

/* Does the power indicator blink over a card that has power? So it does when somebody is at work there, for 5 s after a press, and where whoever was has left it so. */
bool led_blinks_over_card(const SlotRegisters *s);

/* Turns the power indicator on, where it is off or blinks over a card that has power, and its driver has it: pciehp writes it only when it switches the power or
 * hears its button, and whoever holds the slot writes his own. Nobody is at work there, as the caller knows. 0 also where it is not. The value is read back. */
int led_light_up(const char *port);
