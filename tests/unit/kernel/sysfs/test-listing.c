/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "kernel/sysfs/listing.h"
#include "tests/unit/test.h"

int main(void) {
        static const char *const made[] = { "mem10", "mem2", ".hidden", "mem1", "region0" };
        static const char *const listed[] = { "mem1", "mem2", "mem10", "region0" };
        char folder[] = "/tmp/test-listing.XXXXXX";
        _cleanup_listing_ Listing l = { 0 }, none = { 0 };

        CHECK(mkdtemp(folder));
        for (size_t i = 0; i < ELEMENTSOF(made); i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, made[i]);
                CHECK_INT(mkdir(path, 0700), 0);
        }

        CHECK_INT(listing_readf(&l, "%s", folder), 0);
        CHECK_INT(l.n, ELEMENTSOF(listed));
        for (size_t i = 0; i < l.n; i++)
                CHECK_STR(l.names[i], listed[i]);
        CHECK_INT(listing_readf(&none, "%s/missing", folder), -ENOENT);
        CHECK_INT(none.n, 0);

        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
