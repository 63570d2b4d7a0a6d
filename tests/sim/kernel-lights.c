/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What dark lights of a slot say: that its card may be pulled. It is looked at whenever something has changed, and not at the end alone: somebody may pull
 * the card at any time. */
#include <dirent.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

enum {
        LINE_ROOM = 256,
};

/* With the slot's driver or without. */
static bool is_dark(const char *port) {
        uint16_t control = slot_word(port, PCI_EXP_SLTCTL);

        return (control & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_OFF && (control & PCI_EXP_SLTCTL_AIC) == PCI_EXP_SLTCTL_ATTN_IND_OFF;
}

static bool has_function(const char *port) {
        char below[PATH_MAX];

        (void) snprintf(below, sizeof(below), "/sys/bus/pci/devices/%s", port);
        DIR *d = opendir(below);
        bool found = false;
        for (struct dirent *e; d && !found && (e = readdir(d));)
                found = strchr(e->d_name, ':') && strlen(e->d_name) == strlen("0000:00:00.0");
        if (d)
                closedir(d);
        return found;
}

/* One of the memory blocks that the card had at the beginning: STORE "/ports/PORT" has their names. */
static bool has_online_block(const char *port, char ret[static LINE_ROOM]) {
        char path[PATH_MAX], state[NAME_ROOM];
        bool found = false;

        (void) snprintf(path, sizeof(path), STORE "/ports/%s", port);
        FILE *f = fopen(path, "re");
        while (f && !found && fgets(ret, LINE_ROOM, f)) {
                ret[strcspn(ret, "\n")] = '\0';
                tree_get(state, sizeof(state), BLOCKS "/%s/state", ret);
                found = strcmp(state, "online") == 0;
        }
        if (f)
                (void) fclose(f);
        return found;
}

static void check(const char *port) {
        char block[LINE_ROOM];

        if (!is_dark(port))
                return;
        if (!(slot_word(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC))
                sim_trace("BROKEN: the lights of port %s are dark, and it has power", port);
        if (has_function(port))
                sim_trace("BROKEN: the lights of port %s are dark, and its card has a function", port);
        if (has_online_block(port, block))
                sim_trace("BROKEN: the lights of port %s are dark, and %s is online", port, block);
}

void kernel_check_lights(void) {
        DIR *d = opendir(STORE "/ports");

        for (struct dirent *e; d && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        check(e->d_name);
        if (d)
                closedir(d);
}
