/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands for a look at everybody where somebody has made more of them than there is time for. On the recorded machine "ram2". */
#include <sys/sysmacros.h>

#include "holders/look-gaps.h"
#include "probe/evidence.h"
#include "step/evict/users.h"
#include "tests/unit/test.h"

#define DAX "/sys/devices/virtual/dax9.0"

static bool is_free(bool (*evidence)(json_object *), const char *name, const char *dev) {
        _cleanup_json_ json_object *device = json_object_new_object();

        json_set_str(device, "name", name);
        json_set_str(device, "dev", dev);
        return evidence(device);
}

static void test_char(void) {
        CHECK(is_free(evidence_char_is_free, "dax9.0", "240:7"));
        CHECK(!is_free(evidence_char_is_free, "dax9.0", "odd"));

        /* It is there, and nobody knows of whom its driver is. */
        test_make_folders("/sys/dev/char");
        test_make_folders(DAX "/driver/module");
        CHECK_INT(symlink(DAX, "/sys/dev/char/240:7"), 0);
        CHECK(!is_free(evidence_char_is_free, "dax9.0", "240:7"));
        CHECK(is_free(evidence_char_is_free, "dax8.0", "240:7")); /* the number is another one's by now */
        test_put(DAX "/driver/module/refcnt", "1\n");
        CHECK(!is_free(evidence_char_is_free, "dax9.0", "240:7"));
        test_put(DAX "/driver/module/refcnt", "0\n");
        CHECK(is_free(evidence_char_is_free, "dax9.0", "240:7"));
}

/* Of a disk that is gone a super block may live on; what stood on others is not let go of before that has. */
static void test_block(void) {
        _cleanup_json_ json_object *scope = json_object_new_object();

        CHECK(!is_free(evidence_block_is_free, "nvme7n1", "259:70"));
        CHECK(!is_free(evidence_block_is_free, "dm-7", "odd"));
        CHECK(is_free(evidence_block_is_free, "dm-7", "253:7"));
        CHECK(is_free(evidence_block_is_free, "md7", "9:7"));
        CHECK(!evidence_storage_is_free(scope));
}

static int gaps_in_the_way(const Gaps *gaps, TargetKind kind, dev_t dev) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        StepRun run = { 0 };

        CHECK_INT(kind == TARGET_FILE ? hold_targets_add_file(&targets, dev, 9, "it") : hold_targets_add(&targets, kind, dev, "it"), 0);
        int r = step_gaps_of(&run, gaps, &targets, "the card");
        step_run_done(&run);
        return r;
}

/* Only where there was not enough time, and only where the kernel is asked later. */
static void test_gaps(void) {
        Gaps gaps = { 0 };

        CHECK_INT(gaps_in_the_way(&gaps, TARGET_FILE, 1), 0);
        gap_note_time(&gaps, 5000, true, 65534);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_FS, makedev(259, 70)), 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_BLOCK, makedev(259, 70)), 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_FILE, 1), -EAGAIN);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(10, 200)), -EAGAIN);
        test_put(DAX "/driver/module/refcnt", "0\n");
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(240, 7)), 0);
        test_put(DAX "/driver/module/refcnt", "2\n");
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(240, 7)), -EAGAIN);
        CHECK_INT(symlink("/sys/bus/dax", DAX "/subsystem"), 0); /* of which disable-dax asks once more */
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(240, 7)), 0);

        /* Somebody who hangs is as much in anybody's power. */
        gap_note(&gaps, GAP_HANG, 12, 0);
        gap_note(&gaps, GAP_MAPPINGS, 12, 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_FS, makedev(259, 70)), 0);
        gap_note(&gaps, GAP_PROCESS, 12, -EACCES);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_FS, makedev(259, 70)), -EAGAIN);
}

/* Of what nobody can map the descriptors tell, and those of one that hangs are seen but where he hangs in them too. */
static void test_nothing_to_map(void) {
        Gaps gaps = { 0 };

        test_make_folders("/sys/devices/virtual/nvme/nvme7");
        test_make_folders("/sys/class/nvme");
        CHECK_INT(symlink("/sys/devices/virtual/nvme/nvme7", "/sys/dev/char/241:7"), 0);
        CHECK_INT(symlink("/sys/class/nvme", "/sys/devices/virtual/nvme/nvme7/subsystem"), 0);
        gap_note(&gaps, GAP_MAPPINGS, 12, 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(241, 7)), 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(241, 8)), -EAGAIN);
        gap_note(&gaps, GAP_HANG, 12, 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(241, 7)), -EAGAIN);
}

/* Whoever has a controller or a namespace of it open counts with the driver of the function. */
static void test_counted_above(void) {
        static const char function[] = "/sys/devices/pci0000:0d/0000:0d:00.0", head[] = "/sys/devices/virtual/nvme-subsystem/nvme-subsys8";
        static const char generic[] = "/sys/devices/virtual/nvme/nvme7/ng7n1", shared[] = "/sys/devices/virtual/nvme-subsystem/nvme-subsys8/ng8n1";
        Gaps gaps = { 0 };

        gap_note_time(&gaps, 5000, true, 65534);
        test_make_folders("/sys/class/nvme-generic");
        test_make_folders(generic);
        test_make_folders(shared);
        CHECK_INT(symlink(generic, "/sys/dev/char/242:7"), 0);
        CHECK_INT(symlink(shared, "/sys/dev/char/242:8"), 0);
        CHECK_INT(symlink("/sys/class/nvme-generic", "/sys/devices/virtual/nvme/nvme7/ng7n1/subsystem"), 0);
        CHECK_INT(symlink("/sys/class/nvme-generic", "/sys/devices/virtual/nvme-subsystem/nvme-subsys8/ng8n1/subsystem"), 0);
        CHECK_INT(symlink("/sys/devices/virtual/nvme/nvme7", "/sys/devices/virtual/nvme/nvme7/ng7n1/device"), 0);
        CHECK_INT(symlink(head, "/sys/devices/virtual/nvme-subsystem/nvme-subsys8/ng8n1/device"), 0);
        CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(241, 7)), -EAGAIN);

        test_make_folders("/sys/devices/pci0000:0d/0000:0d:00.0/driver/module");
        CHECK_INT(symlink(function, "/sys/devices/virtual/nvme/nvme7/device"), 0);
        for (int used = 0; used < 2; used++) {
                test_put("/sys/devices/pci0000:0d/0000:0d:00.0/driver/module/refcnt", used ? "1\n" : "0\n");
                CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(241, 7)), used ? -EAGAIN : 0);
                CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(242, 7)), used ? -EAGAIN : 0);
                CHECK_INT(gaps_in_the_way(&gaps, TARGET_CHAR, makedev(242, 8)), -EAGAIN);
        }
}

int main(void) {
        test_char();
        test_block();
        test_gaps();
        test_nothing_to_map();
        test_counted_above();
        return EXIT_SUCCESS;
}
