/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "exports", whose NFS server exports its /sys and what else it has. */
#include <errno.h>
#include <sys/stat.h>

#include "holders/nfs-exports.h"
#include "tests/unit/test.h"

static void test_parse(void) {
        static const char text[] = "# Version 1.1\n"
                                   "# Path Client(Flags) # IPs\n"
                                   "/mnt/a\\040b\t192.168.0.0/24,*.x(rw,root_squash,sync,wdelay,uuid=1:2)\n"
                                   "/mnt/c(1)\t*(ro)\n"
                                   "\n"
                                   "# /mnt/old\t*(rw)\n";
        static const char *const bad[] = { "/mnt", "/mnt *", "/mnt (rw)", "/mnt\n*(rw)", "(rw) /mnt" };
        _cleanup_nfs_exports_ NfsExports e = { 0 };

        CHECK_INT(nfs_exports_parse(text, &e), 0);
        CHECK_INT(e.n_items, 3);
        CHECK_STR(e.items[0].path, "/mnt/a b");
        CHECK_STR(e.items[0].client, "192.168.0.0/24,*.x");
        CHECK_STR(e.items[1].path, "/mnt/c(1)");
        CHECK_STR(e.items[1].client, "*");
        CHECK_STR(e.items[2].path, "/mnt/old");
        CHECK_INT(nfs_exports_parse("", &e), 0);
        CHECK_INT(e.n_items, 3);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(nfs_exports_parse(bad[i], &e), -EBADMSG);
}

/* Of what is exported only /sys is there, and its file system is told by its mount. */
static void test_find(void) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_nfs_exports_ NfsExports e = { 0 };
        struct stat st;

        CHECK_INT(stat("/sys", &st), 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_BLOCK, st.st_dev, "/dev/x"), 0);
        CHECK_INT(nfs_exports_find(&targets, &e), 0);
        CHECK_INT(e.n_items, 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_FS, st.st_dev, "/sys"), 0);
        CHECK_INT(nfs_exports_find(&targets, &e), 0);
        CHECK_INT(e.n_items, 1);
        _cleanup_json_ json_object *o = nfs_export_to_json(&e.items[0], &targets);
        CHECK_STR(json_text(o), "{\"kind\":\"nfs-export\",\"path\":\"/sys\",\"client\":\"10.0.0.0/8\",\"target\":\"/sys\"}");
}

int main(void) {
        test_parse();
        test_find();
        return EXIT_SUCCESS;
}
