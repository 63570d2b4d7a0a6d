/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which mount a path lies on. The machine is made up: no kernel would show some of it. */
#include "tests/unit/test.h"
#include "topology/topology.h"

enum { HOST = 10, OTHER = 11, CHROOT = 12 };

static Mount mounts[] = {
        /* The root of all is hidden below the one that is seen. */
        { .ns = HOST, .pid = 1, .id = 2, .parent_id = 1, .target = (char *) "/", .dev = 100 },
        { .ns = HOST, .pid = 1, .id = 3, .parent_id = 2, .target = (char *) "/mnt", .dev = 101 },
        { .ns = HOST, .pid = 1, .id = 4, .parent_id = 3, .target = (char *) "/mnt/data", .dev = 102 },
        /* Over /mnt/data, and then over /mnt with both that were there. */
        { .ns = HOST, .pid = 1, .id = 5, .parent_id = 4, .target = (char *) "/mnt/data", .dev = 103 },
        { .ns = HOST, .pid = 1, .id = 6, .parent_id = 2, .target = (char *) "/srv", .dev = 104 },
        { .ns = HOST, .pid = 1, .id = 7, .parent_id = 6, .target = (char *) "/srv/a", .dev = 105 },
        { .ns = HOST, .pid = 1, .id = 8, .parent_id = 6, .target = (char *) "/srv", .dev = 106 },
        { .ns = OTHER, .pid = 7, .id = 2, .parent_id = 1, .target = (char *) "/", .dev = 200 },
        { .ns = OTHER, .pid = 7, .id = 9, .parent_id = 2, .target = (char *) "/mnt", .dev = 201 },
        /* Two that say to stand on each other. */
        { .ns = CHROOT, .pid = 8, .id = 1, .parent_id = 9, .target = (char *) "/", .dev = 300 },
        { .ns = CHROOT, .pid = 8, .id = 2, .parent_id = 1, .target = (char *) "/", .dev = 301 },
        { .ns = CHROOT, .pid = 8, .id = 1, .parent_id = 2, .target = (char *) "/", .dev = 302 },
};

static Topology machine = { .mounts = mounts, .n_mounts = ELEMENTSOF(mounts) };

static dev_t dev_of(uint64_t ns, const char *path) {
        const Mount *m = topology_mount_of_path(&machine, ns, path);

        return m ? m->dev : 0;
}

static void test_mounts(void) {
        CHECK_INT(topology_index(&machine), 0);
        CHECK_INT(topology_host_ns(&machine), HOST);
        CHECK_INT(dev_of(HOST, "/"), 100);
        CHECK_INT(dev_of(HOST, "/etc/fstab"), 100);
        CHECK_INT(dev_of(HOST, "/mnt"), 101);
        CHECK_INT(dev_of(HOST, "/mntx"), 100);
        CHECK_INT(dev_of(HOST, "/mnt/x"), 101);
        CHECK_INT(dev_of(HOST, "/mnt/data"), 103);
        CHECK_INT(dev_of(HOST, "/mnt/data/x"), 103);
        CHECK_INT(dev_of(HOST, "/mnt/database"), 101);
        CHECK_INT(dev_of(HOST, "/srv/a"), 106); /* hidden */
        CHECK_INT(dev_of(OTHER, "/mnt/data"), 201);
        CHECK_INT(dev_of(HOST, "relative"), 0);
        CHECK_INT(dev_of(4711, "/"), 0);
        CHECK(dev_of(CHROOT, "/x") >= 300); /* and ends */
        topology_drop_index(&machine);
}

static void test_devices(void) {
        static BlockDevice devices[] = {
                { .name = (char *) "pmem0", .dev = 1 },
                { .name = (char *) "cciss!c0d0", .dev = 2 },
                { .name = (char *) "dm-0", .kind = BLOCK_DM, .label = (char *) "vg-data", .dev = 3 },
                { .name = (char *) "loop0", .kind = BLOCK_LOOP, .label = (char *) "vg-file", .dev = 4 },
        };
        static const Topology t = { .block_devices = devices, .n_block_devices = ELEMENTSOF(devices) };

        CHECK(topology_block_device_of_path(&t, "/dev/pmem0") == &devices[0]);
        CHECK(topology_block_device_of_path(&t, "/dev/cciss/c0d0") == &devices[1]);
        CHECK(topology_block_device_of_path(&t, "/dev/mapper/vg-data") == &devices[2]);
        CHECK(!topology_block_device_of_path(&t, "/dev/mapper/vg-file"));
        CHECK(!topology_block_device_of_path(&t, "/dev/pmem"));
        CHECK(!topology_block_device_of_path(&t, "/dev/pmem00"));
        CHECK(!topology_block_device_of_path(&t, "/dev/null"));
        CHECK(!topology_block_device_of_path(&t, "/dev/shm/../pmem0"));
        CHECK(!topology_block_device_of_path(&t, "pmem0"));
}

int main(void) {
        test_mounts();
        test_devices();
        return EXIT_SUCCESS;
}
