/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps that take storage down, on the recorded machine "storage": whom they refuse, what they write or which tool they ask,
 * and that they believe what /sys shows and not what a tool says. The tools are a script that writes down how it was called. */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "cli/text/format.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define BLOCK "/sys/class/block"
#define MIRROR "\"uuid\": \"8149D2A9:4e259501:c2ec83bb:9e0ab6fa\""
#define REGION "\"nd_region\": {\"name\": \"region7\", \"start\": 19595788288}"

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC };
static char bin[] = "/tmp/safe-remove-tools-XXXXXX";

/* What a tool does besides: `act` is run by it. `say` is what it prints. */
static const char tool[] = "#!/bin/sh\nhere=${0%/*}\necho \"${0##*/} $*\" >> $here/log\n[ ! -e $here/say ] || cat $here/say\n. $here/act\n";

static void tools_do(const char *script) {
        test_putf(script, "%s/act", bin);
}

/* How the tools were called since it was last asked. */
static void check_tools(const char *expected) {
        _cleanup_free_ char *path = strf("%s/log", bin), *text = NULL;

        if (read_file(path, &text, NULL) < 0)
                text = strdup("");
        (void) unlink(path);
        CHECK_STR(text, expected);
}

static void tools_make(void) {
        static const char *const names[] = { "mdadm", "dmsetup", "lvchange", "multipathd" };
        _cleanup_free_ char *folders = NULL;

        CHECK(mkdtemp(bin));
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = strf("%s/%s", bin, names[i]);
                test_putf(tool, "%s", path);
                CHECK_INT(chmod(path, 0755), 0);
        }
        folders = strf("%s:/usr/bin:/bin", bin);
        CHECK_INT(setenv("SAFE_REMOVE_PATH", folders, 1), 0);
}

typedef struct Case {
        const StepOps *ops;
        json_object *args;
        StepRun run;
} Case;

static Case case_new(StepType type, const char *args) {
        Case c = { .ops = step_ops(type), .run = { .limits = &limits, .note = keep_notes, .notes = json_object_new_array() } };

        CHECK_INT(json_parse(args, strlen(args), &c.args), 0);
        tools_do("");
        return c;
}

static void case_done(Case *c) {
        json_object_put(c->args);
        json_object_put(c->run.notes);
        step_run_done(&c->run);
}

static int check(Case *c) {
        return c->ops->check(c->args, &c->run);
}

static int apply(Case *c) {
        return c->ops->apply(c->args, &c->run);
}

static int revert(Case *c) {
        c->run.backwards = true;
        return c->ops->revert(c->args, &c->run);
}

static int verify(Case *c) {
        return c->ops->verify(c->args, &c->run);
}

static void check_why(const Case *c, const char *part) {
        if (!c->run.why || !strstr(c->run.why, part))
                CHECK_STR(c->run.why, part);
}

/* Neither check nor apply lets it happen, and nothing is touched. */
static void check_refused(Case *c, const char *why) {
        CHECK_INT(check(c), -EBUSY);
        check_why(c, why);
        CHECK_INT(apply(c), -EBUSY);
        check_why(c, why);
        check_tools("");
        CHECK_INT(verify(c), STEP_NOT_APPLIED);
}

/* Another device stands on it. */
static void check_holder_refused(Case *c, const char *block) {
        _cleanup_free_ char *holder = strf(BLOCK "/%s/holders/dm-9", block);

        CHECK_INT(mkdir(holder, 0755), 0);
        check_refused(c, "dm-9 stands on ");
        CHECK_INT(rmdir(holder), 0);
}

/* By its uuid, in either way of writing it; the name in the plan is another array's by now. */
static void test_stop_md(void) {
        _cleanup_(case_done) Case c = case_new(STEP_STOP_MD, "{\"md\": \"md126\", " MIRROR "}");

        CHECK_INT(check(&c), 0);
        check_holder_refused(&c, "md127");
        CHECK_INT(apply(&c), 0);
        check_tools("mdadm --stop /dev/md127\n");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED); /* it said yes, and the array is there */

        tools_do("echo clear > " BLOCK "/md127/md/array_state");
        CHECK_INT(apply(&c), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        check_tools("mdadm --stop /dev/md127\n");
        CHECK_INT(apply(&c), 0);
        CHECK_INT(check(&c), 0);
        check_tools("");

        tools_do("exit 1");
        CHECK_INT(revert(&c), -EIO);
        check_tools("mdadm --assemble /dev/md126 --uuid=8149D2A9:4e259501:c2ec83bb:9e0ab6fa\n");
        tools_do("echo clean > " BLOCK "/md127/md/array_state; exit 1");
        CHECK_INT(revert(&c), 0); /* somebody else was quicker */
        check_tools("mdadm --assemble /dev/md126 --uuid=8149D2A9:4e259501:c2ec83bb:9e0ab6fa\n");
        CHECK_INT(revert(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        check_tools("");
}

/* udev has seen one member when we come, and has made an array of it that does not run: no member of it is free for another one. */
static void test_stop_md_begun(void) {
        _cleanup_(case_done) Case c = case_new(STEP_STOP_MD, "{\"md\": \"md126\", " MIRROR "}");

        test_putf("inactive\n", BLOCK "/md127/md/array_state");
        c.run.backwards = true;
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        tools_do("case $1 in --stop) echo clear;; *) echo clean;; esac > " BLOCK "/md127/md/array_state");
        CHECK_INT(revert(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        check_tools("mdadm --stop /dev/md127\nmdadm --assemble /dev/md126 --uuid=8149D2A9:4e259501:c2ec83bb:9e0ab6fa\n");

        /* It has seen the next one before ours came to it. */
        test_putf("inactive\n", BLOCK "/md127/md/array_state");
        tools_do("case $1 in --stop) echo clear;; *) [ -e " BLOCK "/again ] && echo clean || echo inactive; touch " BLOCK "/again;; esac > "
                 BLOCK "/md127/md/array_state");
        CHECK_INT(revert(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(unlink(BLOCK "/again"), 0);
        check_tools("mdadm --stop /dev/md127\nmdadm --assemble /dev/md126 --uuid=8149D2A9:4e259501:c2ec83bb:9e0ab6fa\n"
                    "mdadm --stop /dev/md127\nmdadm --assemble /dev/md126 --uuid=8149D2A9:4e259501:c2ec83bb:9e0ab6fa\n");
}

static void test_member_stays(void) {
        _cleanup_(case_done) Case striped = case_new(STEP_REMOVE_MD_MEMBER, "{\"md\": \"md126\", \"member\": \"pmem0.5\", \"uuid\": \"\"}");
        _cleanup_(case_done) Case c = case_new(STEP_REMOVE_MD_MEMBER, "{\"md\": \"md127\", \"member\": \"pmem0.4\", " MIRROR "}");

        check_refused(&striped, "md126 (raid0) has no redundancy");
        test_putf("faulty\n", BLOCK "/md127/md/dev-nvme0n1p2/state");
        check_refused(&c, "md127 (raid1) is degraded already");
        test_putf("in_sync\n", BLOCK "/md127/md/dev-nvme0n1p2/state");
        test_putf("2 (1)\n", BLOCK "/md127/md/raid_disks");
        check_refused(&c, "md127 (raid1) is being reshaped");
        test_putf("2\n", BLOCK "/md127/md/raid_disks");
        test_putf("recover\n", BLOCK "/md127/md/sync_action");
        check_refused(&c, "md127 (raid1) is still being synchronised (recover)");
        test_putf("idle\n", BLOCK "/md127/md/sync_action");
        CHECK_INT(check(&c), 0);
}

/* A hot spare is no member in use: nothing fails. In a volume of a container it is the monitor who takes the member out, and who is
 * waited for. */
static void test_idle_member(void) {
        _cleanup_(case_done) Case c = case_new(STEP_REMOVE_MD_MEMBER, "{\"md\": \"md127\", \"member\": \"pmem0.4\", \"role\": \"spare\", " MIRROR "}");
        _cleanup_(case_done) Case volume = case_new(STEP_REMOVE_MD_MEMBER,
                                                    "{\"md\": \"md127\", \"member\": \"pmem0.4\", \"container\": \"md1\", " MIRROR "}");

        test_putf("spare\n", BLOCK "/md127/md/dev-pmem0.4/state");
        test_putf("none\n", BLOCK "/md127/md/dev-pmem0.4/slot");
        test_putf("recover\n", BLOCK "/md127/md/sync_action");
        CHECK_INT(check(&c), 0); /* what is done to the others does not need it */
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(apply(&c), 0);
        check_tools("mdadm /dev/md127 --remove /dev/pmem0.4\n");
        test_putf("idle\n", BLOCK "/md127/md/sync_action");
        test_putf("in_sync\n", BLOCK "/md127/md/dev-pmem0.4/state");

        tools_do("mv " BLOCK "/md127/md/dev-pmem0.4 " BLOCK "/md127/out");
        CHECK_INT(apply(&volume), 0);
        check_tools("mdadm /dev/md127 --fail /dev/pmem0.4\n");
        CHECK_INT(verify(&volume), STEP_APPLIED);
        CHECK_INT(rename(BLOCK "/md127/out", BLOCK "/md127/md/dev-pmem0.4"), 0);
        CHECK_INT(revert(&volume), 0);
        check_tools("");
}

static void test_member_goes(void) {
        _cleanup_(case_done) Case c = case_new(STEP_REMOVE_MD_MEMBER, "{\"md\": \"md127\", \"member\": \"pmem0.4\", " MIRROR "}");

        CHECK_INT(apply(&c), 0);
        check_tools("mdadm /dev/md127 --fail /dev/pmem0.4 --remove /dev/pmem0.4\n");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);

        /* One that failed before is no redundancy that would be lost. */
        test_putf("faulty\n", BLOCK "/md127/md/dev-pmem0.4/state");
        test_putf("1\n", BLOCK "/md127/md/degraded");
        CHECK_INT(check(&c), 0);
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        tools_do("rm -r " BLOCK "/md127/md/dev-pmem0.4");
        CHECK_INT(apply(&c), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        check_tools("mdadm /dev/md127 --fail /dev/pmem0.4 --remove /dev/pmem0.4\n");

        /* A new member where the kernel does not take it for the old one. */
        tools_do("case $* in *--re-add*) exit 1;; esac; mkdir " BLOCK "/md127/md/dev-pmem0.4");
        CHECK_INT(revert(&c), 0);
        check_tools("mdadm /dev/md127 --re-add /dev/pmem0.4\nmdadm /dev/md127 --add /dev/pmem0.4\n");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
}

#define VOLUME "\"uuid\": \"LVM-dgL3maVdJtKuuz3NdoBLTP53EjARRVVRFmFfmJftdSP7O35sox6ChfkgKhoXmI7u\""

static void test_volume(void) {
        _cleanup_(case_done) Case c = case_new(STEP_DEACTIVATE_DM, "{\"dm\": \"other-name\", " VOLUME ", \"lv\": \"lab/spare\"}");

        check_holder_refused(&c, "dm-1");
        test_putf("0 8192 linear 259:4 2048\n", "%s/say", bin);
        CHECK_INT(apply(&c), 0);
        check_tools("dmsetup table other-name\nlvchange --quiet -an lab/spare\n");
        CHECK_STR(json_str(json_at(c.run.notes, 0), "table"), "0 8192 linear 259:4 2048");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);

        CHECK_INT(rename(BLOCK "/dm-1", BLOCK "/gone"), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(revert(&c), 0);
        check_tools("lvchange --quiet -ay lab/spare\n");
        CHECK_INT(verify(&c), STEP_APPLIED); /* still to be put back */
        CHECK_INT(rename(BLOCK "/gone", BLOCK "/dm-1"), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(revert(&c), 0);
        check_tools("");

        /* One that went by itself, as a part of another, is not this step's to put back. */
        json_object_put(c.run.notes);
        c.run.notes = json_object_new_array();
        CHECK_INT(rename(BLOCK "/dm-1", BLOCK "/gone"), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(rename(BLOCK "/gone", BLOCK "/dm-1"), 0);
}

static void test_other_dm(void) {
        _cleanup_(case_done) Case c = case_new(STEP_DEACTIVATE_DM, "{\"dm\": \"secret\", \"uuid\": \"CRYPT-LUKS2-1\"}");

        test_putf("CRYPT-LUKS2-1\n", BLOCK "/dm-1/dm/uuid");
        test_putf("0 8192 crypt aes-xts-plain64 :64:logon:x 0 259:4 32768\n", "%s/say", bin);
        CHECK_INT(check(&c), -EBUSY);
        check_why(&c, "secret is encrypted, and safe-remove has no key to open it again");
        CHECK_INT(apply(&c), -EBUSY);
        check_tools("dmsetup table secret\ndmsetup table secret\n");

        /* Under it is what has the number by then. */
        CHECK(mkdir("/sys/dev", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir("/sys/dev/block", 0755) == 0 || errno == EEXIST);
        CHECK_INT(symlink("../../class/block/pmem0.3", "/sys/dev/block/259:4"), 0);
        test_putf("0 8192 linear 259:4 2048\n", "%s/say", bin);
        CHECK_INT(apply(&c), 0);
        check_tools("dmsetup table secret\ndmsetup table secret\ndmsetup remove --retry secret\n");
        CHECK_STR(json_str(json_get(json_at(c.run.notes, 0), "made_of"), "259:4"), "pmem0.3");
        test_putf("gone\n", BLOCK "/dm-1/dm/uuid");
        CHECK_INT(revert(&c), 0);
        check_tools("dmsetup create --concise secret,CRYPT-LUKS2-1,,rw,0 8192 linear 259:5 2048\n");

        /* Known by what the disk says of itself: not by its name, which is another's; and by that wherever it is. */
        c.run.backwards = false;
        test_putf("CRYPT-LUKS2-1\n", BLOCK "/dm-1/dm/uuid");
        test_putf("disk-a\n", BLOCK "/pmem0.3/wwid");
        CHECK_INT(apply(&c), 0);
        CHECK_STR(json_str(json_get(json_at(c.run.notes, 1), "ids"), "259:4"), "disk-a");
        test_putf("gone\n", BLOCK "/dm-1/dm/uuid");
        test_putf("disk-b\n", BLOCK "/pmem0.3/wwid");
        check_tools("dmsetup table secret\ndmsetup table secret\ndmsetup remove --retry secret\n");
        CHECK_INT(revert(&c), -ENOENT);
        check_tools("");
        test_putf("disk-a\n", BLOCK "/nvme0n1/wwid");
        CHECK_INT(revert(&c), 0);
        check_tools("dmsetup create --concise secret,CRYPT-LUKS2-1,,rw,0 8192 linear 259:1 2048\n");
        CHECK_INT(unlink(BLOCK "/nvme0n1/wwid"), 0);
        CHECK_INT(unlink(BLOCK "/pmem0.3/wwid"), 0);
        CHECK_INT(unlink("/sys/dev/block/259:4"), 0);
}

#define PARTS "\"parts\": [{\"name\": \"pmem0.3\", \"dev\": \"259:5\"}]"
#define SLAVES BLOCK "/dm-1/slaves"

/* The numbers of the recorded machine: pmem0.3 is 259:5, nvme0n1p1 is 259:8. */
static void set_up_mapping(const char *told) {
        CHECK(mkdir("/dev/mapper", 0755) == 0 || errno == EEXIST);
        test_putf(told, "/dev/mapper/control");
        CHECK(mkdir(SLAVES "/pmem0.3", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir(SLAVES "/nvme0n1p1", 0755) == 0 || errno == EEXIST);
}

/* The daemon is asked first; where the path is still there after it, the table is changed. */
static void test_path(void) {
        _cleanup_free_ char *number = NULL, *told = NULL, *failed = NULL;
        _cleanup_(case_done) Case c = case_new(STEP_REMOVE_DM_PART, "{\"dm\": \"lab-spare\", \"uuid\": \"\", \"kind\": \"path\", " PARTS "}");

        CHECK_INT(attr_readf(&number, BLOCK "/dm-1/dev"), 0);
        told = strf("%s table multipath 0 0 1 1 round-robin 0 2 0 259:5 259:8\n%s status 2 0 0 0 1 1 A 0 2 0 259:5 A 0 259:8 A 0\n", number, number);
        failed = strf("%s table multipath 0 0 1 1 round-robin 0 2 0 259:5 259:8\n%s status 2 0 0 0 1 1 A 0 2 0 259:5 A 0 259:8 F 1\n", number, number);
        set_up_mapping(failed);
        check_refused(&c, "no other path of lab-spare works");
        set_up_mapping(told);
        test_putf("1\n", BLOCK "/dm-1/dm/suspended");
        check_refused(&c, "lab-spare is suspended");
        test_putf("0\n", BLOCK "/dm-1/dm/suspended");

        test_putf("0 8192 multipath 0 0 1 1 round-robin 0 2 0 259:5 259:8\n", "%s/say", bin);
        CHECK_INT(apply(&c), 0);
        check_tools("dmsetup table lab-spare\nmultipathd del path pmem0.3\ndmsetup table lab-spare\n"
                    "dmsetup load lab-spare --table 0 8192 multipath 0 0 1 1 round-robin 0 1 0 259:8\n"
                    "dmsetup resume --noflush --nolockfs lab-spare\n");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED); /* they said yes, and the path is there */
        tools_do("case ${0##*/} in multipathd) rmdir " SLAVES "/pmem0.3;; esac");
        CHECK_INT(apply(&c), 0);
        check_tools("dmsetup table lab-spare\nmultipathd del path pmem0.3\n");
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(apply(&c), 0);
        check_tools("");

        tools_do("case ${0##*/} in multipathd) mkdir " SLAVES "/pmem1;; esac"); /* as it is called now */
        CHECK_INT(revert(&c), 0);
        check_tools("multipathd add path pmem0.3\n");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(rmdir(SLAVES "/pmem1"), 0);
}

static void test_leg(void) {
        _cleanup_free_ char *number = NULL, *told = NULL, *behind = NULL, *busy = NULL, *bare = NULL;
        _cleanup_(case_done) Case c = case_new(STEP_REMOVE_DM_PART, "{\"dm\": \"lab-spare\", " VOLUME ", \"kind\": \"leg\", " PARTS "}");
        static const char table[] = "raid raid1 1 0 2 254:2 259:5 254:3 259:8";

        test_putf("LVM-dgL3maVdJtKuuz3NdoBLTP53EjARRVVRFmFfmJftdSP7O35sox6ChfkgKhoXmI7u\n", BLOCK "/dm-1/dm/uuid");
        CHECK(mkdir("/sys/dev/block", 0755) == 0 || errno == EEXIST);
        CHECK_INT(symlink("../../class/block/pmem0.3", "/sys/dev/block/259:5"), 0);
        CHECK_INT(symlink("../../class/block/nvme0n1p1", "/sys/dev/block/259:8"), 0);
        CHECK_INT(attr_readf(&number, BLOCK "/dm-1/dev"), 0);
        told = strf("%s table %s\n%s status raid1 2 AA 8/8 idle 0 0 -\n", number, table, number);
        behind = strf("%s table %s\n%s status raid1 2 Aa 8/8 idle 0 0 -\n", number, table, number);
        busy = strf("%s table %s\n%s status raid1 2 AA 8/8 resync 0 0 -\n", number, table, number);
        bare = strf("%s table raid raid1 1 0 2 - 259:5 - 259:8\n%s status raid1 2 AA 8/8 idle 0 0 -\n", number, number);
        set_up_mapping(bare);
        check_refused(&c, "lab-spare (raid1) has no metadata: a member that came back would be taken for one that is up to date");
        set_up_mapping(behind);
        check_refused(&c, "lab-spare (raid1) is degraded already");
        set_up_mapping(busy);
        check_refused(&c, "lab-spare (raid1) is still being synchronised (resync)");
        set_up_mapping(told);

        test_putf("0 8192 raid raid1 1 0 2 254:2 259:5 254:3 259:8\n", "%s/say", bin);
        tools_do("case $* in resume*) rmdir " SLAVES "/pmem0.3;; esac");
        CHECK_INT(apply(&c), 0);
        check_tools("dmsetup table lab-spare\ndmsetup table lab-spare\n"
                    "dmsetup load lab-spare --table 0 8192 raid raid1 1 0 2 - - 254:3 259:8\ndmsetup resume lab-spare\n");
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(revert(&c), 0);
        check_tools("lvchange --quiet --refresh /dev/mapper/lab-spare\n");
        CHECK_INT(verify(&c), STEP_APPLIED); /* lvm said yes, and the leg is not there */
        CHECK_INT(unlink("/sys/dev/block/259:5"), 0);
        CHECK_INT(unlink("/sys/dev/block/259:8"), 0);
        CHECK_INT(unlink("/dev/mapper/control"), 0);
}

static void test_loop(void) {
        _cleanup_(case_done) Case c = case_new(STEP_DETACH_LOOP, "{\"loop\": \"loop1\", \"dev\": \"7:1\", \"backing_file\": \"/dev/dm-1\"}");
        _cleanup_(case_done) Case deleted = case_new(STEP_DETACH_LOOP,
                                                     "{\"loop\": \"loop1\", \"dev\": \"7:1\", \"backing_file\": \"/a file (deleted)\"}");

        CHECK_INT(check(&c), 0);
        check_holder_refused(&c, "loop1");
        test_putf("/a file (deleted)\n", BLOCK "/loop1/loop/backing_file");
        check_refused(&deleted, "loop1 keeps a deleted file");
        test_putf("/a file (deleted) twice\n", BLOCK "/loop1/loop/backing_file");
        CHECK_INT(check(&c), 0);

        /* It cannot be asked how it is set up: it is not let go, or nobody could put it back. */
        CHECK_INT(apply(&c), -ENOENT);
        check_why(&c, "how loop1 is set up cannot be read");
        CHECK_INT(unlink(BLOCK "/loop1/loop/backing_file"), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(check(&deleted), 0);
        CHECK_INT(apply(&c), 0);
}

static void swaps(const char *card, const char *other) {
        _cleanup_free_ char *text = strf("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n%s%s", card, other);

        test_putf(text, "/proc/swaps");
}

/* 16 TiB, counted in KiB. */
#define MUCH "17179869184"

static void test_swapoff(void) {
        _cleanup_(case_done) Case c = case_new(STEP_SWAPOFF, "{\"path\": \"/mnt/nvme/swap\", \"dev\": \"259:8\", \"file\": true, \"used\": 0}");

        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(check(&c), 0);
        swaps("/mnt/nvme/swap file " MUCH " " MUCH " -2\n", "/swap file 8192 4096 -3\n");
        check_refused(&c, "16777216 MiB are swapped to /mnt/nvme/swap, memory and the other swaps can take ");
        swaps("/mnt/nvme/swap file " MUCH " " MUCH " -2\n", "/swap file " MUCH " 0 -3\n");
        CHECK_INT(check(&c), 0); /* the other one takes it */
        swaps("/mnt/nvme/swap file " MUCH " " MUCH " -2\n", "/swap file " MUCH " " MUCH " -3\n");
        CHECK_INT(check(&c), -EBUSY); /* it is full itself */
        swaps("", "/mnt/nvme/swap2 file 8192 0 -3\n");
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(apply(&c), 0);
}

static void note(Case *c, const char *text) {
        json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        json_object_array_add(c->run.notes, o);
}

/* What was not noted is not missing. */
static void test_loop_back(void) {
        _cleanup_(case_done) Case c = case_new(STEP_DETACH_LOOP, "{\"loop\": \"loop1\", \"dev\": \"7:1\", \"backing_file\": \"/tmp/image\"}");

        CHECK_INT(revert(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(json_len(c.run.lost), 0);
        note(&c, "{\"setup\": {\"backing_file\": \"/tmp/image\", \"offset\": 0, \"sizelimit\": 0, \"flags\": 0, \"block_size\": 512}}");
        CHECK_INT(verify(&c), STEP_APPLIED);
}

#define DRIVER(name) "/sys/bus/nd/drivers/" name "/unbind"
#define DEVICE "/sys/bus/nd/devices/"

static void drivers_make(void) {
        static const char *const names[] = { "nd_pmem", "nd_region" };

        CHECK(mkdir("/sys/bus/nd/drivers", 0755) == 0 || errno == EEXIST);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *folder = strf("/sys/bus/nd/drivers/%s", names[i]);
                CHECK(mkdir(folder, 0755) == 0 || errno == EEXIST);
                test_putf("", "%s/unbind", folder);
        }
}

static void check_written(const char *path, const char *expected) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_STR(text, expected);
}

/* By its uuid, in the region that begins where it did. */
static void test_namespace(void) {
        _cleanup_(case_done) Case c = case_new(STEP_DISABLE_NAMESPACE, "{\"namespace\": \"namespace7.9\", \"driver\": \"nd_pmem\", "
                                               "\"uuid\": \"b7c38d01-92a5-4848-af91-085468e2d35b\", " REGION "}");
        _cleanup_(case_done) Case other = case_new(STEP_DISABLE_NAMESPACE, "{\"namespace\": \"namespace0.3\", \"driver\": \"nd_pmem\", "
                                                   "\"uuid\": \"00000000-92a5-4848-af91-085468e2d35b\", " REGION "}");
        _cleanup_(case_done) Case was_off = case_new(STEP_DISABLE_NAMESPACE, "{\"namespace\": \"namespace7.9\", "
                                                     "\"uuid\": \"b7c38d01-92a5-4848-af91-085468e2d35b\", " REGION "}");

        check_holder_refused(&c, "pmem0.3");
        check_written(DRIVER("nd_pmem"), "");
        CHECK_INT(check(&c), 0);
        CHECK_INT(apply(&c), -EIO);
        check_why(&c, "namespace0.3 is still bound to nd_pmem after unbind");
        check_written(DRIVER("nd_pmem"), "namespace0.3");
        CHECK_INT(verify(&other), STEP_APPLIED);
        CHECK_INT(apply(&other), 0);

        /* On the way back: as it was, which is off for one that was off. */
        c.run.backwards = was_off.run.backwards = true;
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(verify(&was_off), STEP_APPLIED);
        c.run.backwards = false;
        CHECK_INT(unlink(DEVICE "namespace0.3/driver"), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED); /* its disk is still there */
        CHECK_INT(rename(DEVICE "namespace0.3/block", DEVICE "namespace0.3/gone"), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK_INT(verify(&was_off), STEP_NOT_APPLIED);
}

static void test_nd_region(void) {
        static const char *const devices[] = { "namespace0.4", "namespace0.5", "pfn0.0", "dax0.0", "btt0.0" }; /* the last by claims */
        _cleanup_(case_done) Case c = case_new(STEP_DISABLE_ND_REGION, "{" REGION "}");
        _cleanup_(case_done) Case other = case_new(STEP_DISABLE_ND_REGION, "{\"nd_region\": {\"name\": \"region0\", \"start\": 4096}}");

        for (size_t i = 0; i < ELEMENTSOF(devices); i++) {
                _cleanup_free_ char *driver = strf(DEVICE "%s/driver", devices[i]);
                check_refused(&c, " of nvdimm region region0 is enabled: its driver does not ask who uses it");
                CHECK_INT(unlink(driver), 0);
        }
        check_written(DRIVER("nd_region"), "");
        CHECK_INT(check(&c), 0);
        CHECK_INT(apply(&c), -EIO);
        check_written(DRIVER("nd_region"), "region0");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(verify(&other), STEP_APPLIED);
        CHECK_INT(apply(&other), 0);
        CHECK_INT(revert(&other), -ENODEV);
        CHECK_INT(unlink(DEVICE "region0/driver"), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
}

/* A claim is of a device that is there, whose node is the one that the kernel names. (That the kernel refuses one, and to whom it does, takes
 * a real one: tests/vm.) */
static void test_claim(void) {
        _cleanup_(case_done) Case c = case_new(STEP_CLAIM_DEVICES, "{\"devices\": [{\"name\": \"leaf0\", \"dev\": \"259:77\"}]}");

        CHECK_INT(verify(&c), STEP_APPLIED);
        CHECK(mkdir("/sys/dev", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir("/sys/dev/block", 0755) == 0 || errno == EEXIST);
        CHECK_INT(mkdir("/sys/devices/leaf0", 0755), 0);
        CHECK_INT(symlink("../../devices/leaf0", "/sys/dev/block/259:77"), 0);
        test_putf("DEVNAME=leaf0\n", "/sys/devices/leaf0/uevent");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(apply(&c), -ENOENT);
        check_why(&c, "whether anybody has leaf0 cannot be asked");
        test_putf("", "/dev/leaf0");
        CHECK_INT(apply(&c), -ESTALE);
        check_why(&c, "its node is another device's");
        CHECK_STR(c.run.remedy, "rm -f /dev/leaf0 && mknod -m 660 /dev/leaf0 b 259 77");
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(revert(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);

        /* Another device under that number is none of ours. */
        c.run.backwards = false;
        CHECK_INT(rename("/sys/devices/leaf0", "/sys/devices/leaf1"), 0);
        CHECK_INT(unlink("/sys/dev/block/259:77"), 0);
        CHECK_INT(symlink("../../devices/leaf1", "/sys/dev/block/259:77"), 0);
        CHECK_INT(apply(&c), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
}

/* Nobody knows where its folders were told from: that is said, and is no fault of the way back. */
static void test_relative_overlay(void) {
        _cleanup_(case_done) Case c = case_new(STEP_UNMOUNT, "{\"fs\": {\"dev\": \"0:70\", \"type\": \"overlay\", \"source\": \"overlay\", "
                                               "\"super_options\": \"rw,lowerdir=l/A,upperdir=c/diff,workdir=c/work\"}, "
                                               "\"mounts\": [{\"ns\": 4026531841, \"target\": \"/mnt/merged\", \"root\": \"/\"}]}");

        CHECK_INT(revert(&c), 0);
        CHECK_INT(json_len(c.run.lost), 1);
        CHECK(strstr(json_object_get_string(json_at(c.run.lost, 0)), "/mnt/merged is not mounted again"));
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
}

/* The columns of plans and of what is told meanwhile. */
static void test_names(void) {
        size_t longest = 0;

        for (int i = 0; i < _STEP_TYPE_MAX; i++) {
                size_t length = strlen(step_type_to_string((StepType) i));
                longest = length > longest ? length : longest;
        }
        CHECK_INT(longest, STEP_COLUMNS);
}

int main(void) {
        CHECK_INT(symlink("class/block", "/sys/block"), 0);
        tools_make();
        drivers_make();
        test_names();
        test_stop_md();
        test_stop_md_begun();
        test_member_stays();
        test_idle_member();
        test_member_goes();
        test_volume();
        test_other_dm();
        test_path();
        test_leg();
        test_loop();
        test_loop_back();
        test_swapoff();
        test_namespace();
        test_nd_region();
        test_claim();
        test_relative_overlay();
        test_remove_tree(bin);
        return EXIT_SUCCESS;
}
