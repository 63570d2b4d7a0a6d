/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Others who act on the machine, and a kernel that does not do as it should: scripts of the player, a call a line. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "users/rivals.h"

enum {
        LINE_ROOM = 2 * PATH_MAX,
};

/* An administrator writes to an attribute. What the kernel answers is his. */
static void do_write(const char *path, const char *text) {
        int r = kernel_attr_write(path, text);

        sim_trace("somebody else: %s > %s = %d", text, path, r);
}

/* All that follow change the tree as it is, where the kernel would not. */
static void do_put(const char *path, const char *text) {
        if (*path != '/')
                sim_die("an actor cannot write to %s", path);
        tree_put(text, "%s", path);
}

/* Its function reads as all ones from now on. */
static void do_dies(const char *path, const char *text) {
        char config[PATH_MAX];

        (void) text;
        (void) snprintf(config, sizeof(config), "%s/config", path);
        int fd = open(config, O_WRONLY | O_CLOEXEC);
        const uint8_t ones[64] = { [0 ... 63] = 0xff };
        if (fd < 0 || pwrite(fd, ones, sizeof(ones), 0) != sizeof(ones))
                sim_die("%s cannot die", path);
        (void) close(fd);
}

static void do_folder(const char *path, const char *text) {
        (void) text;
        if (*path != '/' || mkdir(path, 0755) < 0)
                sim_die("an actor cannot make %s", path);
}

static void do_link(const char *path, const char *text) {
        tree_link(text, "%s", path);
}

static void do_iomem(const char *range, const char *name) {
        char *end;
        uint64_t start = strtoull(range, &end, 16);

        iomem_add(start, strtoull(end + 1, NULL, 16), name);
}

/* Bits of a register of a port's slot: "REGISTER MASK BITS", in hexadecimal digits. */
static void do_slot(const char *port, const char *text) {
        unsigned reg, mask, bits;

        if (sscanf(text, "%x %x %x", &reg, &mask, &bits) != 3)
                sim_die("an actor's '%s' is no register", text);
        slot_change(port, (int) reg, (uint16_t) mask, (uint16_t) bits);
}

static void do_log(const char *priority, const char *text) {
        kernel_log((unsigned) strtoul(priority, NULL, 10), text);
}

static const struct {
        const char *verb;
        void (*act)(const char *path, const char *text);
} acts[] = {
        { "write", do_write },
        { "put", do_put },
        { "folder", do_folder },
        { "dies", do_dies },
        { "link", do_link },
        { "iomem", do_iomem },
        { "slot", do_slot },
        { "log", do_log },
};

/* "VERB PATH", and after another space what it is to be. */
static void act(char *line) {
        char *path = strchr(line, ' '), *text = path ? strchr(path + 1, ' ') : NULL;

        if (path)
                *path++ = '\0';
        if (text)
                *text++ = '\0';
        for (size_t i = 0; path && i < ELEMENTSOF(acts); i++)
                if (strcmp(acts[i].verb, line) == 0) {
                        acts[i].act(path, text ? text : "");
                        return;
                }
        if (!path || !rival_acts(line, path, text ? text : ""))
                sim_die("an actor knows no '%s'", line);
}

void actor_acts(int64_t number) {
        char path[PATH_MAX], line[LINE_ROOM];

        (void) snprintf(path, sizeof(path), STORE "/actors/%jd", (intmax_t) number);
        FILE *f = fopen(path, "re");
        if (!f)
                sim_die("there is no actor %jd", (intmax_t) number);
        while (fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\n")] = '\0';
                act(line);
        }
        (void) fclose(f);
        kernel_check_lights();
}
