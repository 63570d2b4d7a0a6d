/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/block/blockdev.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

static int unclaimed(const char *name, char **ret_answer) {
        _cleanup_free_ char *holders = blockdev_holders(name);

        if (!holders)
                return 1;
        *ret_answer = strf("%s stands on %s, which has no path that serves any more", holders, name);
        return 0;
}

/* Name and number together: either may be another device's by now. A disk that goes with the power may still be there before
 * it, but nothing may stand on it then. */
static int block_gone(json_object *block, char **ret_answer) {
        const char *name = json_str(block, "name");
        _cleanup_free_ char *dev = NULL;

        int r = attr_readf(&dev, "/sys/class/block/%s/dev", name);
        if (r == -ENOENT || r == -ENODEV)
                return 1;
        if (r < 0)
                return r;
        if (!streq_ptr(dev, json_str(block, "dev")))
                return 1;
        /* The disk of a namespace that has a path elsewhere, one that serves nobody: it is there and nobody may have it. */
        if (json_flag(block, "stays"))
                return unclaimed(name, ret_answer);
        /* Loop devices stay when they are detached, with nothing behind them. */
        if (startswith(name, "loop") && !path_existsf("/sys/class/block/%s/loop/backing_file", name))
                return 1;
        *ret_answer = strf("%s (%s) is there", name, dev);
        return 0;
}

static int ask_about(json_object *scope, bool with_power, char **ret_answer) {
        json_object *blocks = json_array(scope, "block_devices");

        for (size_t i = 0; i < json_len(blocks); i++) {
                int r = with_power && json_flag(json_at(blocks, i), "goes_with_power") ? 1 : block_gone(json_at(blocks, i), ret_answer);
                if (r <= 0)
                        return r;
        }
        return 1;
}

static int ask(json_object *scope, char **ret_answer) {
        /* As long as the card's functions are there the power is on. */
        _cleanup_free_ char *why = NULL;
        bool with_power = json_len(json_array(scope, "functions")) > 0 && probe_functions.ask(scope, &why) == 0;

        return ask_about(scope, with_power, ret_answer);
}

const Probe probe_block_devices = {
        .name = "block-devices",
        .question = "are the card's block devices gone, and all that stood on them",
        .before_power_off = true,
        .ask = ask,
};
