/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/pcie-slot.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        SlotRegisters s;

        int r = slot_registers_decode(data, size, &s);
        FUZZ_CHECK(r == 0 || r == -ENODATA);
        if (r < 0)
                return 0;

        FUZZ_CHECK(indicator_to_string(s.power) && indicator_to_string(s.attention));
        FUZZ_CHECK(s.has_power_indicator || s.power == INDICATOR_RESERVED);
        FUZZ_CHECK(s.has_attention_indicator || s.attention == INDICATOR_RESERVED);
        FUZZ_CHECK(s.has_power_controller || s.power_on);
        FUZZ_CHECK(s.number < 8192);
        return 0;
}
