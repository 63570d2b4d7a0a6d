/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Slots and what is in them (drivers/pci/hotplug/pciehp_hpc.c, drivers/pci/hotplug/pciehp_ctrl.c, drivers/pci/hotplug/pciehp_core.c). */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"
#include "storage/block.h"

static int config_at(const char *port, off_t *ret) {
        uint8_t c[256];
        char path[PATH_MAX];
        (void) snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", port);
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0 || pread(fd, c, sizeof(c), 0) < 64)
                sim_die("%s: %s", path, strerror(errno));
        uint8_t at = c[PCI_CAPABILITY_LIST] & 0xfc;
        while (at && c[at] != PCI_CAP_ID_EXP)
                at = c[at + 1] & 0xfc;
        *ret = at;
        return fd;
}

uint16_t slot_word(const char *port, int reg) {
        off_t at;
        uint16_t word;
        int fd = config_at(port, &at);

        if (pread(fd, &word, 2, at + reg) != 2)
                sim_die("config of %s: %s", port, strerror(errno));
        close(fd);
        return word;
}

static void slot_word_set(const char *port, int reg, uint16_t word) {
        off_t at;
        int fd = config_at(port, &at);

        if (pwrite(fd, &word, 2, at + reg) != 2)
                sim_die("config of %s: %s", port, strerror(errno));
        close(fd);
}

void slot_change(const char *port, int reg, uint16_t mask, uint16_t bits) {
        slot_word_set(port, reg, (uint16_t) ((slot_word(port, reg) & ~mask) | bits));
}

/* The port of a slot, whose address is that of the bus below it. */
static bool slot_port(const char *slot, char ret[static 32]) {
        char address[32], folder[PATH_MAX];
        unsigned bus;
        DIR *d = opendir("/sys/bus/pci/devices");
        bool found = false;

        tree_get(address, sizeof(address), "%s/address", slot);
        bus = (unsigned) strtoul(address + 5, NULL, 16);
        for (struct dirent *e; d && !found && (e = readdir(d));) {
                if (e->d_name[0] == '.' || strncmp(e->d_name, address, 4) != 0 || tree_number("/sys/bus/pci/devices/%s/secondary_bus_number", e->d_name) != bus || !bus)
                        continue;
                (void) snprintf(ret, 32, "%.31s", e->d_name);
                found = tree_resolve(folder, "/sys/bus/pci/devices/%s", e->d_name);
        }
        if (d)
                closedir(d);
        return found;
}

/* The slot's attribute shows what the register says (pciehp_get_attention_status()). */
static void attention_follow(const char *port) {
        static const char *const words[] = { "0", "1", "2", "0" }; /* reserved, on, blink, off: by the register's bits */
        char slot[PATH_MAX], p[32];
        DIR *d = opendir("/sys/bus/pci/slots");

        for (struct dirent *e; d && (e = readdir(d));) {
                (void) snprintf(slot, sizeof(slot), "/sys/bus/pci/slots/%s", e->d_name);
                if (e->d_name[0] != '.' && tree_has("%s/attention", slot) && slot_port(slot, p) && strcmp(p, port) == 0)
                        tree_put(words[(slot_word(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_AIC) >> 6], "%s/attention", slot);
        }
        if (d)
                closedir(d);
}

int pciehp_driver(const char *path, const char *value) {
        char device[PATH_MAX], port[32], slot[PATH_MAX], p[32];
        bool bind = path_is_bind(path), have = false;

        if (!tree_resolve(device, "/sys/bus/pci_express/devices/%s", value))
                return -ENODEV;
        if (bind ? tree_has("%s/driver", device) : !driven_by(device, "pciehp"))
                return bind ? -EBUSY : -ENODEV;
        (void) snprintf(port, sizeof(port), "%.12s", value);
        if (bind) {
                tree_get(slot, sizeof(slot), STORE "/slot-of-%s", port);
                driver_link(device, "/sys/bus/pci_express/drivers/pciehp");
                if (*slot)
                        (void) tree_show("%s", slot);
                slot_word_set(port, PCI_EXP_SLTSTA, slot_word(port, PCI_EXP_SLTSTA) & ~PCI_EXP_SLTSTA_ABP); /* pcie_init() */
                attention_follow(port);
                return 0;
        }
        DIR *d = opendir("/sys/bus/pci/slots");
        for (struct dirent *e; d && !have && (e = readdir(d));) {
                (void) snprintf(slot, sizeof(slot), "/sys/bus/pci/slots/%s", e->d_name);
                have = e->d_name[0] != '.' && slot_port(slot, p) && strcmp(p, port) == 0;
        }
        if (d)
                closedir(d);
        driver_link(device, NULL);
        if (have) {
                tree_put(slot, STORE "/slot-of-%s", port);
                tree_hide("%s", slot);
        }
        return 0;
}

int slot_attention(const char *path, const char *value) {
        static const uint16_t bits[] = { PCI_EXP_SLTCTL_ATTN_IND_OFF, PCI_EXP_SLTCTL_ATTN_IND_ON, PCI_EXP_SLTCTL_ATTN_IND_BLINK };
        char slot[PATH_MAX], port[32];
        unsigned long state = strtoul(value, NULL, 0);

        (void) snprintf(slot, sizeof(slot), "%s", path);
        folder_of(slot);
        if (state >= ELEMENTSOF(bits) || !slot_port(slot, port))
                return -EINVAL;
        slot_change(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_AIC, bits[state]);
        tree_put(value, "%s", path);
        return 0;
}

/* --- the power */

enum {
        FUNCTIONS = 8,
        MEMDEVS = 16,
};

typedef void memdev_t(const char *memdev);

static void each_memdev(const char *function, memdev_t *act) {
        char names[MEMDEVS][NAME_ROOM], memdev[PATH_MAX];
        DIR *d = opendir(function);
        size_t n = 0;

        for (struct dirent *e; d && (e = readdir(d)) && n < MEMDEVS;)
                if (strncmp(e->d_name, "mem", strlen("mem")) == 0 && isdigit((unsigned char) e->d_name[strlen("mem")]))
                        (void) snprintf(names[n++], NAME_ROOM, "%.63s", e->d_name);
        if (d)
                closedir(d);
        while (n-- > 0) {
                (void) snprintf(memdev, sizeof(memdev), "%s/%s", function, names[n]);
                act(memdev);
        }
}

static void memdev_leaves(const char *memdev) {
        memdev_goes(memdev);
        iomem_keep_of(strrchr(memdev, '/') + 1);
}

static void memdev_arrives(const char *memdev) {
        const char *name = strrchr(memdev, '/') + 1;

        iomem_back_of(name);
        (void) memdev_driver(CXL_MEM "/bind", name);
}

/* remove_board(): the functions first, each with its drivers; the indicator last. */
static void board_remove(const char *slot, const char *port, const char *functions) {
        char function[PATH_MAX];

        for (unsigned i = 0; i < FUNCTIONS; i++) {
                (void) snprintf(function, sizeof(function), "%s.%u", functions, i);
                if (!tree_has("%s", function))
                        continue;
                if (half(HALF_FUNCTIONS))
                        continue;
                each_memdev(function, memdev_leaves);
                disks_go(function);
                iomem_keep_of(strrchr(function, '/') + 1);
                tree_hide("%s", function);
        }
        if (!half(HALF_ADAPTER))
                tree_put("0", "%s/adapter", slot);
        if (!half(HALF_POWER)) /* what is read there is the power controller's bit (pciehp_get_power_status()) */
                tree_put("0", "%s/power", slot);
        if (!half(HALF_LINK))
                slot_change(port, PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, 0);
        if (!half(HALF_POWER))
                slot_change(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PCC, PCI_EXP_SLTCTL_PWR_OFF);
        if (!half(HALF_INDICATOR))
                slot_change(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PWR_IND_OFF);
}

/* board_added(): the card that was there is there again. */
static void board_add(const char *slot, const char *port, const char *functions) {
        char function[PATH_MAX];

        slot_change(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PWR_ON | PCI_EXP_SLTCTL_PWR_IND_ON);
        slot_change(port, PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, PCI_EXP_LNKSTA_DLLLA);
        for (unsigned i = 0; i < FUNCTIONS; i++) {
                (void) snprintf(function, sizeof(function), "%s.%u", functions, i);
                if (!tree_show("%s", function))
                        continue;
                iomem_back_of(strrchr(function, '/') + 1);
                each_memdev(function, memdev_arrives);
        }
        tree_put("1", "%s/adapter", slot);
        tree_put("1", "%s/power", slot);
}

int slot_power(const char *path, const char *value) {
        char slot[PATH_MAX], port[32], folder[PATH_MAX], functions[PATH_MAX], address[32];

        (void) snprintf(slot, sizeof(slot), "%s", path);
        folder_of(slot);
        if (!slot_port(slot, port) || !tree_resolve(folder, "/sys/bus/pci/devices/%s", port))
                return -ENODEV;
        bool on = tree_number("%s", path) == 1;
        if (strcmp(value, on ? "0" : "1") != 0)
                return strcmp(value, "0") == 0 || strcmp(value, "1") == 0 ? -ENODEV : -EINVAL;
        tree_get(address, sizeof(address), "%s/address", slot);
        if (snprintf(functions, sizeof(functions), "%s/%s", folder, address) >= (int) sizeof(functions))
                sim_die("the path of %s is too long", address);
        if (on)
                board_remove(slot, port, functions);
        else
                board_add(slot, port, functions);
        return 0;
}

void kernel_register_write(const char *path, int fd, off_t at, uint8_t value) {
        char port[32];
        off_t cap;
        uint8_t was = 0;

        (void) snprintf(port, sizeof(port), "%.12s", strrchr(path, '/') - 12);
        close(config_at(port, &cap));
        if (at == cap + PCI_EXP_SLTSTA) {
                if (pread(fd, &was, 1, at) != 1)
                        sim_die("%s cannot be read", path);
                value = (uint8_t) (was & ~value);
        }
        if (pwrite(fd, &value, 1, at) != 1)
                sim_die("%s cannot be written", path);
        if (at == cap + PCI_EXP_SLTCTL)
                attention_follow(port);
        /* The port has taken the command. */
        if (at == cap + PCI_EXP_SLTCTL || at == cap + PCI_EXP_SLTCTL + 1)
                slot_word_set(port, PCI_EXP_SLTSTA, slot_word(port, PCI_EXP_SLTSTA) | PCI_EXP_SLTSTA_CC);
        kernel_check_lights();
}
