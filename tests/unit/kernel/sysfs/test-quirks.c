/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/sysfs/quirks.h"
#include "tests/unit/test.h"

static void works(ForcedUnmap way, const char *release, bool want) {
        _cleanup_free_ char *why = NULL;

        CHECK_INT(forced_unmap_check(way, release, &why), want ? 0 : -EOPNOTSUPP);
        CHECK_INT(!why, want);
}

/* Who does not survive it is named, and nobody else: where the end of the processes is safe it is not said that the kernel crashes at that. */
static void crashes_at(const char *release, bool end) {
        _cleanup_free_ char *why = NULL, *ends = NULL;

        CHECK_INT(forced_unmap_check(FORCED_FSDAX, release, &why), -EOPNOTSUPP);
        CHECK(strstr(why, "unmounted"));
        CHECK_INT(strstr(why, "when they end") != NULL, end);
        CHECK_INT(forced_unmap_check(FORCED_FSDAX_END, release, &ends) < 0, end);
}

int main(void) {
        works(FORCED_DEVICE_DAX, "6.1.0-18-amd64", true);
        works(FORCED_DEVICE_DAX, "6.12.95+deb12-amd64", true);
        works(FORCED_DEVICE_DAX, "6.13.0", false);
        works(FORCED_DEVICE_DAX, "5.19.17", false);
        works(FORCED_XFS, "6.1.192", false);
        works(FORCED_XFS, "6.12.107", true);
        works(FORCED_XFS, "7.2.13-amd64", false);
        works(FORCED_XFS, "7.3", false);
        works(FORCED_FSDAX, "6.12.107", false);
        crashes_at("6.1.192", false);
        crashes_at("6.12.107", false);
        crashes_at("6.13.0", true);
        crashes_at("7.2.13-amd64", true);
        works(FORCED_FSDAX_END, "6.12.107", true);
        works(FORCED_FSDAX_END, "6.13.0", false);
        works(FORCED_FSDAX_END, "7.2.13-amd64", false);
        works(FORCED_FSDAX_END, "7.3", false);
        works(FORCED_DEVICE_DAX, "rubbish", false);
        works(FORCED_DEVICE_DAX, "6", false);
        works(FORCED_DEVICE_DAX, "", false);
        return EXIT_SUCCESS;
}
