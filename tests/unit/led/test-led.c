/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lights of slots on the recorded machine "ram2": attributes and configuration spaces are plain files there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "led/led.h"
#include "led/locate.h"
#include "step/evict/hotplug-service.h"
#include "tests/unit/test.h"

#define SLOTS "/sys/bus/pci/slots"
#define PORT "0000:0c:00.0"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"
#define DRIVER "/sys/bus/pci_express/devices/" PORT ":pcie004/driver"

enum {
        CAP = 0x74,
};

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static void check_attention(const char *slot, const char *want) {
        _cleanup_free_ char *path = strf(SLOTS "/%s/attention", slot), *text = NULL;

        CHECK_INT(attr_read(path, &text), 0);
        CHECK_STR(text, want);
}

/* pciehp was away and came back in another order: "2" is another slot's name now. */
static void test_by_port(void) {
        _cleanup_free_ char *name = NULL;

        CHECK_INT(led_attention(PORT, NULL, INDICATOR_ON), 0);
        check_attention("2", "1");
        CHECK_INT(led_attention(PORT, NULL, INDICATOR_OFF), 0);
        check_attention("2", "0");

        CHECK_INT(rename(SLOTS "/2", SLOTS "/2-1"), 0);
        CHECK_INT(mkdir(SLOTS "/2", 0755), 0);
        put(SLOTS "/2/address", "0000:77:00\n");
        put(SLOTS "/2/power", "1\n");
        put(SLOTS "/2/attention", "0\n");
        CHECK_INT(led_attention(PORT, NULL, INDICATOR_ON), 0);
        check_attention("2-1", "1");
        check_attention("2", "0");
        CHECK_INT(slot_folder_at("0000:0d:00", &name), 0);
        CHECK_STR(name, "2-1");
        CHECK_INT(slot_folder_at("0000:78:00", &name), -ENODEV);

        /* A slot without a port is known by its address alone. */
        CHECK_INT(led_attention(NULL, "0000:77:00", INDICATOR_ON), 0);
        check_attention("2", "1");
        CHECK_INT(led_attention(NULL, "0000:79:00", INDICATOR_ON), -ENODEV);
        CHECK_INT(led_attention(NULL, NULL, INDICATOR_ON), -ENODEV);
}

/* Folders of the same address: one only says where the slot is. One that has the whole bus is meant as its device 0. */
static void test_folders(void) {
        _cleanup_free_ char *name = NULL, *bus = NULL;

        CHECK_INT(mkdir(SLOTS "/1", 0755), 0);
        put(SLOTS "/1/address", "0000:77:00\n");
        CHECK_INT(slot_folder_at("0000:77:00", &name), 0);
        CHECK_STR(name, "2");
        put(SLOTS "/1/address", "0000:7a\n");
        CHECK_INT(slot_folder_at("0000:7a:00", &bus), 0);
        CHECK_STR(bus, "1");
}

static uint8_t control_byte(unsigned byte) {
        _cleanup_close_ int fd = open(CONFIG, O_RDONLY | O_CLOEXEC);
        uint8_t b;

        CHECK(fd >= 0 && pread(fd, &b, 1, CAP + PCI_EXP_SLTCTL + (off_t) byte) == 1);
        return b;
}

/* What the kernel would make of the attribute. */
static void put_attention(Indicator attention) {
        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        uint8_t b = (uint8_t) ((control_byte(0) & ~PCI_EXP_SLTCTL_AIC) | attention << 6);

        CHECK(fd >= 0 && pwrite(fd, &b, 1, CAP + PCI_EXP_SLTCTL) == 1);
}

/* Whoever blinks it knows what was there before, and writes nothing over what somebody else has to say. */
static void test_locate(void) {
        _cleanup_json_ json_object *ports = NULL;
        Located l;

        put_attention(INDICATOR_OFF);
        put(SLOTS "/2-1/attention", "0\n");
        CHECK_INT(locate_load(PORT, &l), -ENOENT);
        CHECK_INT(locate_end(PORT), 0);
        check_attention("2-1", "0");

        CHECK_INT(locate_begin(PORT, 1234), 0);
        check_attention("2-1", "2");
        put_attention(INDICATOR_BLINK);
        CHECK_INT(locate_load(PORT, &l), 0);
        CHECK_INT(l.until_usec, 1234);
        CHECK_INT(l.before, INDICATOR_OFF);
        CHECK_INT(locate_list(&ports), 0);
        CHECK(json_len(ports) == 1 && json_has_string(ports, PORT));

        /* For longer: what was before it stays what it was. */
        CHECK_INT(locate_begin(PORT, 2345), 0);
        CHECK_INT(locate_load(PORT, &l), 0);
        CHECK(l.until_usec == 2345 && l.before == INDICATOR_OFF);
        CHECK_INT(locate_end(PORT), 0);
        check_attention("2-1", "0");
        CHECK_INT(locate_load(PORT, &l), -ENOENT);

        /* Somebody else's, which goes on. */
        put(SLOTS "/2-1/attention", "2\n");
        CHECK_INT(locate_begin(PORT, 1), 0);
        CHECK_INT(locate_load(PORT, &l), 0);
        CHECK_INT(l.before, INDICATOR_BLINK);
        CHECK_INT(locate_end(PORT), 0);
        check_attention("2-1", "2");

        /* A fault that came meanwhile is left alone, and one that is there is not made to blink. */
        put_attention(INDICATOR_OFF);
        CHECK_INT(locate_begin(PORT, 1), 0);
        put_attention(INDICATOR_ON);
        put(SLOTS "/2-1/attention", "1\n");
        CHECK_INT(locate_end(PORT), 0);
        check_attention("2-1", "1");
        CHECK_INT(locate_begin(PORT, 1), -EUCLEAN);
        check_attention("2-1", "1");
        CHECK_INT(locate_load(PORT, &l), -ENOENT);
        CHECK_INT(locate_load("../../" PORT, &l), -ENOENT);
}

/* One of an older version is gone on with, which its document names no form of. A newer version's is left alone, and nothing is written over what it alone
 * knows to have been there before. */
static void test_locate_forms(void) {
        _cleanup_free_ char *path = locate_record(PORT), *text = NULL, *after = NULL, *older = NULL;
        Located l;

        put_attention(INDICATOR_OFF);
        CHECK_INT(locate_begin(PORT, 1234), 0);
        CHECK_INT(read_file(path, &text, NULL), 0);
        char *schema = strstr(text, "\"schema\":\"safe-remove/located/1\",");
        CHECK(schema);
        older = strf("%.*s%s", (int) (schema - text), text, schema + strlen("\"schema\":\"safe-remove/located/1\","));
        put(path, older);
        CHECK_INT(locate_load(PORT, &l), 0);
        CHECK(l.until_usec == 1234 && l.before == INDICATOR_OFF);

        *strstr(schema, "1\"") = '2';
        put(path, text);
        put_attention(INDICATOR_BLINK);
        put(SLOTS "/2-1/attention", "2\n");
        CHECK_INT(locate_load(PORT, &l), -EPROTONOSUPPORT);
        CHECK_INT(locate_begin(PORT, 5), -EPROTONOSUPPORT);
        CHECK_INT(locate_end(PORT), -EPROTONOSUPPORT);
        locate_forget(PORT);
        check_attention("2-1", "2");
        CHECK_INT(read_file(path, &after, NULL), 0);
        CHECK_STR(after, text);
        CHECK(unlink(path) == 0);
        CHECK_INT(locate_end(PORT), 0);
}

/* Where nobody drives the slot it is held for something, and its registers are not for this. */
static void test_locate_held(void) {
        put_attention(INDICATOR_OFF);
        CHECK_INT(rename(SLOTS "/2-1/attention", SLOTS "/2-1/away"), 0);
        CHECK_INT(led_blink(PORT), -EBUSY);
        CHECK_INT(locate_begin(PORT, 1), -EBUSY);
        CHECK_INT(control_byte(0) & PCI_EXP_SLTCTL_AIC, INDICATOR_OFF << 6);
        CHECK_INT(locate_end(PORT), 0);
        CHECK_INT(rename(SLOTS "/2-1/away", SLOTS "/2-1/attention"), 0);
}

/* Whoever takes the slot ends it by the registers. A fault that came meanwhile is left alone: nobody has read it before, and nobody would know of it. */
static void test_locate_taken(void) {
        _cleanup_json_ json_object *args = hotplug_service_args(PORT, "undriven", NULL);
        StepRun run = { 0 };
        Located l;

        CHECK_INT(mkdir("/sys/bus/pci_express/devices/undriven", 0755), 0);

        for (Indicator now = INDICATOR_ON; now <= INDICATOR_BLINK; now++) {
                put_attention(INDICATOR_OFF);
                CHECK_INT(locate_begin(PORT, 1), 0);
                CHECK_INT(rename(SLOTS "/2-1/attention", SLOTS "/2-1/away"), 0);
                put_attention(now);
                CHECK_INT(hotplug_service_take(args, &run), 0);
                CHECK_INT(control_byte(0) & PCI_EXP_SLTCTL_AIC, (now == INDICATOR_ON ? INDICATOR_ON : INDICATOR_OFF) << 6);
                CHECK_INT(locate_load(PORT, &l), -ENOENT);
                CHECK_INT(rename(SLOTS "/2-1/away", SLOTS "/2-1/attention"), 0);
        }
        CHECK_INT(rmdir("/sys/bus/pci_express/devices/undriven"), 0);
}

/* A hold puts back what was there before, and finds that where it undoes itself. */
static void test_locate_and_hold(void) {
        SlotRegisters s = { .has_power_indicator = true, .power_on = true, .has_attention_indicator = true, .attention = INDICATOR_BLINK };
        Located l;

        put_attention(INDICATOR_OFF);
        CHECK_INT(locate_begin(PORT, 1), 0);
        put_attention(INDICATOR_BLINK);
        _cleanup_json_ json_object *args = hotplug_service_args(PORT, "none", &s);
        CHECK_STR(json_str(args, "attention_led"), "off");
        CHECK_INT(locate_end(PORT), 0);
        CHECK_INT(locate_load(PORT, &l), -ENOENT);
        _cleanup_json_ json_object *others = hotplug_service_args(PORT, "none", &s);
        CHECK_STR(json_str(others, "attention_led"), "blink");
}

/* While pciehp is away the registers are written; where there is no attention indicator a fault shows on the other one. */
static void test_registers(void) {
        uint32_t caps;

        CHECK_INT(unlink(SLOTS "/2-1/attention"), 0);
        CHECK_INT(led_attention(PORT, NULL, INDICATOR_ON), 0);
        CHECK_INT(control_byte(0) & PCI_EXP_SLTCTL_AIC, INDICATOR_ON << 6);

        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && pread(fd, &caps, 4, CAP + PCI_EXP_SLTCAP) == 4);
        caps &= ~(uint32_t) PCI_EXP_SLTCAP_AIP;
        CHECK(pwrite(fd, &caps, 4, CAP + PCI_EXP_SLTCAP) == 4);
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_OFF, INDICATOR_RESERVED), 0);
        CHECK_INT(led_attention(PORT, NULL, INDICATOR_ON), -EOPNOTSUPP);
        CHECK_INT(led_fault(PORT, NULL), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_ON);
}

/* What the kernel would make of the power. */
static void put_control(unsigned set, unsigned clear) {
        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        uint8_t b = (uint8_t) ((control_byte(1) & ~(clear >> 8)) | set >> 8);

        CHECK(fd >= 0 && pwrite(fd, &b, 1, CAP + PCI_EXP_SLTCTL + 1) == 1);
}

static void put_card(void) {
        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        const uint8_t b = PCI_EXP_SLTSTA_PDS;

        CHECK(fd >= 0 && pwrite(fd, &b, 1, CAP + PCI_EXP_SLTSTA) == 1);
}

/* Only a card that has power, and nobody's hold. */
static void test_dark(void) {
        const unsigned off = INDICATOR_OFF << 8;

        put_attention(INDICATOR_OFF);
        put_control(off, PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC);
        CHECK_INT(led_light_up(PORT), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_OFF); /* it is empty */

        put_card();
        put_control(off | PCI_EXP_SLTCTL_PCC, PCI_EXP_SLTCTL_PIC);
        CHECK_INT(led_light_up(PORT), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_OFF); /* it has no power */

        put_control(off, PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC);
        put_attention(INDICATOR_ON);
        CHECK_INT(led_attention(PORT, NULL, INDICATOR_OFF), -EUCLEAN); /* that alone says that it has power */
        CHECK_INT(led_light_up(PORT), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_ON); /* whatever the other one says */

        put_card(); /* a write to this file leaves the bit that it clears in a slot's register */
        put_control(off, PCI_EXP_SLTCTL_PIC);
        put_attention(INDICATOR_BLINK);
        CHECK_INT(rename(DRIVER, DRIVER "-away"), 0);
        CHECK_INT(led_light_up(PORT), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_OFF); /* held */
        CHECK_INT(rename(DRIVER "-away", DRIVER), 0);

        CHECK_INT(led_light_up(PORT), 0);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, INDICATOR_ON);
        CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PCC >> 8, 0);
        CHECK_INT(control_byte(0) & PCI_EXP_SLTCTL_AIC, INDICATOR_BLINK << 6);
        CHECK_INT(led_light_up("ffff:00:00.0"), -ENOENT);

        /* Left blinking, under power or not. */
        for (int powered = 0; powered < 2; powered++) {
                put_card();
                put_control(INDICATOR_BLINK << 8 | (powered ? 0 : PCI_EXP_SLTCTL_PCC), PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC);
                CHECK_INT(led_light_up(PORT), 0);
                CHECK_INT(control_byte(1) & PCI_EXP_SLTCTL_PIC >> 8, powered ? INDICATOR_ON : INDICATOR_BLINK);
        }
}

/* Lights that tools in user space give other meanings. */
static void test_foreign(void) {
        CHECK(!slot_lights_are_foreign("0000:0c:00.0") && !slot_lights_are_foreign("ffff:00:00.0"));
        CHECK(slot_lights_are_foreign("10000:00:01.0"));
        CHECK_INT(led_attention("10000:00:01.0", "0000:77:00", INDICATOR_OFF), -EOPNOTSUPP);
        check_attention("2", "1");
}

int main(void) {
        char folder[] = "/tmp/test-led.XXXXXX";

        CHECK(mkdtemp(folder) && setenv("SAFE_REMOVE_RUN_DIR", folder, true) == 0);
        test_by_port();
        test_folders();
        test_locate();
        test_locate_forms();
        test_locate_held();
        test_locate_taken();
        test_locate_and_hold();
        test_dark();
        test_registers();
        test_foreign();
        return EXIT_SUCCESS;
}
