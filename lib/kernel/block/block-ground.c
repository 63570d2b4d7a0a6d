/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/block/block-ground.h"
#include "kernel/block/blockdev.h"
#include "kernel/pci/device-places.h"
#include "kernel/pci/nvme-path.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

#define CLASS "/sys/class/block"
#define ND "/sys/bus/nd/devices"

enum {
        STACK_DEPTH_MAX = 16,
        MAPPINGS_MAX = 32, /* include/linux/ndctl.h:ND_MAX_MAPPINGS */
};

static bool is_below(const char *place, json_object *function) {
        const char *bdf = json_str(function, "bdf");
        _cleanup_free_ char *part = bdf ? strf("/%s/", bdf) : NULL;

        return part && strstr(place, part);
}

static bool is_below_card(const char *place, json_object *card) {
        json_object *endpoints = json_array(card, "endpoints");
        bool found = is_below(place, card);

        for (size_t i = 0; i < json_len(endpoints) && !found; i++)
                found = is_below(place, json_at(endpoints, i));
        return found;
}

/* ".../ndbus0/region1/namespace1.0/block/pmem1": it is in the memory of all of the region's modules. */
static bool is_in_cards_region(const char *place, json_object *card) {
        const char *bus = strstr(place, "/ndbus"), *region = bus ? strchr(bus + 1, '/') : NULL;
        _cleanup_free_ char *name = region ? strndup(region + 1, strcspn(region + 1, "/")) : NULL;
        uint64_t n = 0;

        if (!name || attr_read_u64f(&n, ND "/%s/mappings", name) < 0)
                return false;
        for (uint64_t i = 0; i < n && i < MAPPINGS_MAX; i++) {
                _cleanup_free_ char *nmem = NULL, *provider = NULL, *memdev = NULL;
                if (attr_readf(&nmem, ND "/%s/mapping%ju", name, (uintmax_t) i) < 0)
                        continue;
                nmem[strcspn(nmem, ",")] = '\0';
                if (streq_ptr(nmem, json_str(card, "nmem")))
                        return true;
                /* The firmware's modules are known by their names; one of a CXL card says whose it is, as the child of a memory device
                 * (drivers/cxl/pmem.c:provider_show). */
                if (attr_readf(&provider, ND "/%s/cxl/provider", nmem) >= 0 && link_readf(&memdev, "/sys/bus/cxl/devices/%s", provider) >= 0 &&
                    is_below_card(memdev, card))
                        return true;
        }
        return false;
}

/* The disk of an NVMe namespace that several controllers may lead to is below none of them; each path to it is below its own. */
static int look_at_paths(const char *head, json_object *card, BlockGround *g) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, CLASS);
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *of = nvme_path_head(l.names[i]), *place = NULL;
                if (streq_ptr(of, head) && link_readf(&place, CLASS "/%s", l.names[i]) >= 0)
                        g->card = g->card || is_below_card(place, card);
        }
        return r;
}

static int look(const char *name, json_object *card, unsigned depth, BlockGround *g) {
        _cleanup_free_ char *place = NULL;
        _cleanup_listing_ Listing lower = { 0 };
        const char *number = startswith(name, "loop");

        if (number) {
                /* "loop0" of "loop0p1" too. */
                _cleanup_free_ char *disk = g->names ? strndup(name, (size_t) (number - name) + strspn(number, "0123456789")) : NULL;

                g->loop = true;
                if (disk)
                        json_append_str(g->names, disk);
                return 0;
        }
        int r = depth > 0 ? link_readf(&place, CLASS "/%s", name) : -ELOOP;
        if (r < 0)
                return r;
        if (is_below_card(place, card) || is_in_cards_region(place, card)) {
                g->card = true;
                return 0;
        }
        if (path_existsf(CLASS "/%s/partition", name)) {
                _cleanup_free_ char *disk = path_part(place, 1);
                return disk ? look(disk, card, depth - 1, g) : -ENOMEM;
        }
        if (strstr(place, "/nvme-subsystem/"))
                return look_at_paths(name, card, g);
        r = listing_readf(&lower, CLASS "/%s/slaves", name);
        for (size_t i = 0; i < lower.n && r >= 0; i++)
                r = look(lower.names[i], card, depth - 1, g);
        return r == -ENOENT ? 0 : r;
}

int block_ground(dev_t dev, json_object *card, BlockGround *ret) {
        _cleanup_free_ char *name = NULL;

        *ret = (BlockGround) { 0 };
        int r = blockdev_name(dev, &name);
        return r < 0 ? r : look(name, card, STACK_DEPTH_MAX, ret);
}

int block_ground_loops(dev_t dev, json_object **ret) {
        _cleanup_json_ json_object *names = json_object_new_array();
        BlockGround g = { .names = names };
        _cleanup_free_ char *name = NULL;

        int r = blockdev_name(dev, &name);
        if (r >= 0)
                r = look(name, NULL, STACK_DEPTH_MAX, &g);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}
