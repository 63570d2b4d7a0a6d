/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/cxl/dax.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "step/undo/dax-shape.h"

/* drivers/cxl/core/region.c:cxl_dax_region_alloc names it after the region. */
#define REGION "/sys/bus/cxl/devices/dax_%s"

enum {
        /* The module of the region's dax driver may have to be loaded; how long its first device is waited for, and how often we look: somebody
         * else's event, and none that tells when it is complete. */
        DEVICES_TIMEOUT_SEC = 10,
        DEVICES_RETRY_MSEC = 50,
};

/* What the region has now. */
typedef struct Look {
        Listing names;          /* of its dax devices, and what else is in its folder */
        DaxList list;           /* of all regions */
} Look;

static void look_done(Look *l) {
        listing_done(&l->names);
        dax_list_done(&l->list);
}

/* The number within its region of "dax0.3". */
static bool number_of(const char *name, uint64_t *ret) {
        const char *dot = startswith(name, "dax") ? strchr(name, '.') : NULL;

        return dot && parse_u64(dot + 1, ret) >= 0;
}

static int look(const char *region, Look *ret) {
        _cleanup_(look_done) Look l = { 0 };

        int r = listing_readf(&l.names, REGION, region);
        if (r >= 0)
                r = dax_list_read(&l.list);
        if (r < 0)
                return r;
        *ret = l;
        l = (Look) { 0 };
        return 0;
}

/* NULL: there is none with this number. */
static const char *device_name(const Look *l, uint64_t id) {
        for (size_t i = 0; i < l->names.n; i++) {
                uint64_t number;
                if (number_of(l->names.names[i], &number) && number == id)
                        return l->names.names[i];
        }
        return NULL;
}

static json_object *wanted(json_object *daxes, uint64_t id) {
        for (size_t i = 0; i < json_len(daxes); i++)
                if (json_u64(json_at(daxes, i), "id") == id)
                        return json_at(daxes, i);
        return NULL;
}

static bool align_fits(json_object *want, const char *name) {
        uint64_t align;

        return !json_has(want, "align") || (attr_read_u64f(&align, DAX_DEVICES "/%s/align", name) >= 0 && align == json_u64(want, "align"));
}

static bool ranges_fit(json_object *want, const DaxSeen *d) {
        json_object *ranges = json_array(want, "ranges");

        if (d->unread || d->n_ranges != json_len(ranges))
                return false;
        for (size_t i = 0; i < d->n_ranges; i++)
                if (d->ranges[i].start != json_u64(json_at(ranges, i), "start") || d->ranges[i].size != json_u64(json_at(ranges, i), "size"))
                        return false;
        return true;
}

static bool fits(json_object *want, const DaxSeen *d) {
        return want && ranges_fit(want, d) && align_fits(want, d->name);
}

int dax_shape_fits(json_object *daxes, const char *region) {
        _cleanup_(look_done) Look l = { 0 };
        size_t n = 0;

        int r = look(region, &l);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < l.names.n; i++) {
                uint64_t id;
                if (!number_of(l.names.names[i], &id))
                        continue;
                const DaxSeen *d = dax_list_find(&l.list, l.names.names[i]);
                if (!d || d->unread)
                        return -ENODATA;
                if (d->size == 0)
                        continue;
                if (!fits(wanted(daxes, id), d))
                        return 0;
                n++;
        }
        return n == json_len(daxes);
}

int dax_offline_check(StepRun *run, json_object *ranges, uint64_t start, uint64_t size, const char *of) {
        int r = ranges ? 0 : step_offline_check(run, start, size, of);

        for (size_t i = 0; i < json_len(ranges) && r >= 0; i++)
                r = step_offline_check(run, json_u64(json_at(ranges, i), "start"), json_u64(json_at(ranges, i), "size"), of);
        return r;
}

/* Its memory is offline, the policy for new blocks being off. */
static int leave_kmem(const DaxSeen *d, StepRun *run) {
        _cleanup_free_ char *driver = NULL;

        int r = driver_of("dax", d->name, &driver);
        if (r < 0)
                return step_fail(run, r, "the driver of %s cannot be read: %s", d->name, strerror(-r));
        if (!driver)
                return 0;
        if (!streq(driver, "kmem"))
                return step_fail(run, -EBUSY, "%s is driven by %s, and does not have the memory that it had: somebody else has set it "
                                 "up", d->name, driver);
        for (size_t i = 0; i < d->n_ranges && r >= 0; i++)
                r = step_offline_check(run, d->ranges[i].start, d->ranges[i].size, d->name);
        return r < 0 ? r : step_unbind(run, "dax", d->name, "kmem");
}

static int write_attribute(const char *name, const char *attribute, StepRun *run, const char *format, ...) _printf_(4, 5);

static int write_attribute(const char *name, const char *attribute, StepRun *run, const char *format, ...) {
        _cleanup_free_ char *path = strf(DAX_DEVICES "/%s/%s", name, attribute), *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        return path && text ? step_write(run, path, text) : -ENOMEM;
}

/* What is another one gives its memory back to the region. */
static int free_others(json_object *daxes, const Look *l, StepRun *run) {
        int r = 0;

        for (size_t i = 0; i < l->names.n && r >= 0; i++) {
                uint64_t id;
                if (!number_of(l->names.names[i], &id))
                        continue;
                const DaxSeen *d = dax_list_find(&l->list, l->names.names[i]);
                if (!d || d->unread)
                        return step_fail(run, -ENODATA, "the memory of %s cannot be read", l->names.names[i]);
                if (d->size == 0 || fits(wanted(daxes, id), d))
                        continue;
                r = leave_kmem(d, run);
                if (r >= 0)
                        r = write_attribute(d->name, "size", run, "0");
        }
        return r;
}

static int look_again(const char *region, StepRun *run, Look *l) {
        look_done(l);
        *l = (Look) { 0 };
        int r = look(region, l);
        return r < 0 ? step_fail(run, r, "the dax devices of %s cannot be read: %s", region, strerror(-r)) : 0;
}

/* The kernel gives the lowest number that is free. */
static int create_until(const char *region, uint64_t id, StepRun *run, Look *l) {
        _cleanup_free_ char *path = strf(REGION "/dax_region/create", region);
        int r = path ? 0 : -ENOMEM;

        for (uint64_t tries = 0; r >= 0 && !device_name(l, id); tries++) {
                if (tries > id)
                        return step_fail(run, -EIO, "%s gets no dax device with the number %ju", region, (uintmax_t) id);
                r = step_write(run, path, "1");
                if (r >= 0)
                        r = look_again(region, run, l);
        }
        return r;
}

/* Where the page structs of its memory go when kmem takes it. */
static int set_memmap(json_object *want, const DaxSeen *d, StepRun *run) {
        StepRun quiet = { .limits = run->limits };
        bool on = json_flag(want, "memmap_on_memory");
        uint64_t now;

        if (!json_has(want, "memmap_on_memory") || (attr_read_u64f(&now, DAX_DEVICES "/%s/memmap_on_memory", d->name) >= 0 && (now != 0) == on))
                return 0;
        int r = leave_kmem(d, run);
        if (r < 0)
                return r;
        r = write_attribute(d->name, "memmap_on_memory", &quiet, on ? "1" : "0");
        step_run_done(&quiet);
        if (r < 0 && r != -EINPROGRESS)
                step_lost(run, "%s had %s in memmap_on_memory, which the kernel does not take now: %s", d->name, on ? "1" : "0", strerror(-r));
        return r == -EINPROGRESS ? r : 0;
}

static int make_one(json_object *want, const DaxSeen *d, StepRun *run) {
        json_object *ranges = json_array(want, "ranges");
        bool there = fits(want, d);
        int r = 0;

        if (!there && json_has(want, "align"))
                r = write_attribute(d->name, "align", run, "%ju", (uintmax_t) json_u64(want, "align"));
        if (r >= 0)
                r = set_memmap(want, d, run);
        for (size_t i = 0; !there && i < json_len(ranges) && r >= 0; i++) {
                uint64_t start = json_u64(json_at(ranges, i), "start"), size = json_u64(json_at(ranges, i), "size");
                r = write_attribute(d->name, "mapping", run, "%jx-%jx", (uintmax_t) start, (uintmax_t) (start + size - 1));
        }
        /* Nobody binds it to anything on the way back, and kmem may have taken it. */
        return r >= 0 && there && !json_str(want, "driver") ? leave_kmem(d, run) : r;
}

static int make_all(json_object *daxes, const Look *l, StepRun *run) {
        int r = 0;

        for (size_t i = 0; i < json_len(daxes) && r >= 0; i++) {
                const char *name = device_name(l, json_u64(json_at(daxes, i), "id"));
                const DaxSeen *d = name ? dax_list_find(&l->list, name) : NULL;
                r = d ? make_one(json_at(daxes, i), d, run) : step_fail(run, -ENODEV, "dax device %ju is not there", json_u64(json_at(daxes, i), "id"));
        }
        return r;
}

/* Those that were created for their numbers alone. The first one stays for as long as the region does (drivers/dax/bus.c:delete_store). */
static int delete_empty(json_object *daxes, const char *region, const Look *l, StepRun *run) {
        _cleanup_free_ char *path = strf(REGION "/dax_region/delete", region);
        int r = path ? 0 : -ENOMEM;

        for (size_t i = 0; i < l->names.n && r >= 0; i++) {
                uint64_t id;
                if (number_of(l->names.names[i], &id) && id > 0 && !wanted(daxes, id))
                        r = step_write(run, path, l->names.names[i]);
        }
        return r;
}

static int wait_for_devices(const char *region, StepRun *run, Look *ret) {
        uint64_t deadline = now_monotonic() + time_for(DEVICES_TIMEOUT_SEC * USEC_PER_SEC);
        int r;

        while (((r = look(region, ret)) == -ENOENT || (r >= 0 && !device_name(ret, 0))) && now_monotonic() < deadline) {
                look_done(ret);
                *ret = (Look) { 0 };
                step_pause(run, DEVICES_RETRY_MSEC);
        }
        if (r >= 0 && !device_name(ret, 0))
                r = -ENODEV;
        return r < 0 ? step_fail(run, r, "%s has no dax device: %s", region, strerror(-r)) : 0;
}

int dax_shape_make(json_object *daxes, const char *region, StepRun *run) {
        _cleanup_(look_done) Look l = { 0 };

        int r = wait_for_devices(region, run, &l);
        if (r >= 0)
                r = free_others(daxes, &l, run);
        for (size_t i = 0; i < json_len(daxes) && r >= 0; i++)
                r = create_until(region, json_u64(json_at(daxes, i), "id"), run, &l);
        if (r >= 0)
                r = look_again(region, run, &l);
        if (r >= 0)
                r = make_all(daxes, &l, run);
        if (r >= 0)
                r = delete_empty(daxes, region, &l, run);
        if (r < 0)
                return r;
        r = dax_shape_fits(daxes, region);
        return r > 0 ? 0 : step_fail(run, r < 0 ? r : -EIO, "the dax devices of %s are not what they were after they were made again", region);
}
