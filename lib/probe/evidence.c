/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "probe/evidence.h"

enum {
        CLAIM_SEC = 5,
};

static bool is_made_of_others(const char *name) {
        return startswith(name, "dm-") || startswith(name, "md") || startswith(name, "loop");
}

bool evidence_block_is_free(json_object *block) {
        const char *name = json_str(block, "name");
        _cleanup_free_ char *now = NULL;
        dev_t dev;

        if (!name || dev_parse(json_str(block, "dev") ?: "", &dev) < 0)
                return false;
        int r = blockdev_name(dev, &now);
        if (r == -ENODEV || (r >= 0 && !streq(now, name)))
                return is_made_of_others(name) || claim_lasted(dev);
        return r >= 0 && (claim_is_held(dev) || blockdev_claimed(dev, CLAIM_SEC * USEC_PER_SEC) == 0);
}

bool evidence_storage_is_free(json_object *scope) {
        json_object *blocks = json_array(scope, "block_devices");

        for (size_t i = 0; i < json_len(blocks); i++)
                if (!evidence_block_is_free(json_at(blocks, i)))
                        return false;
        return json_len(blocks) > 0;
}

bool evidence_char_is_free(json_object *device) {
        _cleanup_free_ char *now = NULL;
        dev_t dev;

        if (dev_parse(json_str(device, "dev") ?: "", &dev) < 0)
                return false;
        int r = link_namef(&now, "/sys/dev/char/%s", json_str(device, "dev"));
        return r == -ENOENT || (r >= 0 && (!streq_ptr(now, json_str(device, "name")) || driver_is_unused(dev)));
}
