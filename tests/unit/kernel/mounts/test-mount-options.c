/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/mount.h>

#include "kernel/mounts/mount-options.h"
#include "tests/unit/test.h"

static void attributes(const char *options, uint64_t want, const char *want_unknown) {
        _cleanup_free_ char *unknown = NULL;
        uint64_t got = 0;

        CHECK_INT(mount_attributes(options, &got, &unknown), 0);
        CHECK_INT(got, want);
        CHECK_STR(unknown, want_unknown);
}

static void test_attributes(void) {
        attributes("rw,relatime", 0, NULL);
        attributes("rw", MOUNT_ATTR_STRICTATIME, NULL);
        attributes("ro,nosuid,nodev,noexec,noatime,nodiratime",
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME,
                   NULL);
        attributes("rw,idmapped,relatime", 0, "idmapped");
}

static void test_propagation(void) {
        CHECK_INT(mount_propagation(""), MS_PRIVATE);
        CHECK_INT(mount_propagation("shared:3"), MS_SHARED);
        CHECK_INT(mount_propagation("shared:3 master:1"), MS_SHARED);
        CHECK_INT(mount_propagation("master:1 propagate_from:2"), MS_SLAVE);
        CHECK_INT(mount_propagation("unbindable"), MS_UNBINDABLE);
}

static void test_groups(void) {
        CHECK_INT(mount_group("shared:3 master:17", "shared:"), 3);
        CHECK_INT(mount_group("shared:3 master:17", "master:"), 17);
        CHECK_INT(mount_group("master:17", "shared:"), 0);
        CHECK_INT(mount_group("", "shared:"), 0);
        CHECK(mount_follows("shared:3 master:17", "shared:17"));
        CHECK(!mount_follows("master:17", "shared:1") && !mount_follows("shared:17", "shared:17") && !mount_follows("master:17", "master:17"));
        CHECK(!mount_follows("", "") && !mount_follows(NULL, "shared:17") && !mount_follows("master:17", NULL));
}

static void test_has_option(void) {
        CHECK(mount_has_option("rw,errors=remount-ro,ro", "ro"));
        CHECK(mount_has_option("ro", "ro") && mount_has_option("rw,dax=always,x", "dax=always"));
        CHECK(!mount_has_option("rw,errors=remount-ro", "ro") && !mount_has_option("rom", "ro"));
        CHECK(!mount_has_option("", "ro") && !mount_has_option(NULL, "ro"));
}

static void super_option(const char *text, const char *want_key, const char *want_value, bool want_skip) {
        _cleanup_free_ char *word = strdup(text);
        const char *key, *value;
        bool skip;

        super_option_split(word, &key, &value, &skip);
        CHECK_STR(key, want_key);
        CHECK_STR(value, want_value);
        CHECK_INT(skip, want_skip);
}

static void test_super(void) {
        super_option("dax=always", "dax", "always", false);
        super_option("noquota", "noquota", NULL, false);
        super_option("ro", "ro", NULL, false);
        super_option("lowerdir=/a=b:/c", "lowerdir", "/a=b:/c", false);
        super_option("rw", "rw", NULL, true);
        super_option("seclabel", "seclabel", NULL, true);
        super_option("attr2", "attr2", NULL, true);
        super_option("subvol=/x", "subvol", "/x", true);
        super_option("", "", NULL, true);
}

int main(void) {
        test_attributes();
        test_propagation();
        test_groups();
        test_has_option();
        test_super();
        return EXIT_SUCCESS;
}
