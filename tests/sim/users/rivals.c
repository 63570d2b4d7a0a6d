/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Others who act between two events, beside those who write to attributes (actor.c).
 *
 * Modelled: a card that is pulled (its link, its registers, the kernel's words, and what pciehp does where it has the port); somebody who mounts, unmounts,
 * swaps, runs mdadm or lvchange; a process that is signalled, or begins and opens what it says; a rule that onlines every block a while after it has come.
 * Not modelled: a card that is put in, resets, error recovery, hot removal of a whole bus. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "storage/block.h"
#include "storage/mounts.h"
#include "users/process.h"
#include "users/rivals.h"

enum {
        WORDS_MAX = 16,
        CONFIG_MAX = 4096,
};

static bool acting;

bool rival_is_acting(void) {
        return acting;
}

/* All that is read of the card from now on is ones. */
static void config_fill(const char *function) {
        char path[PATH_MAX];
        uint8_t ones[CONFIG_MAX];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%.4000s/config", function);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        memset(ones, 0xff, sizeof(ones));
        if (fd >= 0 && fstat(fd, &st) >= 0)
                (void) !pwrite(fd, ones, st.st_size < CONFIG_MAX ? (size_t) st.st_size : CONFIG_MAX, 0);
        if (fd >= 0)
                close(fd);
}

static void functions_fill(const char *port) {
        char below[PATH_MAX], function[PATH_MAX];

        (void) snprintf(below, sizeof(below), "/sys/bus/pci/devices/%s", port);
        DIR *d = opendir(below);
        for (struct dirent *e; d && (e = readdir(d));) {
                (void) snprintf(function, sizeof(function), "%s/%s", below, e->d_name);
                if (strchr(e->d_name, ':') && strlen(e->d_name) == strlen("0000:00:00.0"))
                        config_fill(function);
        }
        if (d)
                (void) closedir(d);
}

static void say(const char *port, const char *slot, const char *what) {
        char text[256];

        (void) snprintf(text, sizeof(text), "pcieport %.20s: pciehp: Slot(%.20s): %s", port, slot, what);
        kernel_log(6, text);
}

/* "PORT SLOT" */
static void pull(const char *port, const char *slot) {
        char path[PATH_MAX], device[PATH_MAX];

        functions_fill(port);
        slot_change(port, PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, 0);
        slot_change(port, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
        (void) snprintf(device, sizeof(device), "/sys/bus/pci_express/devices/%s:pcie004", port);
        if (!driven_by(device, "pciehp"))
                return;
        say(port, slot, "Link Down");
        say(port, slot, "Card not present");
        (void) snprintf(path, sizeof(path), "/sys/bus/pci/slots/%s/power", slot);
        if (tree_number("%s", path) == 1)
                (void) kernel_attr_write(path, "0");
}

/* "TARGET DISK": as mount(8) would find out all the rest. */
static void do_mount(const char *target, const char *disk) {
        Mount m = { .root = "/", .options = "rw,relatime", .type = "ext4", .super = "rw" };
        char number[32];

        tree_get(number, sizeof(number), "/sys/class/block/%s/dev", disk);
        (void) snprintf(m.source, sizeof(m.source), "/dev/%.200s", disk);
        if (sscanf(number, "%u:%u", &m.major, &m.minor) != 2 || block_busy(m.major, m.minor)) {
                sim_trace("somebody else cannot mount %s", disk);
                return;
        }
        (void) mount_put("1", target, &m);
        super_block_tell(&m, true);
}

static void run(const char *program, const char *text) {
        char line[512];
        const char *argv[WORDS_MAX] = { program };
        size_t n = 1;

        (void) snprintf(line, sizeof(line), "%s", text);
        for (char *rest = line, *word; n < WORDS_MAX - 1 && (word = strsep(&rest, " "));)
                argv[n++] = word;
        sim_trace("somebody else: %s %s = %d", program, text, program_run(argv));
}

static void unmount(const char *target, const char *text) {
        (void) text;
        sim_trace("somebody else: umount %s = %d", target, mount_take("1", target));
}

static void swap(const char *path, const char *on) {
        sim_trace("somebody else: swap %s %s = %d", path, on, strcmp(on, "on") == 0 ? swap_start(path, 0) : swap_stop(path));
}

static void send_signal(const char *pid, const char *number) {
        sim_trace("somebody else: signal %s to process %s = %d", number, pid, process_signal(sim_number(pid), sim_number(number)));
}

static void begin(const char *pid, const char *text) {
        (void) text;
        process_start(sim_number(pid));
}

/* "udev MILLISECONDS" */
static void online_later(const char *msec, const char *text) {
        (void) text;
        tree_put(msec, STORE "/onlines");
}

bool rival_acts(const char *verb, const char *what, const char *text) {
        static const struct {
                const char *verb;
                void (*act)(const char *what, const char *text);
        } verbs[] = {
                { "pull", pull }, { "mount", do_mount }, { "umount", unmount }, { "swap", swap }, { "run", run }, { "signal", send_signal },
                { "process", begin }, { "udev", online_later },
        };

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i].verb, verb) == 0) {
                        acting = true;
                        verbs[i].act(what, text);
                        acting = false;
                        return true;
                }
        return false;
}
