/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What uses the card without being on any list of the plan's: the whole kernel is asked afresh who refers to a device that is the card's,
 * or to one that is gone. A reference to a device that was there when the plan was made and is not any more is one to the card. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/block-refs.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "probe/evidence.h"

enum {
        TIMEOUT_SEC = 10,
};

static bool is_scopes_block(json_object *scope, const char *device) {
        json_object *blocks = json_array(scope, "block_devices");

        return json_find(blocks, "name", device) || json_find(blocks, "dev", device);
}

/* Names are given out again: of one that lives, the block-devices probe knows whether it is the card's. */
static bool is_to_card(json_object *scope, const BlockRef *ref) {
        if (ref->place)
                return scope_is_below_port(scope, ref->place);
        return is_scopes_block(scope, ref->device) || !scope_names(scope, "gone_before", ref->device);
}

static int look_at(json_object *scope, const BlockRefs *refs, char **ret_answer) {
        for (size_t i = 0; i < refs->n_items; i++) {
                const BlockRef *ref = &refs->items[i];

                if (!is_to_card(scope, ref))
                        continue;
                *ret_answer = strf("%s is %s, and in use: %s", ref->device, ref->place ? "the card's" : "gone", ref->who);
                return 0;
        }
        return 1;
}

/* How many members it has, where all of them are there and none can be the card's; else 0. */
static size_t members_elsewhere(json_object *scope, const BlockRefs *refs, const char *volume) {
        size_t n = 0;

        for (size_t i = 0; i < refs->n_items; i++) {
                const BlockRef *ref = &refs->items[i];

                if (!streq_ptr(ref->volume, volume))
                        continue;
                if (!ref->place || is_scopes_block(scope, ref->device) || is_to_card(scope, ref))
                        return 0;
                n++;
        }
        return n;
}

/* A folder for each member, whether it is there or not (fs/btrfs/sysfs.c:btrfs_sysfs_add_device). */
static bool misses_none(const char *volume, size_t n_members) {
        _cleanup_listing_ Listing l = { 0 };

        if (listing_readf(&l, "%s/devinfo", volume) < 0 || l.n != n_members)
                return false;
        for (size_t i = 0; i < l.n; i++) {
                uint64_t missing = 1;

                if (attr_read_u64f(&missing, "%s/devinfo/%s/missing", volume, l.names[i]) < 0 || missing != 0)
                        return false;
        }
        return true;
}

/* A volume lists the members that it has: one that it has lost is not among them, and it goes on without. One that has all of its members, and
 * has them elsewhere, is another one: anybody can have an image with the same UUID mounted, as a user at the console has. */
static int look_at_volumes(json_object *scope, const BlockRefs *refs, char **ret_answer) {
        json_object *volumes = json_array(scope, "volumes");

        for (size_t i = 0; i < json_len(volumes); i++) {
                const char *volume = json_object_get_string(json_at(volumes, i));
                if (!volume || !path_existsf("%s", volume))
                        continue;
                size_t n = members_elsewhere(scope, refs, volume);
                if (n > 0 && misses_none(volume, n))
                        continue;
                *ret_answer = strf("%s is in use, and had a device of the card's", volume);
                return 0;
        }
        return 1;
}

/* No number of mount namespaces keeps the light from the card that never had a disk: of none that is gone could it be the owner. */
static bool may_have_had_disks(json_object *scope) {
        size_t n_functions = json_len(json_array(scope, "functions"));

        return json_len(json_array(scope, "block_devices")) > 0 || json_flag(scope, "with_disks") ||
               (n_functions > json_len(json_array(scope, "memdevs")) && !json_flag(scope, "without_disks"));
}

static int ask(json_object *scope, char **ret_answer) {
        bool stores = may_have_had_disks(scope);
        _cleanup_block_refs_ BlockRefs refs = { 0 };

        int r = block_refs_load(&refs);
        if (r >= 0 && stores)
                r = block_refs_load_mounts(&refs, true, TIMEOUT_SEC * USEC_PER_SEC);
        bool cut = stores && (r == -E2BIG || r == -ETIME || r == -EINPROGRESS);
        if (cut && evidence_storage_is_free(scope))
                r = 0;
        else if (cut) {
                *ret_answer = strdup("there are more mount namespaces than could be looked through");
                return 0;
        }
        if (r >= 0)
                r = look_at(scope, &refs, ret_answer);
        return r <= 0 ? r : look_at_volumes(scope, &refs, ret_answer);
}

const Probe probe_references = {
        .name = "references",
        .question = "does nothing in the kernel refer to a block device of the card's, or to one that is gone",
        .before_power_off = true,
        .ask = ask,
};
