/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses, memory blocks, and the dax devices that give memory to the kernel (kernel/resource.c, drivers/base/memory.c, drivers/dax/bus.c, drivers/dax/kmem.c). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "users/process.h"

typedef struct IomemLine {
        uint64_t start, end;
        char name[128];
} IomemLine;

static size_t iomem_read(IomemLine lines[static 512]) {
        FILE *f = fopen("/proc/iomem", "re");
        char text[256];
        size_t n = 0;

        while (f && n < 512 && fgets(text, sizeof(text), f))
                if (sscanf(text, " %" SCNx64 "-%" SCNx64 " : %127[^\n]", &lines[n].start, &lines[n].end, lines[n].name) == 3)
                        n++;
        if (f)
                (void) fclose(f);
        return n;
}

static void iomem_write(const IomemLine *lines, size_t n) {
        FILE *f = fopen("/proc/iomem", "we");

        if (!f)
                sim_die("/proc/iomem: %s", strerror(errno));
        for (size_t i = 0; i < n; i++) {
                int depth = 0;
                for (size_t j = 0; j < i; j++)
                        depth += lines[j].start <= lines[i].start && lines[j].end >= lines[i].end;
                fprintf(f, "%*s%08" PRIx64 "-%08" PRIx64 " : %s\n", depth * 2, "", lines[i].start, lines[i].end, lines[i].name);
        }
        (void) fclose(f);
}

void iomem_remove(uint64_t start, const char *name) {
        IomemLine lines[512];
        size_t n = iomem_read(lines), kept = 0;

        for (size_t i = 0; i < n; i++)
                if (lines[i].start != start || strcmp(lines[i].name, name) != 0)
                        lines[kept++] = lines[i];
        iomem_write(lines, kept);
}

/* What is not there any more goes to the file, if there is one. */
static void iomem_take(const char *name, FILE *to) {
        IomemLine lines[512];
        size_t n = iomem_read(lines), kept = 0;
        uint64_t start = 0, end = 0;

        for (size_t i = 0; i < n; i++) {
                bool is_it = strcmp(lines[i].name, name) == 0;
                if (is_it) {
                        start = lines[i].start;
                        end = lines[i].end + 1;
                }
                if (!is_it && (lines[i].start < start || lines[i].end >= end))
                        lines[kept++] = lines[i];
                else if (to)
                        fprintf(to, "%" PRIx64 "-%" PRIx64 " %s\n", lines[i].start, lines[i].end, lines[i].name);
        }
        iomem_write(lines, kept);
}

void iomem_remove_of(const char *name) {
        iomem_take(name, NULL);
}

void iomem_keep_of(const char *name) {
        char path[PATH_MAX];

        (void) snprintf(path, sizeof(path), STORE "/iomem-of-%s", name);
        FILE *f = fopen(path, "we");
        if (!f)
                sim_die("%s: %s", path, strerror(errno));
        iomem_take(name, f);
        (void) fclose(f);
}

void iomem_back_of(const char *name) {
        char path[PATH_MAX];
        IomemLine line;

        (void) snprintf(path, sizeof(path), STORE "/iomem-of-%s", name);
        FILE *f = fopen(path, "re");
        while (f && fscanf(f, "%" SCNx64 "-%" SCNx64 " %127[^\n]\n", &line.start, &line.end, line.name) == 3)
                iomem_add(line.start, line.end, line.name);
        if (f)
                (void) fclose(f);
        (void) unlink(path);
}

bool iomem_place_of(const char *name, uint64_t *ret_start, uint64_t *ret_end) {
        IomemLine lines[512];
        size_t n = iomem_read(lines);

        for (size_t i = 0; i < n; i++)
                if (strcmp(lines[i].name, name) == 0) {
                        *ret_start = lines[i].start;
                        *ret_end = lines[i].end;
                        return true;
                }
        return false;
}

void iomem_add(uint64_t start, uint64_t end, const char *name) {
        IomemLine lines[513];
        size_t n = iomem_read(lines), at = 0;

        while (at < n && (lines[at].start < start || (lines[at].start == start && lines[at].end >= end)))
                at++;
        memmove(lines + at + 1, lines + at, (n - at) * sizeof(*lines));
        lines[at] = (IomemLine) { .start = start, .end = end };
        (void) snprintf(lines[at].name, sizeof(lines[at].name), "%s", name);
        iomem_write(lines, n + 1);
}

int block_state(const char *path, const char *value) {
        char folder[PATH_MAX], state[32], zone[32] = "Normal";

        (void) snprintf(folder, sizeof(folder), "%s", path);
        folder_of(folder);

        tree_get(state, sizeof(state), "%s/state", folder);
        if (strcmp(value, "offline") == 0) {
                if (strcmp(state, "offline") == 0)
                        return -EINVAL; /* memory_block_change_state(): it is in that state */
                tree_put("offline", "%s/state", folder);
                tree_put("0", "%s/online", folder);
                tree_put("Normal Movable", "%s/valid_zones", folder);
                return 0;
        }
        if (strncmp(value, "online", 6) != 0)
                return -EINVAL;
        if (strcmp(state, "offline") != 0)
                return -EINVAL;
        if (strcmp(value, "online_movable") == 0)
                strcpy(zone, "Movable");
        tree_put("online", "%s/state", folder);
        tree_put("1", "%s/online", folder);
        tree_put(zone, "%s/valid_zones", folder);
        return 0;
}

int auto_online(const char *path, const char *value) {
        static const char *const words[] = { "offline", "online", "online_kernel", "online_movable" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcmp(value, words[i]) == 0) {
                        tree_put(value, "%s", path);
                        return 0;
                }
        return -EINVAL;
}

static uint64_t block_size(void) {
        char text[32];

        tree_get(text, sizeof(text), BLOCKS "/block_size_bytes");
        return strtoull(text, NULL, 16);
}

static bool all_offline(uint64_t first, uint64_t end) {
        char state[32];

        for (uint64_t i = first; i < end; i++) {
                tree_get(state, sizeof(state), BLOCKS "/memory%" PRIu64 "/state", i);
                if (strcmp(state, "online") == 0)
                        return false;
        }
        return true;
}

static void node_link(const char *node, uint64_t block) {
        if (!tree_has("/sys/devices/system/node/%s", node)) {
                char folder[PATH_MAX];
                (void) snprintf(folder, sizeof(folder), "/sys/devices/system/node/%s", node);
                (void) mkdir(folder, 0755);
                tree_put("", "%s/cpulist", folder);
                tree_put("0", "%s/cpumap", folder);
        }
        tree_link(BLOCKS, "/sys/devices/system/node/%s/memory%" PRIu64, node, block); /* leads to no block, which nobody asks */
}

/* add_memory_block(): offline, until the policy says otherwise. */
static void block_make(uint64_t id, unsigned node) {
        char folder[PATH_MAX], text[64], name[32];

        (void) snprintf(folder, sizeof(folder), BLOCKS "/memory%" PRIu64, id);
        (void) snprintf(name, sizeof(name), "node%u", node);
        if (mkdir(folder, 0755) < 0)
                sim_die("%s: %s", folder, strerror(errno));
        tree_put("offline", "%s/state", folder);
        tree_put("0", "%s/online", folder);
        tree_put("0", "%s/phys_device", folder);
        tree_put("1", "%s/removable", folder);
        tree_put("Normal Movable", "%s/valid_zones", folder);
        tree_put("", "%s/uevent", folder);
        (void) snprintf(text, sizeof(text), "%08" PRIx64, id);
        tree_put(text, "%s/phys_index", folder);
        tree_link("/sys/bus/memory", "%s/subsystem", folder);
        (void) snprintf(text, sizeof(text), "/sys/devices/system/node/%s", name);
        tree_link(text, "%s/%s", folder, name);
        if (tree_has("/sys/bus/memory/devices"))
                tree_link(folder, "/sys/bus/memory/devices/memory%" PRIu64, id);
        node_link(name, id);
}

static void block_unmake(uint64_t id, unsigned node) {
        char link[PATH_MAX];

        (void) snprintf(link, sizeof(link), "/sys/bus/memory/devices/memory%" PRIu64, id);
        (void) unlink(link);
        (void) snprintf(link, sizeof(link), "/sys/devices/system/node/node%u/memory%" PRIu64, node, id);
        (void) unlink(link);
        tree_remove(BLOCKS "/memory%" PRIu64, id);
}

void kmem_take(const char *dax) {
        uint64_t start = tree_number("%s/mapping0/start", dax), end = tree_number("%s/mapping0/end", dax) + 1, size = block_size();
        unsigned node = (unsigned) tree_number("%s/target_node", dax);
        char word[32], state[PATH_MAX];

        tree_get(word, sizeof(word), BLOCKS "/auto_online_blocks");
        iomem_add(start, end - 1, strrchr(dax, '/') + 1);
        iomem_add(start, end - 1, "System RAM (kmem)");
        for (uint64_t i = start / size; i < end / size; i++) {
                block_make(i, node);
                world_block_came(i);
                if (strcmp(word, "offline") == 0)
                        continue;
                (void) snprintf(state, sizeof(state), BLOCKS "/memory%" PRIu64 "/state", i);
                (void) block_state(state, word);
        }
}

/* dev_dax_kmem_remove(): what is online stays, and cannot be taken away any more; the driver goes all the same. */
void kmem_give(const char *dax) {
        uint64_t start = tree_number("%s/mapping0/start", dax), end = tree_number("%s/mapping0/end", dax) + 1, size = block_size();
        unsigned node = (unsigned) tree_number("%s/target_node", dax);

        if (!all_offline(start / size, end / size))
                return;
        for (uint64_t i = start / size; i < end / size; i++)
                block_unmake(i, node);
        iomem_remove(start, "System RAM (kmem)");
        iomem_remove(start, strrchr(dax, '/') + 1);
}

int dax_driver(const char *path, const char *value) {
        char device[PATH_MAX], driver[PATH_MAX];
        bool bind = path_is_bind(path);

        (void) snprintf(driver, sizeof(driver), "%s", path);
        const char *name = strrchr(folder_of(driver), '/') + 1;
        if (!tree_resolve(device, "/sys/bus/dax/devices/%s", value))
                return -ENODEV;
        if (bind ? tree_has("%s/driver", device) : !driven_by(device, name))
                return bind ? -EBUSY : -ENODEV;
        if (bind && !dax_id_matches(device, name))
                return -ENODEV;
        if (!bind)
                dax_id_note(device, name);
        if (strcmp(name, "kmem") == 0 && bind)
                kmem_take(device);
        else if (strcmp(name, "kmem") == 0)
                kmem_give(device);
        else
                dax_device_turn(device, bind);
        driver_link(device, bind ? driver : NULL);
        return 0;
}
