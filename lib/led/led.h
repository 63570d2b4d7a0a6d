/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "kernel/pcie-slot.h"

/* What the slot's indicators say. "Safe" is the power indicator off with the attention indicator off (PCI Express Base
 * Specification 6.7.1.1); attention on is a fault; attention blinking is *locate* and none of ours. */
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

/* Sets the attention indicator: through pciehp's attribute when it drives the slot, else as above. 0, or a negative errno
 * (-EOPNOTSUPP: the slot has none). The value is read back. `slot` may be NULL when its name is not known. */
int led_attention(const char *slot, const char *port, Indicator attention);
