/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2", whose configuration spaces are plain files: what is written to one can be read back
 * byte by byte. A written Command Completed bit stays set there, so no wait takes long. */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "kernel/pci/pcie-slot.h"
#include "step/step.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"

enum {
        CAP = 0x74,
        SLOT_CAP = CAP + 0x14,
        SLOT_CONTROL = CAP + 0x18,
        SLOT_STATUS = CAP + 0x1a,
};

static void poke(size_t offset, const uint8_t *bytes, size_t n) {
        _cleanup_close_ int fd = open(CONFIG, O_WRONLY | O_CLOEXEC);

        CHECK(fd >= 0);
        CHECK_INT(pwrite(fd, bytes, n, (off_t) offset), n);
}

static uint8_t *peek(void) {
        char *bytes = NULL;
        size_t n = 0;

        CHECK_INT(read_file(CONFIG, &bytes, &n), 0);
        CHECK_INT(n, 256);
        return (uint8_t *) bytes;
}

static void test_read(void) {
        SlotRegisters s;

        CHECK_INT(slot_registers_read(PORT, &s), 0);
        CHECK_INT(s.number, 2);
        CHECK(s.has_attention_button && s.has_power_controller && s.has_attention_indicator && s.has_power_indicator);
        CHECK_STR(indicator_to_string(s.power), "on");
        CHECK_STR(indicator_to_string(s.attention), "off");
        CHECK(s.power_on && !s.button_pressed && s.card_present);

        CHECK_INT(slot_registers_read("0000:0c:1f.0", &s), -ENOENT);
        CHECK_INT(slot_registers_read("0c:00.0", &s), -EINVAL);
        CHECK_INT(slot_registers_read("../../etc", &s), -EINVAL);
        CHECK_INT(slot_registers_read("0000:00:1f.0", &s), -ENODATA); /* no slot */
}

/* Every bit of Slot Control and Slot Status that we know, one by one. */
static void test_decode(void) {
        _cleanup_free_ uint8_t *config = peek();
        SlotRegisters s;

        config[SLOT_CONTROL] = 0x40 | 0x21;
        config[SLOT_CONTROL + 1] = 0x06 | 0x10;
        config[SLOT_STATUS] = 0x01;
        CHECK_INT(slot_registers_decode(config, 256, &s), 0);
        CHECK_STR(indicator_to_string(s.attention), "on");
        CHECK_STR(indicator_to_string(s.power), "blink");
        CHECK(!s.power_on && s.button_pressed && !s.card_present);

        /* Without a controller the bit says nothing, without an indicator there is none. */
        config[SLOT_CAP] &= (uint8_t) ~(0x02 | 0x08 | 0x10);
        CHECK_INT(slot_registers_decode(config, 256, &s), 0);
        CHECK(!s.has_power_controller && s.power_on);
        CHECK_INT(s.power, INDICATOR_RESERVED);
        CHECK_INT(s.attention, INDICATOR_RESERVED);

        config[SLOT_CAP + 2] = 0xf8;
        config[SLOT_CAP + 3] = 0xff;
        CHECK_INT(slot_registers_decode(config, 256, &s), 0);
        CHECK_INT(s.number, 8191);
}

static void test_decode_broken(void) {
        _cleanup_free_ uint8_t *config = peek();
        SlotRegisters s;

        CHECK_INT(slot_registers_decode(config, 64, &s), -ENODATA); /* what an unprivileged reader gets */
        CHECK_INT(slot_registers_decode(config, SLOT_STATUS + 1, &s), -ENODATA);
        CHECK_INT(slot_registers_decode(config, SLOT_STATUS + 2, &s), 0);
        CHECK_INT(slot_registers_decode(config, 0, &s), -ENODATA);

        config[CAP + 3] &= (uint8_t) ~0x01; /* no slot implemented */
        CHECK_INT(slot_registers_decode(config, 256, &s), -ENODATA);

        config[CAP] = 0x05;
        config[CAP + 1] = CAP; /* a list in a circle */
        CHECK_INT(slot_registers_decode(config, 256, &s), -ENODATA);

        memset(config, 0xff, 256); /* nobody answers */
        CHECK_INT(slot_registers_decode(config, 256, &s), -ENODATA);
}

/* A capability near the end must not keep one before it from being found. */
static void test_decode_late_neighbour(void) {
        _cleanup_free_ uint8_t *config = peek();
        SlotRegisters s;

        config[0x34] = 0xf8;
        config[0xf8] = 0x09;
        config[0xf9] = CAP;
        CHECK_INT(slot_registers_decode(config, 256, &s), 0);
        CHECK_INT(s.number, 2);
}

static void check_control(uint8_t low, uint8_t high) {
        _cleanup_free_ uint8_t *config = peek();

        CHECK_INT(config[SLOT_CONTROL], low);
        CHECK_INT(config[SLOT_CONTROL + 1], high);
}

static void test_write(void) {
        check_control(0xf1, 0x01);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_BLINK, INDICATOR_RESERVED), 0);
        check_control(0xf1, 0x02);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_RESERVED, INDICATOR_ON), 0);
        check_control(0x71, 0x02);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_OFF, INDICATOR_BLINK), 0);
        check_control(0xb1, 0x03);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_RESERVED, INDICATOR_RESERVED), 0);
        check_control(0xb1, 0x03);
        CHECK_INT(slot_indicators_write(PORT, _INDICATOR_MAX, INDICATOR_ON), -EINVAL);
}

/* The other bits stay: power off, link state notification. The interlock's is not carried over: it would toggle. */
static void test_write_keeps(void) {
        poke(SLOT_CONTROL, (const uint8_t[]) { 0xff, 0x1f }, 2);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_ON, INDICATOR_RESERVED), 0);
        check_control(0xff, 0x15);
}

static void test_write_missing(void) {
        poke(SLOT_CAP, (const uint8_t[]) { 0x7b & ~0x08 }, 1);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_BLINK, INDICATOR_ON), -EOPNOTSUPP);
        check_control(0xff, 0x15);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_BLINK, INDICATOR_RESERVED), 0);
        check_control(0xff, 0x16);
}

/* The latch is cleared by writing its bit and no other: written back as read, every latch would be cleared. */
static void test_button_clear(void) {
        poke(SLOT_STATUS, (const uint8_t[]) { 0x4b }, 1);
        CHECK_INT(slot_button_clear(PORT), 0);
        _cleanup_free_ uint8_t *config = peek();
        CHECK_INT(config[SLOT_STATUS], 0x01);
        CHECK_INT(slot_button_clear("0000:00:1f.0"), -ENODATA);
        CHECK_INT(slot_button_clear("0000:7f:00.0"), -ENOENT);
}

/* Before the port is given back for its power: somebody has changed their mind, unless there is no way back any more. */
static void test_second_press(void) {
        static const char text[] = "{\"port\": \"" PORT "\", \"service\": \"" PORT ":pcie004\"}";
        _cleanup_json_ json_object *args = NULL;
        StepRun run = { 0 };

        CHECK_INT(json_parse(text, strlen(text), &args), 0);
        poke(SLOT_STATUS, (const uint8_t[]) { 0x01 }, 1);
        CHECK_INT(step_release_ops.check(args, &run), -ECANCELED);
        json_set_bool(args, "no_way_back", true);
        CHECK_INT(step_release_ops.check(args, &run), 0);
        step_run_done(&run);
}

int main(void) {
        test_read();
        test_decode();
        test_decode_broken();
        test_decode_late_neighbour();
        test_write();
        test_write_keeps();
        test_write_missing();
        test_button_clear();
        test_second_press();
        return EXIT_SUCCESS;
}
