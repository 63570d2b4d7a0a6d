/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is to go on without the card needs another path or copy that works at this very moment: the one that was there when the plan was
 * made may have failed since, and then the card has the only one. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/dm-set.h"
#include "kernel/block/dm-state.h"
#include "kernel/pci/nvme-path.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "probe/probe.h"

enum {
        TIMEOUT_SEC = 5,
};

static bool is_cards(json_object *scope, const char *name) {
        return json_find(json_array(scope, "block_devices"), "name", name);
}

/* md_goes_t */
static bool member_goes(const char *member, void *userdata) {
        return is_cards(userdata, member);
}

static int nvme_serves(json_object *scope, const char *head) {
        _cleanup_listing_ Listing all = { 0 };

        int r = listing_readf(&all, "/sys/class/block");
        for (size_t i = 0; i < all.n && r >= 0; i++) {
                _cleanup_free_ char *of = nvme_path_head(all.names[i]), *trouble = NULL;

                if (!streq_ptr(of, head) || is_cards(scope, all.names[i]))
                        continue;
                r = nvme_path_trouble(all.names[i], &trouble);
                if (r >= 0 && !trouble)
                        return 1;
        }
        return r < 0 ? r : 0;
}

static int target_serves(json_object *scope, const char *map, const DmTarget *target) {
        _cleanup_(md_array_freep) MdArray *a = NULL;

        if (streq(target->type, "multipath"))
                return dm_multipath_serves(map, target->status, member_goes, scope);
        if (!streq(target->type, "raid"))
                return 1;
        int r = dm_raid_parse(target->params, target->status, dm_member_name, NULL, &a);
        return r < 0 ? r : md_serves_without(a, member_goes, scope);
}

static int mapping_serves(json_object *scope, const char *map) {
        _cleanup_dm_targets_ DmTargets all = { 0 };
        dev_t dev;

        int r = blockdev_number(map, &dev);
        if (r >= 0)
                r = dm_targets_read(&dev, 1, TIMEOUT_SEC * USEC_PER_SEC, &all);
        if (r < 0)
                return r;
        for (size_t i = 0; i < all.n && r >= 0; i++) {
                r = target_serves(scope, map, &all.items[i]);
                if (r == 0)
                        return 0;
        }
        return r < 0 ? r : all.n > 0;
}

static int array_serves(json_object *scope, const char *md) {
        _cleanup_(md_array_freep) MdArray *a = NULL;

        int r = md_read(md, &a);
        return r < 0 ? r : md_serves_without(a, member_goes, scope);
}

/* Nobody uses what has ended meanwhile, and another device may have its name. */
static bool has_ended(json_object *part) {
        _cleanup_free_ char *dev = NULL;

        int r = attr_readf(&dev, "/sys/class/block/%s/dev", json_str(part, "name"));
        return r == -ENOENT || r == -ENODEV || (r >= 0 && !streq_ptr(dev, json_str(part, "dev")));
}

static int serves(json_object *scope, json_object *part) {
        const char *name = json_str(part, "name");

        if (!name)
                return -EBADMSG;
        if (has_ended(part))
                return 1;
        return startswith(name, "md") ? array_serves(scope, name) : startswith(name, "dm-") ? mapping_serves(scope, name) : nvme_serves(scope, name);
}

static int ask(json_object *scope, char **ret_answer) {
        json_object *parts = json_array(scope, "goes_on");
        int r = 1;

        for (size_t i = 0; i < json_len(parts) && r > 0; i++) {
                r = serves(scope, json_at(parts, i));
                if (r == 0)
                        *ret_answer = strf("%s has no other working path or copy: the last one is on the card", json_str(json_at(parts, i), "name"));
        }
        return r;
}

const Probe probe_goes_on = {
        .name = "goes-on",
        .question = "does everything that goes on without the card have another working path or copy",
        .before_power_off = true,
        .ask = ask,
};
