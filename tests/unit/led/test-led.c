/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lights of slots on the recorded machine "ram2": attributes and configuration spaces are plain files there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/stat.h>

#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "led/led.h"
#include "tests/unit/test.h"

#define SLOTS "/sys/bus/pci/slots"
#define PORT "0000:0c:00.0"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"

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

/* Lights that tools in user space give other meanings. */
static void test_foreign(void) {
        CHECK(!slot_lights_are_foreign("0000:0c:00.0") && !slot_lights_are_foreign("ffff:00:00.0"));
        CHECK(slot_lights_are_foreign("10000:00:01.0"));
        CHECK_INT(led_attention("10000:00:01.0", "0000:77:00", INDICATOR_OFF), -EOPNOTSUPP);
        check_attention("2", "1");
}

int main(void) {
        test_by_port();
        test_folders();
        test_registers();
        test_foreign();
        return EXIT_SUCCESS;
}
