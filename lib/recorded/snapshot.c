/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/block/dm-state.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/command.h"
#include "kernel/sysfs/attr.h"
#include "recorded/dress.h"
#include "recorded/emit.h"
#include "recorded/names.h"
#include "recorded/recording.h"
#include "recorded/snapshot.h"
#include "recorded/snapshot-processes.h"

enum {
        DEPTH_MAX = 12,
        TABLE_MAX = 8 * 1024 * 1024,
};

#define MAPPER "/dev/mapper/control"
#define MAPPER_USEC (5 * USEC_PER_SEC)

static const char *const buses[] = { "cxl", "dax", "pci", "pci_express", "nd" };

/* Never, whatever is asked for. */
static bool is_key(const char *name) {
        static const char *const names[] = { "dhchap_secret", "dhchap_ctrl_secret", "dhchap_key", "dhchap_ctrl_key", "tls_key", "tls_configured_key",
                                             "userid", "userid_mutual", "password", "password_mutual" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* Huge, blocking, of no use, or an order and not an attribute. */
static bool is_skipped_file(const char *name) {
        static const char *const names[] = {
                "rom", "vpd", "remove", "rescan", "reset", "reset_method", "reset_subordinate", "enable", "d3cold_allowed", "driver_override", "boot_vga",
                "bind", "unbind", "new_id", "remove_id", "autosuspend_delay_ms", "ari_enabled", "broken_parity_status", "msi_bus", "irq", "local_cpus",
                "local_cpulist", "dma_mask_bits", "consistent_dma_mask_bits", "power_state", "link", "flush", "uevent_suppress", "wait_probe", "deep_flush",
                "stat", "inflight", "events", "events_async", "events_poll_msecs",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return startswith(name, "aer_") || endswith(name, "_enable") || is_key(name);
}

static bool is_skipped_folder(const char *name) {
        static const char *const names[] = { "power", "tracing", "msi_irqs", "wakeup", "link", "hugepages", "access0", "access1", "compact", "queue",
                                             "mq", "bdi", "trace", "statistics", "i915", "drm", "hwmon" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

static bool is_device(const char *path) {
        _cleanup_free_ char *subsystem = strf("%s/subsystem", path);
        struct stat st;

        return subsystem && lstat(subsystem, &st) >= 0 && S_ISLNK(st.st_mode);
}

static bool is_of_our_buses(const char *path) {
        _cleanup_free_ char *subsystem = strf("%s/subsystem", path), *target = NULL;
        const char *name = subsystem && read_link_at(AT_FDCWD, subsystem, &target) >= 0 ? strrchr(target, '/') : NULL;

        for (size_t i = 0; name && i < ELEMENTSOF(buses); i++)
                if (streq(name + 1, buses[i]))
                        return true;
        return false;
}

typedef void (*visit_t)(Emit *e, const char *path, mode_t mode, unsigned depth);

/* Each entry of a folder, by name. */
static void for_each(Emit *e, const char *folder, unsigned depth, visit_t visit) {
        struct dirent **entries = NULL;
        int n = depth < DEPTH_MAX ? scandir(folder, &entries, NULL, alphasort) : 0;

        if (n < 0 && (errno == EACCES || errno == EPERM))
                emit_missing(e, folder, strerror(errno));
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, entries[i]->d_name);
                struct stat st;

                if (path && !streq(entries[i]->d_name, ".") && !streq(entries[i]->d_name, "..") && lstat(path, &st) >= 0)
                        visit(e, path, st.st_mode, depth);
                free(entries[i]);
        }
        free(entries);
}

static const char *name_of(const char *path) {
        return strrchr(path, '/') + 1;
}

static void attributes(Emit *e, const char *path, unsigned depth);

/* The attributes of one device or attribute group, not the devices below it. */
static void visit_attribute(Emit *e, const char *path, mode_t mode, unsigned depth) {
        const char *name = name_of(path);

        if (S_ISLNK(mode))
                emit_link(e, path);
        else if (S_ISDIR(mode) && !is_skipped_folder(name) && !is_device(path))
                attributes(e, path, depth + 1);
        else if (S_ISREG(mode) && startswith(name, "resource") && name[strlen("resource")])
                emit_text(e, path, "", 0); /* that it is there; its bytes are the card's own */
        else if (S_ISREG(mode) && !is_skipped_file(name))
                (void) emit_file(e, path, 0);
}

static void attributes(Emit *e, const char *path, unsigned depth) {
        emit_folder(e, path);
        for_each(e, path, depth, visit_attribute);
}

/* A device that only has to be seen to be there: what it is, and what stands on it. */
static void visit_bystander(Emit *e, const char *path, mode_t mode, unsigned depth) {
        static const char *const links[] = { "subsystem", "driver" }, *const files[] = { "uevent", "serial", "state", "status" };

        if (!S_ISDIR(mode) || is_skipped_folder(name_of(path)))
                return;
        if (is_device(path)) {
                /* Most are in the bus's own list. */
                if (is_of_our_buses(path)) {
                        if (emit_has(e, path))
                                return;
                        attributes(e, path, depth);
                }
                for (size_t i = 0; i < ELEMENTSOF(links); i++) {
                        _cleanup_free_ char *link = strf("%s/%s", path, links[i]);
                        if (link)
                                emit_link(e, link);
                }
                for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                        _cleanup_free_ char *file = strf("%s/%s", path, files[i]);
                        if (file)
                                (void) emit_file(e, file, 0);
                }
        }
        for_each(e, path, depth + 1, visit_bystander);
}

/* A device by its link in a folder of such. */
static void visit_device(Emit *e, const char *path, mode_t mode, unsigned depth) {
        char *real = NULL;

        if (S_ISREG(mode) && !is_skipped_file(name_of(path)))
                (void) emit_file(e, path, 0);
        if (S_ISDIR(mode))
                attributes(e, path, 1);
        if (!S_ISLNK(mode))
                return;
        emit_link(e, path);
        real = realpath(path, NULL);
        if (real) {
                attributes(e, real, 0);
                for_each(e, real, 0, visit_bystander);
        }
        free(real);
}

/* Of a block device the few attributes of its queue that are asked for, too. */
static void visit_block(Emit *e, const char *path, mode_t mode, unsigned depth) {
        _cleanup_free_ char *block = strf("%s/queue/logical_block_size", path);

        visit_device(e, path, mode, depth);
        char *real = block ? realpath(block, NULL) : NULL;
        if (real)
                (void) emit_file(e, real, 0);
        free(real);
}

/* All of a tree that is nobody's device: configfs and the like. */
static void visit_tree(Emit *e, const char *path, mode_t mode, unsigned depth) {
        if (S_ISLNK(mode))
                emit_link(e, path);
        else if (S_ISDIR(mode)) {
                emit_folder(e, path);
                for_each(e, path, depth + 1, visit_tree);
        } else if (S_ISREG(mode) && !is_key(name_of(path)))
                (void) emit_file(e, path, 0);
}

static void visit_name(Emit *e, const char *path, mode_t mode, unsigned depth) {
        if (S_ISDIR(mode))
                emit_folder(e, path);
        else if (S_ISLNK(mode))
                emit_link(e, path);
}

static void visit_table(Emit *e, const char *path, mode_t mode, unsigned depth) {
        /* Where one is simulated, a file of /proc that was not recorded is a link to the real one. */
        if (S_ISREG(mode) || (S_ISLNK(mode) && startswith(path, "/proc/")))
                (void) emit_file(e, path, TABLE_MAX);
        else
                visit_name(e, path, mode, depth);
}

/* That a node is there. What is no node but a text says what the kernel would. */
static void visit_node(Emit *e, const char *path, mode_t mode, unsigned depth) {
        if (S_ISREG(mode))
                (void) emit_file(e, path, TABLE_MAX);
        else if (S_ISCHR(mode) && !streq(path, MAPPER))
                emit_text(e, path, "", 0);
}

/* A policy is words of somebody's own. */
static void visit_policy(Emit *e, const char *path, mode_t mode, unsigned depth) {
        if (e->names)
                emit_missing(e, path, "has names in it");
        else
                visit_tree(e, path, mode, depth);
}

/* Most of what dynamic_debug lists is about other modules. */
static void visit_debug(Emit *e, const char *path, mode_t mode, unsigned depth) {
        _cleanup_free_ char *text = NULL, *kept = NULL;

        if (emit_has(e, path) || read_file_at_most(AT_FDCWD, path, TABLE_MAX, &text, NULL) < 0)
                return;
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));)
                if (*line && (*line == '#' || strstr(line, "[libnvdimm]")) && text_add(&kept, "\n", "%s", line) < 0)
                        e->error = e->error ?: -ENOMEM;
        _cleanup_free_ char *whole = strf("%s%s", kept ?: "", kept ? "\n" : "");
        if (whole)
                emit_text(e, path, whole, strlen(whole));
}

/* Where plans look, in this order; a later pattern records nothing that an earlier one has. */
static const struct {
        const char *pattern;
        visit_t visit;
} places[] = {
        { "/sys/bus/pci/slots", visit_name },
        { "/sys/bus/pci/slots/*", visit_device },
        { "/sys/devices/system/memory", visit_name },
        { "/sys/devices/system/memory/*", visit_device },
        { "/sys/devices/system/node", visit_name },
        { "/sys/devices/system/node/*[a-z]", visit_device },
        { "/sys/devices/system/node/node*/*", visit_table },
        { "/sys/class/block", visit_name },
        { "/sys/class/block/*", visit_block },
        { "/sys/block/*", visit_block },
        { "/sys/class/nvme/*", visit_device },
        { "/sys/class/nvme-generic/*", visit_device },
        { "/sys/class/nvme-subsystem/*", visit_device },
        { "/sys/class/mtd/*", visit_device },
        { "/sys/class/vfio/*", visit_device },
        { "/sys/class/rnbd-server/*", visit_device },
        { "/sys/class/scsi_device/*", visit_device },
        { "/sys/kernel/config", visit_tree },
        { "/sys/kernel/scst_tgt", visit_tree },
        { "/sys/kernel/iommu_groups/*/devices/*", visit_name },
        { "/sys/kernel/security/lockdown", visit_table },
        { "/sys/kernel/tracing/uprobe_events", visit_table },
        { "/sys/kernel/debug/tracing/uprobe_events", visit_table },
        { "/sys/kernel/debug/dynamic_debug", visit_name },
        { "/sys/kernel/debug/dynamic_debug/control", visit_debug },
        { "/sys/kernel/uevent_seqnum", visit_table },
        { "/sys/fs/btrfs", visit_tree },
        { "/sys/fs/bcachefs", visit_tree },
        { "/sys/fs/bcache", visit_tree },
        { "/sys/fs/ext4/*", visit_name },
        { "/sys/fs/ext4/*/journal_task", visit_table },
        { "/sys/fs/xfs/*", visit_name },
        { "/sys/fs/f2fs/*", visit_name },
        { "/sys/fs/nilfs2/*", visit_name },
        { "/sys/fs/cgroup/cgroup.controllers", visit_table },
        { "/sys/module/*", visit_name },
        { "/sys/module/pstore_blk/parameters/blkdev", visit_table },
        { "/proc/iomem", visit_table },
        { "/proc/swaps", visit_table },
        { "/proc/zoneinfo", visit_table },
        { "/proc/meminfo", visit_table },
        { "/proc/mdstat", visit_table },
        { "/proc/dynamic_debug/control", visit_debug },
        { "/proc/net/rpc/nfsd.export/content", visit_table },
        { "/proc/fs/nfsd/exports", visit_table },
        { "/proc/fs/jbd2/*", visit_name },
        { "/proc/fs/f2fs/*/disk_map", visit_table },
        { "/proc/spl/kstat/zfs", visit_name },
        { "/proc/spl/kstat/zfs/*/state", visit_table },
        { "/proc/sys/fs/binfmt_misc/*", visit_table },
        { "/proc/sys/vm/memory_failure_early_kill", visit_table },
        { "/proc/sys/kernel/tainted", visit_table },
        { "/proc/sys/kernel/random/boot_id", visit_table },
        { "/dev/cxl/*", visit_node },
        { "/dev/nmem*", visit_node },
        { "/dev/mapper/control", visit_node },
        { "/dev/ng*", visit_node },
        { "/dev/ublkc*", visit_node },
        { "/dev/vhost-*", visit_node },
        { "/dev/vfio/*", visit_node },
        { "/dev/vfio/devices/*", visit_node },
        { "/etc/safe-remove", visit_policy },
};

static void record_bus(Emit *e, const char *bus) {
        static const char *const folders[] = { "devices", "drivers" };

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *folder = strf("/sys/bus/%s/%s", bus, folders[i]);
                if (!folder || access(folder, F_OK) < 0)
                        continue;
                emit_folder(e, folder);
                /* Of a driver only that it is there: its devices say whose they are. */
                for_each(e, folder, 0, i == 0 ? visit_device : visit_name);
        }
}

static void record_place(Emit *e, const char *pattern, visit_t visit) {
        glob_t found;

        if (glob(pattern, 0, NULL, &found) != 0)
                return;
        for (size_t i = 0; i < found.gl_pathc; i++) {
                struct stat st;
                if (lstat(found.gl_pathv[i], &st) >= 0)
                        visit(e, found.gl_pathv[i], st.st_mode, 0);
        }
        globfree(&found);
}

/* A machine that simulates has them, unless it is told otherwise. */
static void record_programs(Emit *e) {
        static const char *const names[] = { "mdadm", "dmsetup", "lvchange" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *recorded = strf(DRESS_PROGRAMS "/%s", names[i]);
                if (recorded && !command_exists(names[i]))
                        emit_gone(e, recorded);
        }
}

/* Where the kernel has to be asked for the tables of its mappings, its answers are recorded as a text (kernel/block/dm-state.h). */
static void record_mappings(Emit *e) {
        _cleanup_free_ dev_t *devs = NULL;
        _cleanup_dm_targets_ DmTargets targets = { 0 };
        _cleanup_free_ char *text = NULL;
        glob_t found;
        size_t n = 0;

        if (emit_has(e, MAPPER) || glob("/sys/class/block/dm-*/dev", 0, NULL, &found) != 0)
                return;
        devs = calloc(found.gl_pathc, sizeof(dev_t));
        for (size_t i = 0; devs && i < found.gl_pathc; i++) {
                _cleanup_free_ char *number = NULL;
                if (attr_read(found.gl_pathv[i], &number) >= 0 && dev_parse(number, &devs[n]) >= 0)
                        n++;
        }
        globfree(&found);
        int r = devs ? dm_targets_read(devs, n, MAPPER_USEC, &targets) : -ENOMEM;
        if (r < 0 && r != -ENOENT)
                emit_missing(e, MAPPER, strerror(-r));
        for (size_t i = 0; i < targets.n && r >= 0; i++) {
                const DmTarget *t = &targets.items[i];
                r = text_add(&text, "", "%u:%u table %s%s%s\n", major(t->dev), minor(t->dev), t->type, t->params ? " " : "", t->params ?: "");
                if (r >= 0 && t->status)
                        r = text_add(&text, "", "%u:%u status %s\n", major(t->dev), minor(t->dev), t->status);
        }
        if (r == -ENOMEM)
                e->error = e->error ?: r;
        else if (text)
                emit_text(e, MAPPER, text, strlen(text));
}

static void record_all(Emit *e) {
        for (size_t i = 0; i < ELEMENTSOF(buses); i++)
                record_bus(e, buses[i]);
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                record_place(e, places[i].pattern, places[i].visit);
        snapshot_processes(e);
        record_mappings(e);
        record_programs(e);
}

int snapshot_make(bool keep_names, void (*more)(Emit *e), char **ret, json_object **ret_missing) {
        _cleanup_free_ char *text = NULL;
        size_t length;

        _cleanup_(names_freep) Names *names = keep_names ? NULL : names_new();
        if (!keep_names && !names)
                return -ENOMEM;
        Emit e = { .out = open_memstream(&text, &length), .names = names, .missing = json_object_new_array() };
        if (!e.out) {
                emit_done(&e);
                return -ENOMEM;
        }
        if (fprintf(e.out, RECORDING_HEADER "%d, names %s, version " PROJECT_VERSION "\n", RECORDING_FORMAT, keep_names ? "kept" : "made up") < 0)
                e.error = -EIO;
        more(&e);
        record_all(&e);
        int r = fclose(e.out) != 0 ? -ENOMEM : e.error;
        if (r >= 0) {
                *ret = TAKE_PTR(text);
                *ret_missing = json_ref(e.missing);
        }
        emit_done(&e);
        return r;
}
