/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "handed-out". */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "holders/holder.h"
#include "tests/unit/test.h"

static void check(const char *bdf, const char *want) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        CHECK_INT(hold_targets_add_function(&t, bdf), 0);
        _cleanup_json_ json_object *o = hold_targets_to_json(&t);
        CHECK_STR(json_text(o), want);
}

/* The last target is this file of the function, told by the numbers it has, which the JSON form keeps; before it comes `others`. */
static void check_file(const char *bdf, const char *others, const char *file) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 }, again = { 0 };
        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/%s", bdf, file);
        struct stat st;

        CHECK_INT(hold_targets_add_function(&t, bdf), 0);
        _cleanup_json_ json_object *o = hold_targets_to_json(&t);
        CHECK_INT(hold_targets_from_json(o, &again), 0);
        CHECK(again.n_items > 0);
        HoldTarget *last = &again.items[--again.n_items];
        CHECK_INT(stat(path, &st), 0);
        CHECK_STR(last->name, path);
        CHECK(last->kind == TARGET_FILE && last->dev == st.st_dev && last->inode == st.st_ino);
        free(last->name);
        _cleanup_json_ json_object *rest = hold_targets_to_json(&again);
        CHECK_STR(json_text(rest), others);
}

static void check_rubbish(const char *text) {
        _cleanup_json_ json_object *o = NULL;
        HoldTargets t;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        CHECK_INT(hold_targets_from_json(o, &t), -EINVAL);
}

static void put(const char *folder, const char *dev) {
        _cleanup_free_ char *make = strf("mkdir -p '%s' && echo %s > '%s/dev'", folder, dev, folder);

        CHECK_INT(system(make), 0);
}

/* A controller's own device, and the disk's that takes commands. */
static void test_nvme(void) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        put("/sys/bus/pci/devices/0000:11:00.0/nvme/nvme3", "241:3");
        check("0000:11:00.0", "[{\"kind\":\"char\",\"dev\":\"241:3\",\"name\":\"/dev/nvme3\"}]");
        put("/sys/class/nvme-generic/ng3n1", "240:0");
        CHECK_INT(hold_targets_add_generic(&t, "pmem0"), 0);
        CHECK_INT(hold_targets_add_generic(&t, "nvme3n1p1"), 0);
        CHECK_INT(t.n_items, 0);
        CHECK_INT(hold_targets_add_generic(&t, "nvme3n1"), 0);
        CHECK_INT(t.n_items, 1);
        CHECK_STR(t.items[0].name, "/dev/ng3n1");
}

int main(void) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        check("0000:0d:00.0", "[{\"kind\":\"char\",\"dev\":\"511:0\",\"name\":\"/dev/vfio/17\"},"
                              "{\"kind\":\"char\",\"dev\":\"510:3\",\"name\":\"/dev/vfio/devices/vfio3\"}]");
        check("0000:0E:00.0", "[{\"kind\":\"char\",\"dev\":\"511:1\",\"name\":\"/dev/vfio/noiommu-2\"}]");
        check_file("0000:0f:00.0", "[{\"kind\":\"char\",\"dev\":\"244:0\",\"name\":\"/dev/uio0\"},"
                                   "{\"kind\":\"char\",\"dev\":\"244:1\",\"name\":\"/dev/uio1\"}]", "resource0");
        check_file("0000:10:00.0", "[{\"kind\":\"char\",\"dev\":\"511:0\",\"name\":\"/dev/vfio/17\"}]", "p2pmem/allocate");
        check_file("0000:12:00.0", "[]", "resource4_wc");
        check("0000:11:00.0", "[]");
        test_nvme();
        check_rubbish("[{\"kind\":\"file\",\"dev\":\"0:22\",\"name\":\"x\"}]");
        check_rubbish("[{\"kind\":\"char\",\"dev\":\"1:3\",\"inode\":5,\"name\":\"x\"}]");
        CHECK_INT(hold_targets_add_function(&t, "0d:00.0"), -EINVAL);
        CHECK_INT(hold_targets_add_function(&t, "../0000:0d:00.0"), -EINVAL);
        return EXIT_SUCCESS;
}
