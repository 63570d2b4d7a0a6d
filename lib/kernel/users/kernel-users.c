/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/pci/device-places.h"
#include "kernel/process/command.h"
#include "kernel/sysfs/attr.h"
#include "kernel/users/kernel-users.h"

#define CONFIG "/sys/kernel/config"

/* The kernel sends a card one command at a time, and shows its state between two of them (drivers/cxl/core/memdev.c:security_state_show). Each takes
 * 2 s at most (drivers/cxl/pci.c:CXL_MAILBOX_TIMEOUT_MS). */
#define WAIT_USEC (3 * USEC_PER_SEC)

static const char *const kernel_user_kind_table[_KERNEL_USER_KIND_MAX] = {
        [KERNEL_USER_TARGET] = "target",
        [KERNEL_USER_HEARTBEAT] = "heartbeat",
        [KERNEL_USER_ZRAM] = "zram",
        [KERNEL_USER_CACHE] = "cache",
        [KERNEL_USER_JOURNAL] = "journal",
        [KERNEL_USER_MEMBER] = "member",
        [KERNEL_USER_POOL] = "pool",
        [KERNEL_USER_FLASH] = "flash",
        [KERNEL_USER_LOG] = "log",
        [KERNEL_USER_FILE] = "file",
        [KERNEL_USER_DEVICE] = "device",
        [KERNEL_USER_WORK] = "work",
};

DEFINE_STRING_TABLE(kernel_user_kind, KernelUserKind)

void kernel_user_done(KernelUser *u) {
        free(u->who);
        free(u->on);
        free(u->evidence);
        free(u->remedy);
}

void kernel_users_done(KernelUsers *l) {
        for (size_t i = 0; i < l->n_items; i++)
                kernel_user_done(&l->items[i]);
        free(l->items);
        *l = (KernelUsers) { 0 };
}

int kernel_users_add(KernelUsers *l, KernelUser u) {
        int r = u.who && u.evidence && u.remedy ? vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(u)) : -ENOMEM;

        if (r < 0)
                kernel_user_done(&u);
        else
                l->items[l->n_items++] = u;
        return r;
}

static char *folder_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? strndup(path, (size_t) (slash - path)) : NULL;
}

/* "... KEY VALUE  NEXT ...": what stands between, or NULL. */
static char *between(const char *text, const char *key, const char *next) {
        const char *value = strstr(text, key);

        if (!value)
                return NULL;
        value += strlen(key);
        value += strspn(value, " ");
        const char *end = strstr(value, next);
        return strndup(value, end ? (size_t) (end - value) : strlen(value));
}

/* Is it switched on? What cannot be read counts as on. */
static bool is_enabled(const char *folder) {
        uint64_t on = 1;

        (void) attr_read_u64f(&on, "%s/enable", folder);
        return on != 0;
}

/* place_visit_t */
static int take_name(const char *path, void *userdata) {
        char **name = userdata;

        if (!*name)
                *name = path_part(path, 0);
        return *name ? 0 : -ENOMEM;
}

/* A SCSI device by its address: "sda", or NULL for one that is no disk. */
static char *disk_of_pscsi(const char *info) {
        unsigned channel, target, lun, host;
        const char *location = strstr(info, "Channel ID:");
        char *name = NULL;

        if (!location || sscanf(location, "Channel ID: %u Target ID: %u LUN: %u Host ID: %u", &channel, &target, &lun, &host) != 4)
                return NULL;
        _cleanup_free_ char *pattern = strf("/sys/class/scsi_device/%u:%u:%u:%u/device/block/*", host, channel, target, lun);
        (void) (pattern ? places_visit(pattern, take_name, &name) : 0);
        return name;
}

/* LIO's backstores (drivers/target/target_core_{iblock,file,pscsi}.c: show_configfs_dev_params). udev_path is whatever somebody wrote
 * there, the driver's own line is what it has open. A RAM disk has nothing, and what a process in user space serves is that one's. */
static int read_lio(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *name = path_part(path, 1), *hba = path_part(path, 2), *folder = folder_of(path), *quoted = shell_quoted(name);
        const char *kind = hba && startswith(hba, "fileio_") ? "fileio" : hba && startswith(hba, "pscsi_") ? "pscsi" : "block";
        const char *number = strstr(text, "Major:");
        unsigned ma, mi;

        if (!name || !hba || !folder || !quoted)
                return -ENOMEM;
        if (startswith(hba, "rd_mcp_") || startswith(hba, "user_") || !is_enabled(folder))
                return 0;
        KernelUser u = { .kind = KERNEL_USER_TARGET, .who = strf("LIO %s/%s", hba, name), .evidence = strdup(path),
                         .remedy = strf("targetcli /backstores/%s delete %s", kind, quoted) };
        if (number && sscanf(number, "Major: %u Minor: %u", &ma, &mi) == 2)
                u.dev = makedev(ma, mi);
        if (streq(kind, "fileio"))
                u.on = between(text, "File:", "  Size:");
        else if (streq(kind, "pscsi"))
                u.on = disk_of_pscsi(text);
        if (!u.on)
                (void) attr_readf(&u.on, "%s/udev_path", folder);
        return kernel_users_add(l, u);
}

/* nvmet opens a device for nobody in particular (drivers/nvme/target/io-cmd-bdev.c:nvmet_bdev_ns_enable). The same of the controller
 * that it passes commands through to. */
static int read_nvmet(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *folder = folder_of(path), *what = path_part(path, 1), *subsystem = NULL;
        bool passthru = what && streq(what, "passthru");

        if (!folder || !what)
                return -ENOMEM;
        subsystem = path_part(path, passthru ? 2 : 3);
        _cleanup_free_ char *enable = strf("%s/enable", folder), *quoted = shell_quoted(enable);
        if (!is_enabled(folder) || streq(text, "(null)"))
                return 0;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_TARGET, .who = strf("nvmet %s, %s%s", subsystem ?: "?", passthru ? "" : "namespace ", what),
                                     .on = strdup(text), .evidence = strdup(path), .remedy = strf("echo 0 > %s", quoted ?: "") });
}

static int read_gadget(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *folder = folder_of(path), *gadget = path_part(path, 4), *eject = strf("%s/forced_eject", folder ?: ""),
                            *quoted = shell_quoted(eject);

        if (!*text)
                return 0;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_TARGET, .who = strf("USB gadget %s", gadget ?: "?"), .on = strdup(text),
                                     .evidence = strdup(path), .remedy = strf("echo 1 > %s", quoted ?: "") });
}

/* SCST's virtual disks have a file; what is passed through has the address of a SCSI device for a name. */
static int read_scst(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *folder = folder_of(path), *name = path_part(path, 1), *handler = NULL, *command = strf("del_device %s", name ?: "?"),
                            *quoted = shell_quoted(command);

        (void) link_namef(&handler, "%s/handler", folder ?: "");
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_TARGET, .who = strf("SCST %s", name ?: "?"),
                                     .on = strndup(text, strcspn(text, "\n")), .evidence = strdup(path),
                                     .remedy = strf("echo %s > /sys/kernel/scst_tgt/handlers/%s/mgmt", quoted ?: "",
                                                    handler ?: "vdisk_blockio") });
}

/* fs/ocfs2/cluster/heartbeat.c: opened without a holder, so that no exclusive open tells of it. Empty until it is started. */
static int read_heartbeat(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *region = path_part(path, 1), *cluster = path_part(path, 3), *quoted = shell_quoted(cluster);

        if (!*text)
                return 0;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_HEARTBEAT, .who = strf("heartbeat %s of cluster %s", region ?: "?", cluster ?: "?"),
                                     .on = strdup(text), .evidence = strdup(path),
                                     .remedy = strf("o2cb stop-heartbeat %s  # once none of its volumes is mounted here", quoted ?: "") });
}

static int read_zram(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *name = path_part(path, 1);

        if (streq(text, "none"))
                return 0;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_ZRAM, .who = strdup(name ?: "zram"), .on = strdup(text), .evidence = strdup(path),
                                     .remedy = strf("swapoff /dev/%s; umount -A /dev/%s; echo 1 > /sys/block/%s/reset  # what is stored in it "
                                                    "is lost then; what was swapped to it is not", name ?: "", name ?: "", name ?: "") });
}

/* A device's own folder is bcache's registration; that of bcache0 itself is a link (drivers/md/bcache/super.c). */
static int read_bcache(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *device = path_part(path, 1), *target = NULL, *set = NULL;
        bool link = link_readf(&target, "%s", path) >= 0;

        if (link)
                return 0;
        (void) link_namef(&set, "%s/set", path);
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_CACHE, .who = set ? strf("bcache's set %s", set) : strdup("bcache"),
                                     .on = strdup(device ?: ""), .evidence = strdup(path),
                                     .remedy = set ? strf("echo 1 > /sys/fs/bcache/%s/unregister  # writes back what is cached", set) :
                                     strf("echo 1 > /sys/class/block/%s/bcache/stop", device ?: "") });
}

/* Inside its file system it is none of another's, and whose the journal of a device that is gone was nobody can tell. */
static int read_journal(KernelUsers *l, const char *path, const char *text) {
        bool inside = false;
        _cleanup_free_ char *name = place_journal(path, &inside);

        if (!name || inside || !path_existsf("/sys/class/block/%s", name))
                return name ? 0 : -ENOMEM;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_JOURNAL, .who = strdup("the journal of a file system elsewhere"), .on = strdup(name),
                                     .evidence = strdup(path), .remedy = strf("grep . /sys/fs/ext4/*/journal_task; grep -l jbd2/%s "
                                     "/proc/[0-9]*/comm  # whose thread it is; unmount that file system", name) });
}

static int read_member(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *uuid = path_part(path, 2), *type = path_part(path, 3);

        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_MEMBER, .who = strf("%s %s", type ?: "?", uuid ?: "?"), .on = place_member(path),
                                     .evidence = strdup(path), .remedy = strf("findmnt -t %s  # unmount the one of UUID %s", type ?: "?", uuid ?: "?") });
}

/* The one file system of several devices that names them in a table only (fs/f2fs/sysfs.c:disk_map_seq_show). */
static int read_f2fs(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *copy = strdup(text), *name = path_part(path, 1);
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *word; r >= 0 && (word = strsep(&rest, " \t\n,:()"));)
                if (startswith(word, "/dev/"))
                        r = kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_MEMBER, .who = strf("the f2fs on %s", name ?: "?"), .on = strdup(word),
                                                  .evidence = strdup(path), .remedy = strf("umount -A /dev/%s", name ?: "?") });
        return r;
}

static int read_rnbd(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *name = NULL, *folder = folder_of(path), *quoted = shell_quoted(folder);

        (void) link_namef(&name, "%s", path);
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_TARGET, .who = strdup("RNBD"), .on = TAKE_PTR(name), .evidence = strdup(path),
                                     .remedy = strf("for s in %s/sessions/*/force_close; do echo 1 > \"$s\"; done", quoted ?: "") });
}

static int read_mtd(KernelUsers *l, const char *path, const char *text) {
        const char *on = startswith(text, "block2mtd: ");

        return on ? kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_FLASH, .who = strdup("block2mtd"), .on = strdup(on), .evidence = strdup(path),
                                          .remedy = strdup("modprobe -r block2mtd") }) : 0;
}

/* The kernel's last words: opened for nobody in particular, and written when it dies (fs/pstore/blk.c). A path, a number, or whatever else the
 * kernel can look a device up by. */
static int read_log(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *folder = folder_of(path), *wanted = NULL;
        KernelUser u = { .kind = KERNEL_USER_LOG };

        if (!*text || (attr_readf(&wanted, "%s/best_effort", folder ?: "") >= 0 && streq(wanted, "N")))
                return 0;
        if (dev_parse(text, &u.dev) < 0)
                u.dev = 0;
        u.who = strdup("pstore_blk");
        u.on = strdup(text);
        u.evidence = strdup(path);
        u.remedy = strdup("modprobe -r pstore_blk");
        return kernel_users_add(l, u);
}

/* "/sys/bus/cxl/devices/mem0/security/state": the folder of the device. */
static char *device_folder(const char *path) {
        const char *name = strstr(path, "/devices/");

        return name ? strndup(path, (size_t) (name - path) + strlen("/devices/") + strcspn(name + strlen("/devices/"), "/")) : NULL;
}

/* What the card does by itself has no user, and is broken off by the loss of power (drivers/base/firmware_loader/sysfs_upload.c,
 * drivers/cxl/core/memdev.c:security_state_show, drivers/nvdimm/dimm_devs.c:security_show and activate_show). */
static int add_work(KernelUsers *l, const char *path, const char *what, char *remedy) {
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_WORK, .who = strdup(what), .on = device_folder(path), .evidence = strdup(path),
                                                  .remedy = remedy });
}

static char *until(const char *is_over, const char *path) {
        return strf("%s %s; do sleep 5; done  # it returns when that is done", is_over, path);
}

static int read_upload(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *what = strf("a firmware update (%s)", text);

        return streq(text, "idle") ? 0 : add_work(l, path, what ?: "a firmware update", until("until grep -qx idle", path));
}

/* Of a CXL memory device the one word, of an NVDIMM the other. */
static int read_erasure(KernelUsers *l, const char *path, const char *text) {
        bool sanitize = streq(text, "sanitize");

        if (!sanitize && !streq(text, "overwrite"))
                return 0;
        return add_work(l, path, "an erasure", until(sanitize ? "while grep -qx sanitize" : "while grep -qx overwrite", path));
}

static int read_activation(KernelUsers *l, const char *path, const char *text) {
        if (streq(text, "armed"))
                return add_work(l, path, "a firmware activation that is armed", strf("echo disarm > %s  # or have it done: ndctl activate-firmware", path));
        return streq(text, "idle") ? 0 : add_work(l, path, "a firmware activation", until("until grep -qx idle", path));
}

static int add_lent(KernelUsers *l, const char *path, const char *function) {
        _cleanup_free_ char *folder = folder_of(path), *enable = strf("%s/enable", folder ?: ""), *quoted = shell_quoted(enable), *name = path_part(path, 1);

        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_DEVICE, .who = strf("nvmet, namespace %s (transfers through its memory)", name ?: "?"),
                                                  .on = strdup(function), .evidence = strdup(path), .remedy = strf("echo 0 > %s", quoted ?: "") });
}

typedef struct Lent {
        KernelUsers *users;
        const char *path;
} Lent;

/* place_visit_t */
static int add_lender(const char *path, void *userdata) {
        _cleanup_free_ char *p2pmem = folder_of(path), *lender = folder_of(p2pmem ?: "");
        const Lent *lent = userdata;

        return add_lent(lent->users, lent->path, lender);
}

/* Whose memory a namespace of nvmet moves data through: nobody's, that of a function, or of any that has some for it
 * (drivers/pci/p2pdma.c:pci_p2pdma_enable_show). */
static int read_lent(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *folder = folder_of(path), *function = strf("/sys/bus/pci/devices/%s", text);

        if (streq(text, "0") || !is_enabled(folder ?: ""))
                return 0;
        if (!streq(text, "1"))
                return add_lent(l, path, function);
        return places_visit("/sys/bus/pci/devices/*/p2pmem/published", add_lender, &(Lent) { l, path });
}

static int read_pool(KernelUsers *l, const char *path, const char *text) {
        _cleanup_free_ char *pool = path_part(path, 1), *quoted = shell_quoted(pool);

        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_POOL, .who = strf("%s", pool ?: "?"), .evidence = strdup(path),
                                     .remedy = strf("zpool export %s", quoted ?: "") });
}

/* Where there are users, and who understands what stands there. `folder` has to be there when the module is. */
static const struct Place {
        const char *pattern;
        int (*read)(KernelUsers *l, const char *path, const char *text);
        bool folder;            /* the pattern leads to a folder or link, not to an attribute */
        KernelUserKind kind;
        const char *module, *root;
        bool waits;             /* for whatever the device is at: read with a deadline */
} places[] = {
        { CONFIG "/target/core/*/*/info", read_lio, false, KERNEL_USER_TARGET, "target_core_mod", CONFIG "/target" },
        { CONFIG "/nvmet/subsystems/*/namespaces/*/device_path", read_nvmet, false, KERNEL_USER_TARGET, "nvmet", CONFIG "/nvmet" },
        { CONFIG "/nvmet/subsystems/*/passthru/device_path", read_nvmet, false, KERNEL_USER_TARGET, NULL, NULL },
        { CONFIG "/usb_gadget/*/functions/mass_storage.*/lun.*/file", read_gadget, false, KERNEL_USER_TARGET, "usb_f_mass_storage", CONFIG "/usb_gadget" },
        { CONFIG "/cluster/*/heartbeat/*/dev", read_heartbeat, false, KERNEL_USER_HEARTBEAT, "ocfs2_nodemanager", CONFIG "/cluster" },
        { "/sys/kernel/scst_tgt/devices/*/filename", read_scst, false, KERNEL_USER_TARGET, "scst", "/sys/kernel/scst_tgt" },
        { "/sys/class/rnbd-server/ctl/devices/*/block_dev", read_rnbd, true, KERNEL_USER_TARGET, NULL, NULL },
        { "/sys/class/block/zram*/backing_dev", read_zram, false, KERNEL_USER_ZRAM, NULL, NULL },
        { "/sys/class/block/*/bcache", read_bcache, true, KERNEL_USER_CACHE, NULL, NULL },
        { "/sys/class/mtd/*/name", read_mtd, false, KERNEL_USER_FLASH, NULL, NULL },
        { PLACE_JOURNALS, read_journal, true, KERNEL_USER_JOURNAL, NULL, NULL },
        { PLACE_BTRFS, read_member, true, KERNEL_USER_MEMBER, NULL, NULL },
        { PLACE_BCACHEFS, read_member, true, KERNEL_USER_MEMBER, NULL, NULL },
        { "/proc/fs/f2fs/*/disk_map", read_f2fs, false, KERNEL_USER_MEMBER, NULL, NULL },
        { "/sys/module/pstore_blk/parameters/blkdev", read_log, false, KERNEL_USER_LOG, NULL, NULL },
        { CONFIG "/nvmet/subsystems/*/namespaces/*/p2pmem", read_lent, false, KERNEL_USER_DEVICE, NULL, NULL },
        { "/sys/bus/cxl/devices/mem*/firmware/*/status", read_upload, false, KERNEL_USER_WORK, NULL, NULL },
        { "/sys/bus/cxl/devices/mem*/security/state", read_erasure, false, KERNEL_USER_WORK, NULL, NULL, true },
        { "/sys/bus/nd/devices/nmem*/security", read_erasure, false, KERNEL_USER_WORK, NULL, NULL },
        { "/sys/bus/nd/devices/nmem*/firmware/activate", read_activation, false, KERNEL_USER_WORK, NULL, NULL, true },
        { "/proc/spl/kstat/zfs/*/state", read_pool, false, KERNEL_USER_POOL, "zfs", "/proc/spl/kstat/zfs" },
};

/* Which device a memory card's work would be of is known all the same. */
static int add_unknown(KernelUsers *l, const struct Place *p, const char *path, const char *remedy) {
        char *on = p->kind == KERNEL_USER_WORK && !strchr(path, '*') ? device_folder(path) : NULL;

        return kernel_users_add(l, (KernelUser) { .kind = p->kind, .who = strdup(on ? "work of its own, which cannot be read" : p->module ?: path), .on = on,
                                                  .evidence = strdup(path), .remedy = strdup(remedy) });
}

typedef struct Reading {
        KernelUsers *users;
        const struct Place *place;
        kernel_users_others_t is_others;        /* NULL: nobody's */
        void *userdata;
} Reading;

/* New firmware comes by commands that take longer, and would keep this one's answer waiting. Nor is a device waited for that is another
 * card's. */
static bool is_left_out(const Reading *r, const char *path) {
        const KernelUsers *l = r->users;
        _cleanup_free_ char *on = device_folder(path);

        for (size_t i = 0; i < l->n_items; i++)
                if (l->items[i].kind == KERNEL_USER_WORK && streq_ptr(l->items[i].on, on))
                        return true;
        return on && r->is_others && r->is_others(on, r->userdata);
}

/* place_visit_t */
static int read_one(const char *path, void *userdata) {
        const Reading *reading = userdata;
        const struct Place *p = reading->place;
        _cleanup_free_ char *text = NULL;

        if (p->waits && is_left_out(reading, path))
                return 0;
        int r = p->folder ? 0 : p->waits ? attr_read_within(path, WAIT_USEC, &text) : attr_read(path, &text);
        if (place_is_gone(r))
                return 0;
        if (r >= 0)
                return p->read(reading->users, path, text ?: "");
        _cleanup_free_ char *quoted = shell_quoted(path), *remedy = strf("cat %s  # it has to be readable", quoted ?: "");
        return r == -ENOMEM || !remedy ? -ENOMEM : add_unknown(reading->users, p, path, remedy);
}

static int read_place(KernelUsers *l, const struct Place *p, kernel_users_others_t others, void *userdata) {
        int r = 0;

        if (p->module && path_existsf("/sys/module/%s", p->module) && !path_existsf("%s", p->root)) {
                _cleanup_free_ char *unload = strf("modprobe -r %s  # it goes where nothing uses it", p->module);
                r = unload ? add_unknown(l, p, p->root, startswith(p->root, CONFIG) ? "mount -t configfs configfs " CONFIG : unload) : -ENOMEM;
        }
        if (r >= 0)
                r = places_visit(p->pattern, read_one, &(Reading) { l, p, others, userdata });
        return r == -EIO ? add_unknown(l, p, p->pattern, "dmesg  # why it cannot be read") : r;
}

static bool has_pool(const KernelUsers *l, const char *pool) {
        for (size_t i = 0; i < l->n_items; i++)
                if (l->items[i].kind == KERNEL_USER_POOL && streq(l->items[i].who, pool))
                        return true;
        return false;
}

/* A mounted pool, where the kernel's statistics are not there. */
static int read_mounted_pools(KernelUsers *l, const MountEntries *mounts) {
        int r = 0;

        for (size_t i = 0; i < mounts->n_items && r >= 0; i++) {
                const MountEntry *m = &mounts->items[i];
                _cleanup_free_ char *pool = strndup(m->source, strcspn(m->source, "/@")), *quoted = shell_quoted(pool);
                if (!streq(m->type, "zfs") || !pool || has_pool(l, pool))
                        continue;
                r = kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_POOL, .who = TAKE_PTR(pool), .evidence = strf("/proc/1/mountinfo: %s", m->target),
                                          .remedy = strf("zpool export %s", quoted ?: "") });
        }
        return r;
}

char *kernel_user_device(const KernelUser *u) {
        return u->on && u->on[0] == '/' ? place_of_node(u->on) : u->on ? strdup(u->on) : NULL;
}

int kernel_users_read_work(KernelUsers *l) {
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(places) && r >= 0; i++)
                if (places[i].kind == KERNEL_USER_WORK)
                        r = read_place(l, &places[i], NULL, NULL);
        return r;
}

int kernel_users_read_but(KernelUsers *l, kernel_users_others_t others, void *userdata) {
        _cleanup_mount_entries_ MountEntries mounts = { 0 };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(places) && r >= 0; i++)
                r = read_place(l, &places[i], others, userdata);
        if (r >= 0)
                r = mountinfo_read_first(&mounts);
        if (r >= 0)
                r = read_mounted_pools(l, &mounts);
        return r < 0 ? r : kernel_files_read(l, &mounts);
}

int zfs_pool_devices(const char *pool, uint64_t timeout_usec, char **ret) {
        const char *const argv[] = { "zpool", "list", "-v", "-H", "-P", "-L", pool, NULL };
        const CommandOptions options = { .timeout_usec = timeout_usec };
        CommandResult result = { 0 };

        int r = command_run(argv, &options, &result);
        if (r < 0)
                return r;
        if (result.status == 0)
                *ret = TAKE_PTR(result.out);
        r = result.status == 0 ? 0 : -EIO;
        command_result_done(&result);
        return r;
}
