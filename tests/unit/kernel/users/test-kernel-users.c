/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each place that tells of a user of the kernel's, as the kernel writes it: who, on what, and the line that ends it. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel/users/kernel-users.h"
#include "tests/unit/test.h"

#define CONFIG "/sys/kernel/config"
#define LIO CONFIG "/target/core"

static void make_folders(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        for (char *p = copy + 1; (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                CHECK(mkdir(copy, 0755) == 0 || errno == EEXIST);
        }
}

static void put(const char *path, const char *text) {
        make_folders(path);
        _cleanup_fclose_ FILE *f = fopen(path, "we");
        CHECK(f && fputs(text, f) >= 0);
}

static void put_link(const char *path, const char *target) {
        make_folders(path);
        CHECK_INT(symlink(target, path), 0);
}

/* The one user that there is. */
static void check_user(KernelUserKind kind, const char *who, const char *on, const char *remedy) {
        _cleanup_kernel_users_ KernelUsers l = { 0 };

        CHECK_INT(kernel_users_read(&l), 0);
        CHECK_INT(l.n_items, 1);
        CHECK_STR(kernel_user_kind_to_string(l.items[0].kind), kernel_user_kind_to_string(kind));
        CHECK_STR(l.items[0].who, who);
        CHECK_STR(l.items[0].on ?: "(not told)", on);
        CHECK_STR(l.items[0].remedy, remedy);
}

static void check_nobody(void) {
        _cleanup_kernel_users_ KernelUsers l = { 0 };

        CHECK_INT(kernel_users_read(&l), 0);
        CHECK_INT(l.n_items, 0);
}

static void check_number(dev_t dev) {
        _cleanup_kernel_users_ KernelUsers l = { 0 };

        CHECK_INT(kernel_users_read(&l), 0);
        CHECK(l.n_items == 1 && l.items[0].dev == dev);
}

static void test_lio(void) {
        put(LIO "/iblock_0/a/enable", "1\n");
        put(LIO "/iblock_0/a/udev_path", "/dev/other\n");
        put(LIO "/iblock_0/a/info", "Status: ACTIVATED  Max Queue Depth: 128\n        iBlock device: sdb1  UDEV PATH: /dev/other\n"
            "        Major: 8 Minor: 17  CLAIMED: IBLOCK\n");
        check_number(makedev(8, 17));
        check_user(KERNEL_USER_TARGET, "LIO iblock_0/a", "/dev/other", "targetcli /backstores/block delete a");
        put(LIO "/iblock_0/a/enable", "0\n");
        check_nobody();

        put(LIO "/pscsi_1/tape/enable", "1\n");
        put(LIO "/pscsi_1/tape/info", "Status: ACTIVATED\n        SCSI Device Bus Location: Channel ID: 0 Target ID: 2 LUN: 1 Host ID: 5\n");
        put("/sys/class/scsi_device/5:0:2:1/device/block/sdc/dev", "8:32\n");
        check_user(KERNEL_USER_TARGET, "LIO pscsi_1/tape", "sdc", "targetcli /backstores/pscsi delete tape");
        test_remove_tree(CONFIG);

        put(LIO "/user_2/a/enable", "1\n");
        put(LIO "/user_2/a/info", "Status: ACTIVATED\n");
        check_nobody();
        test_remove_tree(CONFIG);
}

static void test_other_targets(void) {
        put("/sys/kernel/scst_tgt/devices/disk 1/filename", "/dev/sdd\n[key]\n");
        put_link("/sys/kernel/scst_tgt/devices/disk 1/handler", "../../handlers/vdisk_fileio");
        check_user(KERNEL_USER_TARGET, "SCST disk 1", "/dev/sdd", "echo 'del_device disk 1' > /sys/kernel/scst_tgt/handlers/vdisk_fileio/mgmt");
        test_remove_tree("/sys/kernel/scst_tgt");

        put_link("/sys/class/rnbd-server/ctl/devices/x/block_dev", "../../../../../block/sde");
        check_user(KERNEL_USER_TARGET, "RNBD", "sde", "for s in /sys/class/rnbd-server/ctl/devices/x/sessions/*/force_close; do echo 1 > \"$s\"; done");
        test_remove_tree("/sys/class/rnbd-server");

        put(CONFIG "/usb_gadget/g/functions/mass_storage.0/lun.0/file", "\n");
        check_nobody();
        put(CONFIG "/usb_gadget/g/functions/mass_storage.0/lun.0/file", "/srv/stick\n");
        check_user(KERNEL_USER_TARGET, "USB gadget g", "/srv/stick",
                   "echo 1 > " CONFIG "/usb_gadget/g/functions/mass_storage.0/lun.0/forced_eject");
        test_remove_tree(CONFIG);
}

static void test_others(void) {
        put("/sys/class/mtd/mtd0/name", "block2mtd: /dev/sdf\n");
        check_user(KERNEL_USER_FLASH, "block2mtd", "/dev/sdf", "modprobe -r block2mtd");
        put("/sys/class/mtd/mtd0/name", "spi-nor\n");
        check_nobody();

        put_link("/sys/fs/bcachefs/u-u/dev-0/block", "../../../../block/sdg");
        check_user(KERNEL_USER_MEMBER, "bcachefs u-u", "sdg", "findmnt -t bcachefs  # unmount the one of UUID u-u");
        test_remove_tree("/sys/fs/bcachefs");

        put("/proc/fs/f2fs/sdh/disk_map", "Disk layout of 2 devices\n 0: /dev/sdi (0 - 100)\n");
        check_user(KERNEL_USER_MEMBER, "the f2fs on sdh", "/dev/sdi", "umount -A /dev/sdh");
        test_remove_tree("/proc/fs/f2fs");

        /* Inside its file system it is no journal elsewhere. */
        put("/sys/class/block/sdj/dev", "8:144\n");
        put("/proc/fs/jbd2/sdj-8/info", "");
        check_nobody();
        make_folders("/proc/fs/jbd2/sdj/");
        check_user(KERNEL_USER_JOURNAL, "the journal of a file system elsewhere", "sdj",
                   "grep . /sys/fs/ext4/*/journal_task; grep -l jbd2/sdj /proc/[0-9]*/comm  # whose thread it is; unmount that file system");
        test_remove_tree("/proc/fs/jbd2");
}

/* Files that are open in the kernel alone. What has no file for its source, and what anybody may call what he likes, is none. */
static void test_files(void) {
        put("/proc/1/mountinfo", "25 1 254:0 / / rw - ext4 /dev/vda rw\n26 25 0:5 / /proc rw - proc /proc rw\n27 25 0:6 / /t rw - tmpfs /srv/x rw\n"
            "28 25 0:7 / /f rw - fuse.x /srv/x rw\n29 25 0:8 / /c rw - cifs //host/x rw\n30 25 0:9 / /home/a\\040b rw - ecryptfs /srv/.a rw\n");
        check_user(KERNEL_USER_FILE, "the ecryptfs on /home/a b", "/srv/.a", "umount '/home/a b'");

        put("/proc/1/mountinfo", "25 1 254:0 / / rw - ext4 /dev/vda rw,logdev=/dev/x\n26 25 8:1 / /m rw - xfs /dev/sda1 rw,logbufs=8,rtdev=/dev/disk/by-id/y\n");
        check_user(KERNEL_USER_JOURNAL, "the xfs on /m", "/dev/disk/by-id/y", "umount /m");

        put("/proc/1/mountinfo", "25 1 254:0 / / rw - ext4 /dev/vda rw\n26 25 0:5 / /sys/binfmt rw - binfmt_misc binfmt_misc rw\n");
        put("/sys/binfmt/status", "enabled\n");
        make_folders("/sys/binfmt/register/");
        put("/sys/binfmt/wine", "enabled\ninterpreter /srv/Flag\nflags: \noffset 0\nmagic 4d5a\n");
        check_nobody();
        put("/sys/binfmt/arm", "enabled\ninterpreter /srv/bin/qemu\nflags: OCF\noffset 0\nmagic 7f45\n");
        check_user(KERNEL_USER_FILE, "binfmt_misc arm", "/srv/bin/qemu", "echo -1 > /sys/binfmt/arm");
        test_remove_tree("/sys/binfmt");

        put("/sys/kernel/tracing/uprobe_events", "");
        check_nobody();
        put("/sys/kernel/tracing/uprobe_events", "r:u/x /srv/a b:0x00000000000001b0(0x10) arg1=%ax\n");
        check_user(KERNEL_USER_FILE, "the probe u/x", "/srv/a b",
                   "echo 0 > /sys/kernel/tracing/events/u/x/enable; echo '-:u/x' >> /sys/kernel/tracing/uprobe_events");
        test_remove_tree("/sys/kernel/tracing");
}

static void test_log(void) {
        put("/sys/module/pstore_blk/parameters/blkdev", "\n");
        check_nobody();
        put("/sys/module/pstore_blk/parameters/blkdev", "8:161\n");
        check_number(makedev(8, 161));
        put("/sys/module/pstore_blk/parameters/best_effort", "N\n");
        check_nobody();
        put("/sys/module/pstore_blk/parameters/best_effort", "Y\n");
        put("/sys/module/pstore_blk/parameters/blkdev", "/dev/sdk\n");
        check_user(KERNEL_USER_LOG, "pstore_blk", "/dev/sdk", "modprobe -r pstore_blk");
        test_remove_tree("/sys/module");
}

#define MEMDEV "/sys/bus/cxl/devices/mem1"

static void test_work(void) {
        put(MEMDEV "/firmware/mem1/status", "idle\n");
        check_nobody();
        put(MEMDEV "/firmware/mem1/status", "programming\n");
        check_user(KERNEL_USER_WORK, "a firmware update (programming)", MEMDEV,
                   "until grep -qx idle " MEMDEV "/firmware/mem1/status; do sleep 5; done  # it returns when that is done");
        put(MEMDEV "/firmware/mem1/status", "idle\n");
        put(MEMDEV "/security/state", "sanitize\n");
        check_user(KERNEL_USER_WORK, "an erasure", MEMDEV,
                   "while grep -qx sanitize " MEMDEV "/security/state; do sleep 5; done  # it returns when that is done");
        put(MEMDEV "/security/state", "disabled\n");
        check_nobody();
        test_remove_tree(MEMDEV "/security/state");
        test_make_folders(MEMDEV "/security/state"); /* a folder is nothing to read */
        check_user(KERNEL_USER_WORK, "work of its own, which cannot be read", MEMDEV, "cat " MEMDEV "/security/state  # it has to be readable");
        test_remove_tree(MEMDEV "/security/state");
        CHECK(mkfifo(MEMDEV "/security/state", 0600) >= 0); /* this read has no end */
        check_user(KERNEL_USER_WORK, "work of its own, which cannot be read", MEMDEV, "cat " MEMDEV "/security/state  # it has to be readable");
        put(MEMDEV "/firmware/mem1/status", "transferring\n"); /* nobody has to wait for the state to know */
        check_user(KERNEL_USER_WORK, "a firmware update (transferring)", MEMDEV,
                   "until grep -qx idle " MEMDEV "/firmware/mem1/status; do sleep 5; done  # it returns when that is done");
        test_remove_tree(MEMDEV);
        check_nobody();
}

#define NMEM "/sys/bus/nd/devices/nmem0"

static void test_module_work(void) {
        put(NMEM "/security", "unlocked\n");
        put(NMEM "/firmware/activate", "idle\n");
        check_nobody();
        put(NMEM "/security", "overwrite\n");
        check_user(KERNEL_USER_WORK, "an erasure", NMEM,
                   "while grep -qx overwrite " NMEM "/security; do sleep 5; done  # it returns when that is done");
        put(NMEM "/security", "disabled\n");
        put(NMEM "/firmware/activate", "armed\n");
        check_user(KERNEL_USER_WORK, "a firmware activation that is armed", NMEM,
                   "echo disarm > " NMEM "/firmware/activate  # or have it done: ndctl activate-firmware");
        put(NMEM "/firmware/activate", "busy\n");
        check_user(KERNEL_USER_WORK, "a firmware activation", NMEM,
                   "until grep -qx idle " NMEM "/firmware/activate; do sleep 5; done  # it returns when that is done");
        test_remove_tree(NMEM);
        check_nobody();
}

#define LENT CONFIG "/nvmet/subsystems/s/namespaces/1"

static void test_lent(void) {
        static const char remedy[] = "echo 0 > " LENT "/enable";

        put(LENT "/enable", "1\n");
        put(LENT "/p2pmem", "0\n");
        check_nobody();
        put(LENT "/p2pmem", "0000:0d:00.0\n");
        check_user(KERNEL_USER_DEVICE, "nvmet, namespace 1 (transfers through its memory)", "/sys/bus/pci/devices/0000:0d:00.0", remedy);
        put(LENT "/p2pmem", "1\n");
        check_nobody();
        put("/sys/bus/pci/devices/0000:0d:00.0/p2pmem/published", "1\n");
        check_user(KERNEL_USER_DEVICE, "nvmet, namespace 1 (transfers through its memory)", "/sys/bus/pci/devices/0000:0d:00.0", remedy);
        put(LENT "/enable", "0\n");
        check_nobody();
        test_remove_tree(CONFIG);
}

/* What is there and cannot be read is a user, of anything. */
static void test_unreadable(void) {
        make_folders("/proc/spl/kstat/zfs/tank/state/");
        check_user(KERNEL_USER_POOL, "zfs", "(not told)", "cat /proc/spl/kstat/zfs/tank/state  # it has to be readable");
        test_remove_tree("/proc/spl");
}

/* A module is there, and the folder in which it tells what it has is not: it may have anything. */
static void test_unseen(void) {
        static const struct {
                const char *module, *folder, *remedy;
                KernelUserKind kind;
        } modules[] = {
                { "target_core_mod", CONFIG "/target", "mount -t configfs configfs " CONFIG, KERNEL_USER_TARGET },
                { "nvmet", CONFIG "/nvmet", "mount -t configfs configfs " CONFIG, KERNEL_USER_TARGET },
                { "usb_f_mass_storage", CONFIG "/usb_gadget", "mount -t configfs configfs " CONFIG, KERNEL_USER_TARGET },
                { "ocfs2_nodemanager", CONFIG "/cluster", "mount -t configfs configfs " CONFIG, KERNEL_USER_HEARTBEAT },
                { "scst", "/sys/kernel/scst_tgt", "modprobe -r scst  # it goes where nothing uses it", KERNEL_USER_TARGET },
                { "zfs", "/proc/spl/kstat/zfs", "modprobe -r zfs  # it goes where nothing uses it", KERNEL_USER_POOL },
        };

        for (size_t i = 0; i < ELEMENTSOF(modules); i++) {
                _cleanup_free_ char *module = strf("/sys/module/%s/", modules[i].module), *folder = strf("%s/", modules[i].folder);

                make_folders(module);
                check_user(modules[i].kind, modules[i].module, "(not told)", modules[i].remedy);
                make_folders(folder);
                check_nobody();
                test_remove_tree(modules[i].folder);
                test_remove_tree("/sys/module");
        }
}

/* A folder that is there and cannot be looked into (here: it leads to itself). */
static void test_unreadable_folder(void) {
        make_folders("/sys/fs/btrfs/uuid/");
        CHECK_INT(symlink("devices", "/sys/fs/btrfs/uuid/devices"), 0);
        check_user(KERNEL_USER_MEMBER, "/sys/fs/btrfs/*/devices/*", "(not told)", "dmesg  # why it cannot be read");
        test_remove_tree("/sys/fs/btrfs");
}

/* The mounts that cannot be read may be anybody's; a line that is none is no less. */
static void test_unreadable_mounts(void) {
        KernelUsers users = { 0 };

        test_remove_tree("/proc/1");
        make_folders("/proc/1/mountinfo/");
        CHECK_INT(kernel_users_read(&users), -EISDIR);
        kernel_users_done(&users);
        test_remove_tree("/proc/1/mountinfo");
        put("/proc/1/mountinfo", "25 1 254:0 /\n");
        CHECK_INT(kernel_users_read(&users), -EBADMSG);
        kernel_users_done(&users);
        test_remove_tree("/proc/1");
}

int main(void) {
        check_nobody();
        test_lio();
        test_other_targets();
        test_others();
        test_files();
        test_log();
        test_work();
        test_module_work();
        test_lent();
        test_unreadable();
        test_unseen();
        test_unreadable_folder();
        test_unreadable_mounts();
        return EXIT_SUCCESS;
}
