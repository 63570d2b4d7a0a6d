/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices and what stands on them (block/, drivers/md, mm/swapfile.c).
 *
 * Modelled: who in the kernel has a device (file systems, swaps, arrays, mapped devices, loop devices); devices that come and go with their partitions,
 * nodes and links; swapoff and swapon; md arrays that are stopped, put together, lose and get back a member; mapped devices that are switched off and on.
 * Not modelled: data, sizes, requests in flight, a resync's duration, external metadata, targets of device-mapper. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "storage/block.h"
#include "model.h"
#include "storage/mounts.h"
#include "storage/nodes.h"
#include "users/process.h"
#include "users/rivals.h"

#define BLOCK "/sys/class/block"

enum {
        NAMES_MAX = 64,
};

static char who[400];

static bool is_claimed_name(const char *name);

static size_t names_in(char ret[static NAMES_MAX][NAME_ROOM], const char *folder) {
        DIR *d = opendir(folder);
        size_t n = 0;

        for (struct dirent *e; d && n < NAMES_MAX && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        (void) snprintf(ret[n++], NAME_ROOM, "%.63s", e->d_name);
        if (d)
                (void) closedir(d);
        return n;
}

/* --- swap: lines of /proc/swaps, in columns */

static bool swap_find(const char *path, bool (*is_it)(const char *found, const char *path)) {
        FILE *f = fopen("/proc/swaps", "re");
        char line[512], name[256];
        bool found = false;

        for (bool first = true; f && fgets(line, sizeof(line), f); first = false)
                if (!first && !found && sscanf(line, "%255s", name) == 1 && is_it(name, path)) {
                        found = true;
                        (void) snprintf(who, sizeof(who), "%s is swapped to", name);
                }
        if (f)
                (void) fclose(f);
        return found;
}

static bool is_same(const char *found, const char *path) {
        return strcmp(found, path) == 0;
}

static bool is_below(const char *found, const char *folder) {
        size_t n = strlen(folder);

        return strncmp(found, folder, n) == 0 && found[n] == '/';
}

int swap_stop(const char *path) {
        FILE *f = fopen("/proc/swaps", "re");
        char line[512], name[256], text[4096] = "";
        bool found = false;

        while (f && fgets(line, sizeof(line), f)) {
                bool is = sscanf(line, "%255s", name) == 1 && strcmp(name, path) == 0;
                if (is)
                        tree_put(line, STORE "/swap-of-%s", strrchr(path, '/') + 1);
                else
                        strcat(text, line);
                found = found || is;
        }
        if (f)
                (void) fclose(f);
        if (!found)
                return -EINVAL;
        text[strlen(text) - 1] = '\0';
        tree_put(text, "/proc/swaps");
        return 0;
}

int swap_start(const char *path, int flags) {
        char text[4096] = "", line[512];

        if (swap_find(path, is_same) || (strncmp(path, "/dev/", strlen("/dev/")) == 0 && is_claimed_name(path + strlen("/dev/"))))
                return -EBUSY;
        FILE *f = fopen("/proc/swaps", "re");
        size_t n = f ? fread(text, 1, sizeof(text) - 600, f) : 0;
        if (f)
                (void) fclose(f);
        text[n] = '\0';
        tree_get(line, sizeof(line), STORE "/swap-of-%s", strrchr(path, '/') + 1);
        if (!*line)
                return -EINVAL;
        /* The priority is the last column. */
        char *last = strrchr(line, '\t');
        if (last)
                (void) snprintf(last, sizeof(line) - (size_t) (last - line), "\t%d", flags & SWAP_FLAG_PREFER ? flags & SWAP_FLAG_PRIO_MASK : -2);
        strcat(text, line);
        tree_put(text, "/proc/swaps");
        return 0;
}

/* --- who has what */

static bool loop_find(const char *path, bool (*is_it)(const char *found, const char *path)) {
        char names[NAMES_MAX][NAME_ROOM], file[256];

        for (size_t i = names_in(names, BLOCK); i-- > 0;) {
                tree_get(file, sizeof(file), BLOCK "/%s/loop/backing_file", names[i]);
                if (*file && is_it(file, path)) {
                        (void) snprintf(who, sizeof(who), "%s stands on %s", names[i], file);
                        return true;
                }
        }
        return false;
}

const char *block_file_user(const char *folder) {
        pid_t pid = process_within(folder);

        if (pid > 0)
                (void) snprintf(who, sizeof(who), "process %d is in %s", pid, folder);
        return pid > 0 || swap_find(folder, is_below) || loop_find(folder, is_below) ? who : NULL;
}

/* Of a process that has it for itself alone: a lock on a file of STORE goes with its descriptor, wherever that is. */
int block_claim(unsigned major, unsigned minor) {
        char path[96];

        (void) snprintf(path, sizeof(path), STORE "/claims/%u:%u", major, minor);
        int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                sim_die("%s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) >= 0)
                return fd;
        close(fd);
        return -EBUSY;
}

static bool is_claimed(unsigned major, unsigned minor) {
        int fd = block_claim(major, minor);

        if (fd >= 0)
                close(fd);
        return fd < 0;
}

static bool is_claimed_name(const char *name) {
        unsigned major, minor;
        char number[32];

        tree_get(number, sizeof(number), BLOCK "/%s/dev", name);
        return sscanf(number, "%u:%u", &major, &minor) == 2 && is_claimed(major, minor);
}

const char *block_busy(unsigned major, unsigned minor) {
        const char *user = block_user(major, minor);

        return user || !is_claimed(major, minor) ? user : "a process has it for itself";
}

const char *block_user(unsigned major, unsigned minor) {
        char device[PATH_MAX], path[PATH_MAX], names[NAMES_MAX][NAME_ROOM], mapped[128];
        const char *at = mounted_at(major, minor);

        if (at) {
                (void) snprintf(who, sizeof(who), "%u:%u is mounted at %s", major, minor, at);
                return who;
        }
        if (!tree_resolve(device, "/sys/dev/block/%u:%u", major, minor))
                return NULL;
        (void) snprintf(path, sizeof(path), "%.4000s/holders", device);
        if (names_in(names, path) > 0) {
                (void) snprintf(who, sizeof(who), "%s stands on %s", names[0], strrchr(device, '/') + 1);
                return who;
        }
        (void) snprintf(path, sizeof(path), "/dev/%.100s", strrchr(device, '/') + 1);
        tree_get(mapped, sizeof(mapped), "%s/dm/name", device);
        return swap_find(path, is_same) || loop_find(path, is_same) ? who : NULL;
}

/* --- devices */

/* A disk and its partitions, by what lies below its folder. */
static void each_of(const char *device, void (*act)(const char *device)) {
        char names[NAMES_MAX][NAME_ROOM], real[PATH_MAX];
        size_t length = strlen(device);

        for (size_t i = names_in(names, BLOCK); i-- > 0;)
                if (tree_resolve(real, BLOCK "/%s", names[i]) && strncmp(real, device, length) == 0 && (real[length] == '/' || real[length] == '\0'))
                        act(real);
}

static void one_goes(const char *device) {
        unsigned major, minor;
        char number[32];

        tree_get(number, sizeof(number), "%s/dev", device);
        const char *user = sscanf(number, "%u:%u", &major, &minor) == 2 ? block_user(major, minor) : NULL;
        if (user)
                loss("%s goes, and %s", strrchr(device, '/') + 1, user);
        node_goes(device, 'b');
}

static void one_comes(const char *device) {
        node_comes(device, 'b');
}

/* Those below it know who stands on them. */
static void holders_tell(const char *device, bool stands) {
        char names[NAMES_MAX][NAME_ROOM], folder[PATH_MAX], below[PATH_MAX], link[PATH_MAX];

        (void) snprintf(folder, sizeof(folder), "%.4000s/slaves", device);
        for (size_t i = names_in(names, folder); i-- > 0;) {
                if (!tree_resolve(below, "%s/%s", folder, names[i]) && !tree_resolve(below, BLOCK "/%s", names[i]))
                        continue;
                (void) snprintf(link, sizeof(link), "%.3900s/holders/%.60s", below, strrchr(device, '/') + 1);
                if (stands)
                        tree_link(device, "%s", link);
                else
                        (void) unlink(link);
        }
}

void block_goes(const char *device) {
        if (!tree_has("%s", device))
                return;
        each_of(device, one_goes);
        holders_tell(device, false);
        tree_hide("%s", device);
}

void block_comes(const char *device) {
        if (!tree_show("%s", device))
                return;
        each_of(device, one_comes);
        holders_tell(device, true);
}

static char disks[NAMES_MAX][PATH_MAX];
static size_t n_disks;

static void disk_note(const char *device) {
        if (!tree_has("%s/partition", device) && n_disks < NAMES_MAX)
                (void) snprintf(disks[n_disks++], PATH_MAX, "%s", device);
}

void disks_go(const char *function) {
        char names[NAMES_MAX][NAME_ROOM], folder[PATH_MAX], subsystem[PATH_MAX];

        n_disks = 0;
        each_of(function, disk_note);
        (void) snprintf(folder, sizeof(folder), "%.4000s/nvme", function);
        for (size_t i = names_in(names, folder); i-- > 0;)
                if (tree_resolve(subsystem, "/sys/class/nvme-subsystem/nvme-subsys%s", names[i] + strlen("nvme")) ||
                    tree_resolve(subsystem, "/sys/devices/virtual/nvme-subsystem/nvme-subsys%s", names[i] + strlen("nvme")))
                        each_of(subsystem, disk_note);
        while (n_disks > 0)
                block_goes(disks[--n_disks]);
}

/* --- programs */

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Somebody else's program has its own standard error. He acts in whichever process is at an event, and what that has there may be any file. */
static int complain(const char *format, ...) {
        va_list ap;

        if (rival_is_acting())
                return 1;
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fflush(stderr);
        return 1;
}

static int array_stop(const char *name) {
        char device[PATH_MAX];
        unsigned major = 0, minor = 0;
        char number[32];

        if (!tree_resolve(device, BLOCK "/%s", name))
                return complain("mdadm: error opening /dev/%s: No such file or directory\n", name);
        tree_get(number, sizeof(number), "%s/dev", device);
        if (sscanf(number, "%u:%u", &major, &minor) == 2 && block_user(major, minor))
                return complain("mdadm: Cannot get exclusive access to /dev/%s:Perhaps a running process, mounted filesystem or active volume group?\n", name);
        block_goes(device);
        return 0;
}

static int array_start(const char *name, const char *uuid) {
        char device[PATH_MAX], names[NAMES_MAX][NAME_ROOM];

        (void) uuid;
        (void) snprintf(device, sizeof(device), "/sys/devices/virtual/block/%.60s", name);
        if (tree_has("%s", device))
                return complain("mdadm: /dev/%s is already in use.\n", name);
        if (!tree_show("%s", device))
                return complain("mdadm: no devices found for /dev/%s\n", name);
        size_t n;
        char folder[PATH_MAX];
        (void) snprintf(folder, sizeof(folder), "%.4000s/slaves", device);
        n = names_in(names, folder);
        for (size_t i = 0; i < n; i++) {
                if (tree_has(BLOCK "/%s", names[i]) && !is_claimed_name(names[i]))
                        continue;
                tree_hide("%s", device);
                return complain("mdadm: /dev/%s assembled from %zu drives - not enough to start the array.\n", name, n - 1);
        }
        each_of(device, one_comes);
        holders_tell(device, true);
        return 0;
}

static int member_of(const char *array, const char *member, bool in) {
        char device[PATH_MAX], below[PATH_MAX], link[PATH_MAX];
        const char *states[] = { "dev-%s", "slaves/%s" };

        if (!tree_resolve(device, BLOCK "/%s", array))
                return complain("mdadm: error opening /dev/%s: No such file or directory\n", array);
        (void) snprintf(link, sizeof(link), "%.3900s/md/dev-%.60s", device, member);
        (void) states;
        if (!in) {
                if (!tree_has("%s", link))
                        return complain("mdadm: set device faulty failed for /dev/%s:  No such device\n", member);
                if (tree_resolve(below, BLOCK "/%s", member)) {
                        char holder[PATH_MAX];
                        (void) snprintf(holder, sizeof(holder), "%.3900s/holders/%.60s", below, array);
                        (void) unlink(holder);
                }
                char slave[PATH_MAX];
                (void) snprintf(slave, sizeof(slave), "%.3900s/slaves/%.60s", device, member);
                (void) unlink(slave);
                tree_put("1", "%s/md/degraded", device);
                tree_hide("%s", link);
                return 0;
        }
        if (is_claimed_name(member))
                return complain("mdadm: Cannot open /dev/%s: Device or resource busy\n", member);
        if (!tree_resolve(below, BLOCK "/%s", member))
                return complain("mdadm: cannot find /dev/%s: No such file or directory\n", member);
        if (tree_has("%s", link) || !tree_show("%s", link))
                return complain("mdadm: --re-add for /dev/%s to /dev/%s is not possible\n", member, array);
        tree_link(device, "%s/holders/%s", below, array);
        tree_link(below, "%s/slaves/%s", device, member);
        tree_put("0", "%s/md/degraded", device);
        return 0;
}

static bool mapped_find(const char *name, bool hidden, char ret[static PATH_MAX]) {
        char names[NAMES_MAX][NAME_ROOM], text[256];
        const char *slash = strrchr(name, '/');

        name = slash ? slash + 1 : name;
        for (size_t i = names_in(names, "/sys/devices/virtual/block"); i-- > 0 && !hidden;) {
                tree_get(text, sizeof(text), "/sys/devices/virtual/block/%s/dm/name", names[i]);
                if (strcmp(text, name) == 0) {
                        (void) snprintf(ret, PATH_MAX, "/sys/devices/virtual/block/%s", names[i]);
                        return true;
                }
        }
        tree_get(ret, PATH_MAX, STORE "/mapped-%s", name);
        return hidden && *ret;
}

/* Of one that is hidden. */
static bool below_is_claimed(const char *device) {
        char names[NAMES_MAX][NAME_ROOM], folder[PATH_MAX];
        bool found = false;

        if (!tree_show("%s", device))
                return false;
        (void) snprintf(folder, sizeof(folder), "%.4000s/slaves", device);
        for (size_t i = names_in(names, folder); i-- > 0;)
                found = found || !tree_has(BLOCK "/%s", names[i]) || is_claimed_name(names[i]);
        tree_hide("%s", device);
        return found;
}

static int mapped_switch(const char *program, const char *name, bool on) {
        char device[PATH_MAX], number[32], link[PATH_MAX];
        unsigned major, minor;
        const char *slash = strrchr(name, '/');

        name = slash ? slash + 1 : name;
        if (on) {
                if (mapped_find(name, false, device))
                        return 0;
                if (!mapped_find(name, true, device))
                        return complain("%s: %s: no such volume\n", program, name);
                if (below_is_claimed(device))
                        return complain("  device-mapper: reload ioctl on %s failed: Device or resource busy\n", name);
                block_comes(device);
                (void) snprintf(link, sizeof(link), "../%.60s", strrchr(device, '/') + 1);
                tree_link(link, "/dev/mapper/%s", name);
                return 0;
        }
        if (!mapped_find(name, false, device))
                return complain("%s: %s: no such device\n", program, name);
        tree_get(number, sizeof(number), "%s/dev", device);
        if (sscanf(number, "%u:%u", &major, &minor) == 2 && block_user(major, minor))
                return complain("  Logical volume %s in use.\n", name);
        tree_put(device, STORE "/mapped-%s", name);
        (void) snprintf(link, sizeof(link), "/dev/mapper/%.100s", name);
        (void) unlink(link);
        block_goes(device);
        return 0;
}

/* All that there is here stands on one device, of which it is a part. */
static int mapped_table(const char *name) {
        char device[PATH_MAX], folder[PATH_MAX], names[NAMES_MAX][NAME_ROOM], number[32];

        if (!mapped_find(name, false, device))
                return complain("Device %s not found\n", name);
        (void) snprintf(folder, sizeof(folder), "%.4000s/slaves", device);
        if (names_in(names, folder) != 1)
                return complain("Command failed.\n");
        tree_get(number, sizeof(number), BLOCK "/%s/dev", names[0]);
        printf("0 %ju linear %s 2048\n", (uintmax_t) tree_number("%s/size", device), number);
        (void) fflush(stdout);
        return 0;
}

static const char *node_name(const char *node) {
        return strncmp(node, "/dev/", 5) == 0 ? node + 5 : node;
}

int program_run(const char *const argv[]) {
        const char *program = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
        size_t n = 0;

        while (argv[n])
                n++;
        if (strcmp(program, "mdadm") == 0 && n == 3 && strcmp(argv[1], "--stop") == 0)
                return array_stop(node_name(argv[2]));
        if (strcmp(program, "mdadm") == 0 && n == 4 && strcmp(argv[1], "--assemble") == 0)
                return array_start(node_name(argv[2]), argv[3]);
        if (strcmp(program, "mdadm") == 0 && n == 6 && strcmp(argv[4], "--remove") == 0)
                return member_of(node_name(argv[1]), node_name(argv[5]), false);
        if (strcmp(program, "mdadm") == 0 && n == 4 && (strcmp(argv[2], "--re-add") == 0 || strcmp(argv[2], "--add") == 0))
                return member_of(node_name(argv[1]), node_name(argv[3]), true);
        if (strcmp(program, "lvchange") == 0 && n >= 4 && strncmp(argv[2], "-a", 2) == 0)
                return mapped_switch(program, argv[n - 1], argv[2][2] == 'y');
        if (strcmp(program, "dmsetup") == 0 && n == 3 && strcmp(argv[1], "table") == 0)
                return mapped_table(argv[2]);
        if (strcmp(program, "dmsetup") == 0 && n >= 3 && strcmp(argv[1], "remove") == 0)
                return mapped_switch(program, argv[n - 1], false);
        sim_die("%s is called with %zu arguments, and the model knows nothing of it", program, n);
}
