/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is compared of all that stands on a card, on the recorded machine "storage": file systems on volumes, arrays, swap and persistent
 * memory. Names that the kernel gives mean nothing; whatever else is another thing is told, with what to do about it. */
#include "tests/unit/plan/picture/picture-told.h"
#include "topology/load/load.h"

#define FSDAX "4c830f10-b192-4cc8-885e-4f3dd0eddddf"
#define SWAP_NAMESPACE "b7c38d01-92a5-4848-af91-085468e2d35b"
#define MIRROR_NAMESPACE "9b65b73c-c4a6-4614-972a-f328b8517964"
#define HOST "4026531841"

static BlockDevice *device(Topology *t, const char *name) {
        BlockDevice *b = (BlockDevice *) topology_block_device(t, name);

        CHECK(b);
        return b;
}

static BlockDevice *labelled(Topology *t, const char *label) {
        for (size_t i = 0; i < t->n_block_devices; i++)
                if (streq_ptr(t->block_devices[i].label, label))
                        return &t->block_devices[i];
        CHECK(false);
        return NULL;
}

static Mount *mounted(Topology *t, const char *target) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (streq(t->mounts[i].target, target) && t->mounts[i].ns == strtoull(HOST, NULL, 10))
                        return &t->mounts[i];
        CHECK(false);
        return NULL;
}

static void read_only(Topology *t) {
        device(t, "pmem0")->read_only = true;
}

static void suspended(Topology *t) {
        labelled(t, "lab-spare")->suspended = true;
}

static void other_table(Topology *t) {
        set(&labelled(t, "lab-spare")->targets[0], "error");
}

static void elsewhere(Topology *t) {
        set(&labelled(t, "lab-scratch")->lower[0], "pmem0");
}

static void degraded(Topology *t) {
        MdArray *a = device(t, "md127")->array;

        for (size_t i = 0; i < a->n_members; i++)
                if (streq(a->members[i].name, "pmem0.4"))
                        a->members[i].role = MD_REBUILT;
}

static void member_gone(Topology *t) {
        MdArray *a = device(t, "md127")->array;

        for (size_t i = 0; i < a->n_members; i++)
                if (streq(a->members[i].name, "nvme0n1p2"))
                        set(&a->members[i].name, "nvme0n1p9");
}

static void priority(Topology *t) {
        t->swaps[0].priority = 6;
}

static void options(Topology *t) {
        set(&mounted(t, "/mnt/data")->options, "ro,relatime");
}

static void private_mount(Topology *t) {
        set(&mounted(t, "/mnt/data")->propagation, "");
}

static void on_top(Topology *t) {
        mounted(t, "/mnt/data")->parent = mounted(t, "/mnt/img");
}

static void mode(Topology *t) {
        for (size_t i = 0; i < t->n_namespaces; i++)
                if (streq_ptr(t->namespaces[i].uuid, FSDAX)) {
                        set(&t->namespaces[i].mode, "raw");
                        set(&t->namespaces[i].driver, NULL);
                }
}

static void exported(Topology *t) {
        KernelUse *u = TOPOLOGY_ADD(t, uses);

        CHECK(u);
        u->user.kind = KERNEL_USER_TARGET;
        set(&u->user.who, "nvmet subsys/1");
        set(&u->user.on, "/dev/pmem0.3");
        set(&u->block, "pmem0.3");
}

#define LAB_SPARE "dm device lab-spare: now 4194304 bytes"
#define LAB_SPARE_WAS ", before it was 4194304 bytes, linear, on disk of namespace 5a2a3b81-a665-434d-8f69-425d45a645f6; to have it as it was: "
#define DATA "mount /mnt/data in namespace " HOST ": now / of ext4, "
#define DATA_WAS ", before it was / of ext4, rw,relatime, rw,dax=always, shared, on / of ext4 at /; to have it as it was: " \
        "mount -o remount,bind,rw,relatime /mnt/data\n"
#define MIRROR "md device 8149d2a9-4e25-9501-c2ec-83bb9e0ab6fa: now raid1 of 2 disks, 49283072 bytes, "
#define MIRROR_WAS ", before it was raid1 of 2 disks, 49283072 bytes, disk of namespace " MIRROR_NAMESPACE " in sync, " \
        "partition 2 of disk n1 of 0000:01:00.0 in sync; to have it as it was: mdadm --detail /dev/md127  # says which member is missing or " \
        "is being rebuilt\n"

static const Change changes[] = {
        { read_only, "disk of namespace " FSDAX ": now 98566144 bytes, read-only, before it was 98566144 bytes; to have it as it was: "
                     "blockdev --setrw /dev/pmem0\n" },
        { suspended, LAB_SPARE ", suspended, linear, on disk of namespace 5a2a3b81-a665-434d-8f69-425d45a645f6" LAB_SPARE_WAS
                     "dmsetup resume lab-spare; dmsetup table lab-spare\n" },
        { other_table, LAB_SPARE ", error, on disk of namespace 5a2a3b81-a665-434d-8f69-425d45a645f6" LAB_SPARE_WAS "dmsetup resume lab-spare; dmsetup table lab-spare\n" },
        { elsewhere, "dm device lab-scratch: now 25165824 bytes, linear, on disk of namespace " FSDAX ", before it was 25165824 bytes, linear, "
                     "on disk of namespace 5a2a3b81-a665-434d-8f69-425d45a645f6; to have it as it was: dmsetup resume lab-scratch; dmsetup table lab-scratch\n" },
        { degraded, MIRROR "disk of namespace " MIRROR_NAMESPACE " being rebuilt, partition 2 of disk n1 of 0000:01:00.0 in sync" MIRROR_WAS },
        { member_gone, MIRROR "disk of namespace " MIRROR_NAMESPACE " in sync, nvme0n1p9 in sync" MIRROR_WAS },
        { priority, "swap on disk of namespace " SWAP_NAMESPACE ": now 33550336 bytes, priority 6, before it was 33550336 bytes, priority 5; "
                    "to have it as it was: swapoff /dev/pmem0.3; swapon -p 5 /dev/pmem0.3\n" },
        { options, DATA "ro,relatime, rw,dax=always, shared, on / of ext4 at /" DATA_WAS },
        { private_mount, DATA "rw,relatime, rw,dax=always, on / of ext4 at /" DATA_WAS },
        { on_top, DATA "rw,relatime, rw,dax=always, shared, on / of ext4 at /mnt/img" DATA_WAS },
        { mode, "namespace " FSDAX ": now 100663296 bytes of mode raw, driver none, a block device, before it was 100663296 bytes of mode fsdax, "
                "driver nd_pmem, a block device; to have it as it was: ndctl enable-namespace $(basename $(dirname $(grep -lx " FSDAX
                " /sys/bus/nd/devices/namespace*/uuid)))\n" },
        { exported, "the use (target) by nvmet subsys/1 is there now (of /dev/pmem0.3), and was not\n" },
};

/* Every name that the kernel counts is another one: nothing of that is told. */
static void test_names(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        for (size_t i = 0; i < t->n_namespaces; i++)
                if (streq_ptr(t->namespaces[i].block, "pmem0.3"))
                        set(&t->namespaces[i].block, "pmem7");
        set(&device(t, "pmem0.3")->name, "pmem7");
        for (size_t i = 0; i < t->n_swaps; i++)
                set(&t->swaps[i].path, "/dev/pmem7");
        topology_drop_index(t);
        CHECK_INT(topology_index(t), 0);
        check_told(before, t, "3", "");
}

/* A mount that is gone: how it is mounted again, options of the file system included. */
static void test_mount_gone(json_object *before) {
        _cleanup_json_ json_object *after = NULL;
        Told told = { 0 };

        CHECK_INT(json_object_deep_copy(before, &after, NULL), 0);
        json_object_object_del(json_get(after, "things"), "mount /mnt/data in namespace " HOST);
        CHECK_INT(picture_compare(before, after, keep, &told), 1);
        CHECK_STR(told.text, "mount /mnt/data in namespace " HOST " is not there any more, and was: / of ext4, rw,relatime, rw,dax=always, "
                             "shared, on / of ext4 at /; to have it as it was: "
                             "mount -t ext4 -o rw,relatime,rw,dax=always /dev/pmem0 /mnt/data\n");
        free(told.text);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        _cleanup_json_ json_object *before = take(t, "3");
        check_told(before, t, "3", "");
        check_changes(before, "3", changes, ELEMENTSOF(changes));
        test_names(before);
        test_mount_gone(before);
        return 0;
}
