/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/mounts/mountinfo.h"
#include "tests/unit/test.h"

static void test_lines(void) {
        static const char text[] =
                "25 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw\n"
                "81 25 259:3 /a\\040dir /mnt/two\\011tabs\\134 rw,relatime shared:38 master:7 propagate_from:2 - xfs /dev/pmem0 rw,dax=always,noquota\n"
                "82 81 0:52 / /mnt ro - tmpfs  rw,size=1k\n";
        _cleanup_mount_entries_ MountEntries l = { 0 };

        CHECK_INT(mountinfo_parse(text, &l), 0);
        CHECK_INT(l.n_items, 3);
        CHECK_INT(l.items[1].id, 81);
        CHECK_INT(l.items[1].parent_id, 25);
        CHECK(l.items[1].dev == makedev(259, 3));
        CHECK_STR(l.items[1].root, "/a dir");
        CHECK_STR(l.items[1].target, "/mnt/two\ttabs\\");
        CHECK_STR(l.items[1].options, "rw,relatime");
        CHECK_STR(l.items[1].propagation, "shared:38 master:7 propagate_from:2");
        CHECK_STR(l.items[1].type, "xfs");
        CHECK_STR(l.items[1].source, "/dev/pmem0");
        CHECK_STR(l.items[1].super_options, "rw,dax=always,noquota");
        CHECK_STR(l.items[2].propagation, "");
        CHECK_STR(l.items[2].source, "");
}

static void test_bad(void) {
        static const char *const bad[] = { "25", "x 1 254:0 / / rw - ext4 a rw", "1 2 3 / / rw - ext4 a rw",
                                           "1 2 3:4 / / rw shared:1", "1 2 3:4 / / rw - ext4 a" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_mount_entries_ MountEntries l = { 0 };
                CHECK_INT(mountinfo_parse(bad[i], &l), -EBADMSG);
                CHECK_INT(l.n_items, 0);
        }
}

static void test_dev(void) {
        dev_t dev = 0;

        CHECK_INT(dev_parse("259:17", &dev), 0);
        CHECK(dev == makedev(259, 17));
        CHECK_INT(dev_parse("259", &dev), -EINVAL);
        CHECK_INT(dev_parse("259:", &dev), -EINVAL);
        CHECK_INT(dev_parse(":1", &dev), -EINVAL);
        CHECK_INT(dev_parse("1:4294967296", &dev), -EINVAL);
        CHECK_INT(dev_parse(NULL, &dev), -EINVAL);
}

int main(void) {
        test_lines();
        test_bad();
        test_dev();
        return EXIT_SUCCESS;
}
