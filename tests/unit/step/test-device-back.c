/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which device is taken for the one that a step took down, on a machine of our own making: sysfs, udev's notes and nodes of block devices that
 * nobody opens. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/block/block-ground.h"
#include "kernel/mounts/mount-ns.h"
#include "step/undo/device-back.h"
#include "step/undo/mount-back.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define CARD "pci0000:0c/0000:0c:00.0/0000:0d:00.0/"
#define USB "pci0000:00/0000:00:14.0/usb1/1-1/host9/block/"
#define UUID "3d9c2a60-0c2e-4d0c-9f0e-6b5a7f6f1d11"
#define OTHER "00000000-0c2e-4d0c-9f0e-6b5a7f6f1d11"

static const StepLimits limits = { .write_timeout_usec = USEC_PER_SEC };
static json_object *card;

static void make_link(const char *to, const char *path) {
        (void) unlink(path);
        CHECK_INT(symlink(to, path), 0);
}

/* One with this number, content and disk, at this place below /sys/devices. */
static void add(const char *place, unsigned minor_number, uint64_t sequence, const char *uuid) {
        _cleanup_free_ char *folder = strf("/sys/devices/%s", place), *target = strf("../../devices/%s", place);
        const char *name = strrchr(place, '/') + 1;
        unsigned major_number = startswith(name, "loop") ? 7 : 259;
        _cleanup_free_ char *by_name = strf("/sys/class/block/%s", name), *node = strf("/dev/%s", name), *slaves = strf("%s/slaves", folder),
                            *by_number = strf("/sys/dev/block/%u:%u", major_number, minor_number), *number = strf("%u:%u", major_number, minor_number),
                            *disk = strf("%ju", (uintmax_t) sequence), *subsystem = strf("%s/subsystem", folder),
                            *uevent = strf("MAJOR=%u\nMINOR=%u\nDEVNAME=%s\nDEVTYPE=disk\n", major_number, minor_number, name),
                            *noted = strf("I:1\nE:ID_FS_UUID=x\nE:ID_FS_UUID_ENC=%s\n", uuid);

        test_make_folders(slaves);
        test_putf(number, "%s/dev", folder);
        test_putf(disk, "%s/diskseq", folder);
        test_putf(uevent, "%s/uevent", folder);
        test_putf(noted, "/run/udev/data/b%s", number);
        make_link("/sys/class/block", subsystem);
        make_link(target, by_name);
        make_link(target, by_number);
        (void) unlink(node);
        CHECK_INT(mknod(node, S_IFBLK | 0600, makedev(major_number, minor_number)), 0);
}

static void remove_it(const char *name, unsigned major_number, unsigned minor_number) {
        _cleanup_free_ char *by_name = strf("/sys/class/block/%s", name), *node = strf("/dev/%s", name), *place = NULL,
                            *by_number = strf("/sys/dev/block/%u:%u", major_number, minor_number),
                            *noted = strf("/run/udev/data/b%u:%u", major_number, minor_number);

        CHECK((place = realpath(by_name, NULL)));
        test_remove_tree(place);
        CHECK(unlink(by_name) == 0 && unlink(by_number) == 0 && unlink(node) == 0 && unlink(noted) == 0);
}

static void made_of(const char *place, const char *lower) {
        _cleanup_free_ char *path = strf("/sys/devices/%s/slaves/%s", place, lower);

        make_link("x", path);
}

static StepRun run_new(void) {
        return (StepRun) { .limits = &limits, .note = keep_notes, .notes = json_object_new_array(), .card = card };
}

static void run_done(StepRun *run) {
        json_object_put(run->notes);
        step_run_done(run);
}

static void check_found(StepRun *run, const char *path, const char *wanted) {
        _cleanup_free_ char *found = NULL;
        dev_t dev = 0;
        struct stat st;

        int r = device_find(run, path, &found, &dev);
        CHECK_INT(r, wanted ? 0 : -ENODEV);
        CHECK_STR(found, wanted);
        if (wanted)
                CHECK(stat(found, &st) == 0 && st.st_rdev == dev);
}

/* Nobody can mount it now, and whoever has it again is told how. */
static void check_mount_remedy(StepRun *run) {
        _cleanup_json_ json_object *args = NULL;
        uint64_t host = 1;

        (void) mount_ns_host(&host);
        _cleanup_free_ char *text = strf("{\"fs\": {\"type\": \"ext4\", \"source\": \"/dev/nvme0n1\", \"super_options\": \"rw\"}, \"mounts\": ["
                    "{\"ns\": %ju, \"root\": \"/\", \"target\": \"/mnt/a b\"}]}", (uintmax_t) host);
        CHECK_INT(json_parse(text, strlen(text), &args), 0);
        CHECK_INT(mounts_back(args, run), -ENODEV);
        CHECK_STR(run->remedy, "mount -t ext4 -o rw UUID=" UUID " '/mnt/a b'  # once it is there again");
}

/* It is there as before, whoever else has the same content and the link that says so. */
static void test_never_went(void) {
        _cleanup_(run_done) StepRun run = run_new();

        add(CARD "nvme/nvme0/nvme0n1", 3, 5, UUID);
        CHECK_INT(device_note(&run, makedev(259, 3)), 0);
        CHECK_INT(device_note(&run, makedev(259, 3)), 0);
        CHECK_INT(json_len(run.notes), 1);
        CHECK_STR(step_noted(&run, "uuid"), UUID);
        check_found(&run, "/dev/nvme0n1", "/dev/nvme0n1");
        add("virtual/block/loop0", 0, 9, UUID);
        test_make_folders("/dev/disk/by-uuid");
        make_link("../../loop0", "/dev/disk/by-uuid/" UUID);
        check_found(&run, "/dev/nvme0n1", "/dev/nvme0n1");
        check_found(&run, "/dev/disk/by-uuid/" UUID, "/dev/nvme0n1");
        test_putf("I:1\n", "/run/udev/data/b259:3");
        check_found(&run, "/dev/nvme0n1", "/dev/nvme0n1");
}

/* Whoever has the same content is not it, however late he came, and the card's own is, whatever it is called. */
static void test_copies(void) {
        _cleanup_(run_done) StepRun run = run_new();

        add(CARD "nvme/nvme0/nvme0n1", 3, 5, UUID);
        CHECK_INT(device_note(&run, makedev(259, 3)), 0);
        remove_it("nvme0n1", 259, 3);
        add("virtual/block/loop0", 0, 9, UUID);
        check_found(&run, "/dev/nvme0n1", NULL);
        CHECK(strstr(run.why, "/dev/nvme0n1 with the content " UUID " is not there"));
        check_mount_remedy(&run);
        add("virtual/block/dm-0", 100, 10, UUID);
        made_of("virtual/block/dm-0", "loop0");
        add(USB "sdb", 20, 11, UUID);
        check_found(&run, "/dev/nvme0n1", NULL);
        check_found(&run, "/dev/disk/by-uuid/" UUID, NULL);
        add(CARD "nvme/nvme1/nvme1n1", 9, 12, OTHER);
        check_found(&run, "/dev/nvme0n1", NULL);
        add(CARD "nvme/nvme1/nvme1n1", 9, 12, UUID);
        check_found(&run, "/dev/nvme0n1", "/dev/nvme1n1");
        make_link("sdb", "/dev/nvme0n1");
        check_found(&run, "/dev/nvme0n1", "/dev/nvme1n1");
        /* Which of two? */
        add(CARD "nvme/nvme2/nvme2n1", 10, 13, UUID);
        check_found(&run, "/dev/nvme0n1", NULL);
        check_found(&run, "/dev/nvme2n1", "/dev/nvme2n1");
        CHECK_INT(unlink("/dev/nvme0n1"), 0);
        remove_it("nvme1n1", 259, 9);
        remove_it("nvme2n1", 259, 10);

        /* A record of an older version, and one of another boot, in which the numbers are others'. */
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(run_done) StepRun old = run_new();
                json_object *note = json_object_new_object(), *notes = json_object_new_array();
                json_set_str(note, "uuid", UUID);
                json_set_str(note, "boot", "11111111111111111111111111111111");
                json_set_u64(note, "last_disk", 5);
                if (i == 1) {
                        json_set_str(note, "dev", "259:20");
                        json_set_u64(note, "disk", 11);
                        json_set_bool(note, "loop", false);
                }
                json_object_array_add(notes, note);
                CHECK_INT(keep_notes(&old, notes), 0);
                json_object_put(notes);
                check_found(&old, "/dev/nvme0n1", NULL);
                check_found(&old, "/dev/sdb", NULL);
                add(CARD "nvme/nvme1/nvme1n1", 9, 12, UUID);
                check_found(&old, "/dev/sdb", "/dev/nvme1n1");
                remove_it("nvme1n1", 259, 9);
        }
        remove_it("sdb", 259, 20);
        remove_it("dm-0", 259, 100);
        remove_it("loop0", 7, 0);
}

/* It was never the card's, and is not to be found among what is; nobody's loop device is it. */
static void test_others(void) {
        _cleanup_(run_done) StepRun run = run_new();

        add(USB "sdc", 50, 40, UUID);
        CHECK_INT(device_note(&run, makedev(259, 50)), 0);
        add(USB "sdc", 50, 41, UUID);
        check_found(&run, "/dev/sdc", "/dev/sdc");
        remove_it("sdc", 259, 50);
        add(USB "sdd", 51, 42, UUID);
        add(CARD "nvme/nvme1/nvme1n1", 9, 43, UUID);
        check_found(&run, "/dev/sdc", NULL);
        add("virtual/block/dm-2", 102, 44, UUID);
        made_of("virtual/block/dm-2", "loop0");
        check_found(&run, "/dev/dm-2", NULL);
        add(USB "sdc", 50, 45, OTHER);
        check_found(&run, "/dev/sdc", NULL);
        remove_it("sdc", 259, 50);
        remove_it("sdd", 259, 51);
        remove_it("dm-2", 259, 102);
        remove_it("nvme1n1", 259, 9);

        /* With no content to know it by there is nothing to tell it from another one. */
        _cleanup_(run_done) StepRun bare = run_new();
        add(USB "sdc", 50, 46, UUID);
        test_putf("I:1\n", "/run/udev/data/b259:50");
        CHECK_INT(device_note(&bare, makedev(259, 50)), 0);
        add(USB "sdc", 50, 47, UUID);
        check_found(&bare, "/dev/sdc", NULL);
        remove_it("sdc", 259, 50);
}

static void note_member(unsigned minor_number, const char *type, const char *own) {
        _cleanup_free_ char *text = strf("I:1\nE:ID_FS_UUID=x\nE:ID_FS_UUID_ENC=" UUID "\nE:ID_FS_UUID_SUB=%s\nE:ID_FS_TYPE=%s\n", own, type);

        test_putf(text, "/run/udev/data/b259:%u", minor_number);
}

/* Two of the card's with one UUID, both renamed. */
static void test_members(void) {
        _cleanup_(run_done) StepRun run = run_new();

        add(CARD "nvme/nvme0/nvme0n1", 3, 50, UUID);
        CHECK_INT(device_note(&run, makedev(259, 3)), 0);
        remove_it("nvme0n1", 259, 3);
        add(CARD "nvme/nvme1/nvme1n1", 9, 51, UUID);
        add(CARD "nvme/nvme2/nvme2n1", 10, 52, UUID);
        note_member(9, "btrfs", "one");
        note_member(10, "btrfs", "two");
        check_found(&run, "/dev/nvme0n1", "/dev/nvme1n1");
        note_member(10, "btrfs", "one");
        check_found(&run, "/dev/nvme0n1", NULL);
        note_member(9, "ext4", "one");
        note_member(10, "ext4", "two");
        check_found(&run, "/dev/nvme0n1", NULL);
        remove_it("nvme1n1", 259, 9);
        remove_it("nvme2n1", 259, 10);
}

/* What is the card's without being below its function. */
static void test_ground(void) {
        static const char region[] = "platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus0/region1/namespace1.0/block/pmem1";
        _cleanup_(run_done) StepRun run = run_new();
        BlockGround g;

        add(region, 30, 20, UUID);
        CHECK_INT(block_ground(makedev(259, 30), card, &g), 0);
        CHECK(!g.card && !g.loop);
        test_make_folders("/sys/bus/nd/devices/region1");
        test_make_folders("/sys/bus/nd/devices/nmem0/cxl");
        test_make_folders("/sys/bus/cxl/devices");
        test_putf("1\n", "/sys/bus/nd/devices/region1/mappings");
        test_putf("nmem0,0,536870912,0\n", "/sys/bus/nd/devices/region1/mapping0");
        test_putf("pmem3\n", "/sys/bus/nd/devices/nmem0/cxl/provider");
        make_link("../../../devices/" CARD "mem3/pmem3", "/sys/bus/cxl/devices/pmem3");
        CHECK_INT(block_ground(makedev(259, 30), card, &g), 0);
        CHECK(g.card && !g.loop);
        CHECK_INT(block_ground(makedev(259, 30), NULL, &g), 0);
        CHECK(!g.card);

        /* A mapping on a partition on it; and one that has a loop device in it as well. */
        _cleanup_free_ char *part = strf("%s/pmem1p1", region);
        add(part, 31, 20, UUID);
        test_putf("1\n", "/sys/devices/%s/partition", part);
        add("virtual/block/dm-1", 101, 21, UUID);
        made_of("virtual/block/dm-1", "pmem1p1");
        CHECK_INT(block_ground(makedev(259, 101), card, &g), 0);
        CHECK(g.card && !g.loop);
        made_of("virtual/block/dm-1", "loop3");
        CHECK_INT(block_ground(makedev(259, 101), card, &g), 0);
        CHECK(g.card && g.loop);
        CHECK_INT(device_note(&run, makedev(259, 30)), 0);
        add(region, 30, 24, UUID);
        check_found(&run, "/dev/dm-1", NULL);

        /* The disk of a namespace that two controllers lead to. */
        add("virtual/nvme-subsystem/nvme-subsys0/nvme0n2", 40, 22, UUID);
        CHECK_INT(block_ground(makedev(259, 40), card, &g), 0);
        CHECK(!g.card);
        add(CARD "nvme/nvme0/nvme0c1n2", 41, 23, UUID);
        CHECK_INT(block_ground(makedev(259, 40), card, &g), 0);
        CHECK(g.card);
        CHECK_INT(block_ground(makedev(259, 250), card, &g), -ENODEV);
        remove_it("dm-1", 259, 101);
        remove_it("pmem1p1", 259, 31);
        remove_it("nvme0n2", 259, 40);
        remove_it("nvme0c1n2", 259, 41);

        add(region, 30, 25, UUID);
        check_found(&run, "/dev/pmem1", "/dev/pmem1");
        remove_it("pmem1", 259, 30);
        check_found(&run, "/dev/pmem1", NULL);
}

/* A loop device comes back by its number. */
static void test_loop(void) {
        _cleanup_(run_done) StepRun run = run_new();

        add("virtual/block/loop7", 7, 30, UUID);
        CHECK_INT(device_note(&run, makedev(7, 7)), 0);
        add("virtual/block/loop7", 7, 31, UUID);
        add("virtual/block/loop8", 8, 32, UUID);
        check_found(&run, "/dev/loop7", "/dev/loop7");
        remove_it("loop7", 7, 7);
        check_found(&run, "/dev/loop7", NULL);
        add("virtual/block/loop7", 7, 33, OTHER);
        check_found(&run, "/dev/loop7", NULL);
}

static json_object *detach_notes;

static json_object *notes_of_detaching(StepRun *run, uint64_t n) {
        return n == 1 ? detach_notes : NULL;
}

static void detach_noted(const char *text) {
        json_object_put(TAKE_PTR(detach_notes));
        CHECK_INT(json_parse(text, strlen(text), &detach_notes), 0);
}

/* The removal had detached it, and somebody took it then, with the same content. */
static void test_loop_of_others(void) {
        _cleanup_json_ json_object *other = json_object_new_object(), *own = json_object_new_object();
        _cleanup_(run_done) StepRun run = run_new();
        Step steps[] = { { .type = STEP_DETACH_LOOP, .args = other }, { .type = STEP_DETACH_LOOP, .args = own } };

        json_set_str(other, "loop", "loop");
        json_set_str(own, "loop", "loop9");
        run.steps = steps;
        run.n_steps = ELEMENTSOF(steps);
        run.notes_of = notes_of_detaching;
        add("virtual/block/loop9", 9, 60, UUID);
        CHECK_INT(device_note(&run, makedev(7, 9)), 0);
        add("virtual/block/loop9", 9, 61, UUID);
        check_found(&run, "/dev/loop9", "/dev/loop9");
        detach_noted("[{\"setup\": {\"backing_file\": \"/mnt/image\"}}]");
        check_found(&run, "/dev/loop9", NULL);
        detach_noted("[{\"left\": true}]");
        check_found(&run, "/dev/loop9", NULL);

        /* What stands on it is no better. */
        _cleanup_(run_done) StepRun above = run_new();
        above.steps = steps;
        above.n_steps = ELEMENTSOF(steps);
        above.notes_of = notes_of_detaching;
        add("virtual/block/dm-5", 105, 62, UUID);
        add("virtual/block/loop9/loop9p1", 109, 61, UUID);
        made_of("virtual/block/dm-5", "loop9p1");
        CHECK_INT(device_note(&above, makedev(259, 105)), 0);
        add("virtual/block/dm-5", 105, 63, UUID);
        check_found(&above, "/dev/dm-5", NULL);
        json_object_put(TAKE_PTR(detach_notes));
        check_found(&above, "/dev/dm-5", "/dev/dm-5");
}

static bool world_begin(void) {
        static const char *const places[] = { "/sys", "/run", "/dev" };

        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (mount("x", places[i], "tmpfs", 0, NULL) < 0)
                        return false;
        test_make_folders("/sys/class/block");
        CHECK_INT(setenv("SYSTEMD_DEVICE_VERIFY_SYSFS", "0", 1), 0); /* libudev: this /sys is none */
        test_make_folders("/sys/dev/block");
        test_make_folders("/run/udev/data");
        return mknod("/dev/try", S_IFBLK | 0600, makedev(259, 1)) == 0;
}

int main(void) {
        static const char document[] = "{\"bdf\": \"0000:0e:00.0\", \"endpoints\": [{\"bdf\": \"0000:0e:00.0\"}, {\"bdf\": \"0000:0d:00.0\"}]}";

        if (!world_begin()) {
                puts("needs root");
                return 77;
        }
        CHECK_INT(json_parse(document, strlen(document), &card), 0);
        test_never_went();
        test_copies();
        test_others();
        test_members();
        test_ground();
        test_loop();
        test_loop_of_others();
        json_object_put(card);
        return EXIT_SUCCESS;
}
