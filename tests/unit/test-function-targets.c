/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "handed-out". */
#include <errno.h>

#include "holders/function-targets.h"
#include "test.h"

static void check(const char *bdf, const char *want) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        CHECK_INT(hold_targets_add_function(&t, bdf), 0);
        _cleanup_json_ json_object *o = hold_targets_to_json(&t);
        CHECK_STR(json_text(o), want);
}

int main(void) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        check("0000:0d:00.0", "[{\"kind\":\"char\",\"dev\":\"511:0\",\"name\":\"/dev/vfio/17\"},"
                              "{\"kind\":\"char\",\"dev\":\"510:3\",\"name\":\"/dev/vfio/devices/vfio3\"}]");
        check("0000:0E:00.0", "[{\"kind\":\"char\",\"dev\":\"511:1\",\"name\":\"/dev/vfio/noiommu-2\"}]");
        check("0000:0f:00.0", "[{\"kind\":\"char\",\"dev\":\"244:0\",\"name\":\"/dev/uio0\"},"
                              "{\"kind\":\"char\",\"dev\":\"244:1\",\"name\":\"/dev/uio1\"}]");
        check("0000:10:00.0", "[{\"kind\":\"char\",\"dev\":\"511:0\",\"name\":\"/dev/vfio/17\"}]");
        check("0000:11:00.0", "[]");
        CHECK_INT(hold_targets_add_function(&t, "0d:00.0"), -EINVAL);
        CHECK_INT(hold_targets_add_function(&t, "../0000:0d:00.0"), -EINVAL);
        return EXIT_SUCCESS;
}
