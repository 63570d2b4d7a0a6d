/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/nd.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"

#define ND "/sys/bus/nd/devices"

static int take(const char *name, char **ret) {
        *ret = strdup(name);
        return *ret ? 0 : -ENOMEM;
}

int nd_region_find(json_object *region, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, ND);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        for (size_t i = 0; i < l.n; i++) {
                uint64_t start;

                if (startswith(l.names[i], "region") && attr_read_u64f(&start, ND "/%s/resource", l.names[i]) >= 0 &&
                    start == json_u64(region, "start"))
                        return take(l.names[i], ret);
        }
        return -ENODEV;
}

int nd_namespace_device(const char *name, char **ret) {
        _cleanup_free_ char *holder = NULL;

        int r = attr_readf(&holder, ND "/%s/holder", name);
        if (r == -ENOENT && !path_existsf(ND "/%s", name))
                return -ENODEV;
        if (r < 0 && r != -ENOENT)
                return r;
        return take(holder && *holder ? holder : name, ret);
}

/* Among the attributes of a region there is a "namespace_seed". */
static bool is_namespace(const char *name) {
        return startswith(name, "namespace") && strchr(name, '.');
}

static bool has_uuid(const char *name, const char *uuid) {
        _cleanup_free_ char *found = NULL;

        return attr_readf(&found, ND "/%s/uuid", name) >= 0 && streq(found, uuid);
}

/* "namespace1.2" and "namespace0.2" are the same one of a region that came back under another number. */
static bool same_number(const char *name, const char *planned) {
        const char *a = strchr(name, '.'), *b = planned ? strchr(planned, '.') : NULL;

        return a && b && streq(a, b);
}

int nd_namespace_find(json_object *args, char **ret) {
        const char *uuid = json_str(args, "uuid"), *planned = json_str(args, "namespace");
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *region = NULL;

        int r = nd_region_find(json_get(args, "nd_region"), &region);
        if (r >= 0)
                r = listing_readf(&l, ND "/%s", region);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        for (size_t i = 0; i < l.n; i++)
                if (is_namespace(l.names[i]) &&
                    (uuid && *uuid ? has_uuid(l.names[i], uuid) : same_number(l.names[i], planned)))
                        return take(l.names[i], ret);
        return -ENODEV;
}

int nd_block_of(const char *device, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        *ret = NULL;
        int r = listing_readf(&l, ND "/%s/block", device);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return l.n > 0 ? take(l.names[0], ret) : 0;
}

int nd_dax_of(const char *device, char **ret) {
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *part = strf("/%s/", device);

        *ret = NULL;
        if (!part)
                return -ENOMEM;
        int r = listing_readf(&l, "/sys/bus/dax/devices");
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < l.n; i++) {
                _cleanup_free_ char *line = NULL;
                const char *above;

                if (link_readf(&line, "/sys/bus/dax/devices/%s", l.names[i]) < 0)
                        continue;
                /* A line of ancestors; the nd bus has a dax0.0 of its own above the dax bus's. */
                above = strstr(line, "/ndbus");
                if (above && strstr(above, part))
                        return take(l.names[i], ret);
        }
        return 0;
}

int nd_region_enabled(const char *region, char **ret) {
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *all = NULL;

        int r = listing_readf(&l, ND "/%s", region);
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *device = NULL, *driver = NULL;

                if (!is_namespace(l.names[i]))
                        continue;
                r = nd_namespace_device(l.names[i], &device);
                if (r >= 0)
                        r = driver_of("nd", device, &driver);
                if (r < 0 || !driver)
                        continue;
                r = text_add(&all, ", ", "%s", l.names[i]);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(all);
        return 0;
}

static int settle_apart(void *data, char **ret_text) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, ND);
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *probed = NULL;

                if (startswith(l.names[i], "ndbus"))
                        (void) attr_readf(&probed, ND "/%s/wait_probe", l.names[i]);
        }
        return r == -ENOENT ? 0 : r;
}

int nd_settle(uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };

        return run_apart(settle_apart, NULL, &options, NULL);
}
