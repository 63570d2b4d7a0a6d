/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/cxl-region.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "step/undo/region-create.h"

#define CXL "/sys/bus/cxl/devices"

/* A write that the kernel took, and nothing came of it. */
static int no_effect(StepRun *run, const char *path, const char *value) {
        _cleanup_free_ char *now = NULL;

        return attr_read(path, &now) < 0 ? step_fail(run, -EIO, "%s took %s and cannot be read", path, value) :
               step_fail(run, -EIO, "%s took %s and shows %s", path, value, now);
}

/* One attribute, written unless it says so already, and read again. Numbers are compared as numbers: the kernel prints
 * 0x20000000 where 536870912 was written. */
static int set_number(StepRun *run, const char *device, const char *attribute, uint64_t value) {
        _cleanup_free_ char *path = strf(CXL "/%s/%s", device, attribute), *text = strf("0x%jx", (uintmax_t) value);
        uint64_t now;

        if (!path || !text)
                return -ENOMEM;
        if (attr_read_u64f(&now, "%s", path) >= 0 && now == value)
                return 0;
        int r = step_write(run, path, text);
        if (r >= 0 && (attr_read_u64f(&now, "%s", path) < 0 || now != value))
                return no_effect(run, path, text);
        return r;
}

static int set_text(StepRun *run, const char *device, const char *attribute, const char *value) {
        _cleanup_free_ char *path = strf(CXL "/%s/%s", device, attribute), *now = NULL;

        if (!path)
                return -ENOMEM;
        if (attr_read(path, &now) >= 0 && streq(now, value))
                return 0;
        int r = step_write(run, path, value);
        if (r < 0)
                return r;
        free(TAKE_PTR(now));
        return attr_read(path, &now) < 0 || !streq(now, value) ? no_effect(run, path, value) : 0;
}

static int target_reserve(json_object *target, StepRun *run, char **ret_decoder) {
        _cleanup_free_ char *decoder = NULL;

        int r = region_target_decoder(target, &decoder);
        if (r < 0)
                return step_fail(run, r, "%s has no endpoint decoder: %s", json_str(target, "memdev"), strerror(-r));
        r = set_text(run, decoder, "mode", json_str(target, "mode") ?: "ram");
        if (r >= 0)
                r = set_number(run, decoder, "dpa_size", json_u64(target, "dpa_size"));
        if (r < 0)
                return r;
        *ret_decoder = TAKE_PTR(decoder);
        return 0;
}

/* A new region's number is the one the attribute offers; somebody else may take it in between (-EBUSY), then it offers the next. Only then: a write that does
 * not come back may make its region yet, and one that has failed may have made it. A second one beside that would stay empty, for nobody; this one is found
 * again (region_find_begun()), now or by whoever goes on. */
static int region_begin(json_object *region, StepRun *run, char **ret_name) {
        _cleanup_free_ char *path = strf(CXL "/%s/create_%s_region", json_str(region, "root"), json_str(region, "mode"));
        int r = -EBUSY;

        if (!path)
                return -ENOMEM;
        for (unsigned tries = 0; tries < 5; tries++) {
                _cleanup_free_ char *name = NULL;

                r = attr_read(path, &name);
                if (r < 0)
                        return step_fail(run, r, "%s cannot be read: %s", path, strerror(-r));
                r = step_write(run, path, name);
                if (r >= 0) {
                        *ret_name = TAKE_PTR(name);
                        return 0;
                }
                if (r != -EBUSY)
                        break;
        }
        return r != -EBUSY && r != -EINPROGRESS && region_find_begun(region, ret_name) >= 0 ? 0 : r;
}

/* Whoever takes memory down and puts it back has its place kept, or tells that it is gone. When a card comes back later, another one's may
 * stand there: then what belongs to it is found by its place in the region (region-moves.h), which takes whole memory blocks. */
static bool may_move(uint64_t from, uint64_t to, const StepRun *run) {
        uint64_t block_size = 0;

        return run->restoring && (memory_block_size(&block_size) < 0 || (from > to ? from - to : to - from) % block_size == 0);
}

static int region_address_check(json_object *region, const char *name, StepRun *run) {
        uint64_t start = 0;

        int r = attr_read_u64f(&start, CXL "/%s/resource", name);
        if (r < 0)
                return step_fail(run, r, "the address of %s cannot be read: %s", name, strerror(-r));
        if (start == UINT64_MAX)
                return step_fail(run, -ENOTUNIQ, "%s has no address", name);
        if (start != json_u64(region, "start") && !may_move(json_u64(region, "start"), start, run))
                return step_fail(run, -ENOTUNIQ, "%s came back at 0x%jx instead of 0x%jx: another region took its place",
                                 name, (uintmax_t) start, (uintmax_t) json_u64(region, "start"));
        return 0;
}

/* The labels on the cards say which region they belong to: with the same uuid the namespaces are back. The newline is part of it
 * (drivers/cxl/core/region.c:uuid_store counts the bytes). */
static int uuid_set(json_object *region, const char *name, StepRun *run) {
        const char *uuid = json_str(region, "uuid");
        _cleanup_free_ char *line = strf("%s\n", uuid ?: ""), *path = strf(CXL "/%s/uuid", name), *now = NULL;

        if (!uuid || !streq_ptr(json_str(region, "mode"), "pmem"))
                return 0;
        if (!line || !path)
                return -ENOMEM;
        if (attr_read(path, &now) >= 0 && streq(now, uuid))
                return 0;
        return step_write(run, path, line);
}

static int region_configure(json_object *region, const char *name, StepRun *run) {
        int r = uuid_set(region, name, run);

        /* Order as drivers/cxl/core/region.c wants it: interleave before size, size before targets. */
        if (r >= 0)
                r = set_number(run, name, "interleave_granularity", json_u64(region, "granularity"));
        if (r >= 0)
                r = set_number(run, name, "interleave_ways", json_u64(region, "ways"));
        if (r >= 0)
                r = set_number(run, name, "size", json_u64(region, "size"));
        return r < 0 ? r : region_address_check(region, name, run);
}

int region_create(json_object *region, StepRun *run) {
        json_object *targets = json_array(region, "targets");
        _cleanup_free_ char *name = NULL;
        bool complete = false;

        int r = region_find(region, &name, &complete);
        if (r >= 0 && complete)
                return region_address_check(region, name, run);

        /* Reserved in the order of the targets, so that each decoder gets the same device addresses again. */
        size_t n = json_len(targets);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *decoder = NULL;
                int q = target_reserve(json_at(targets, i), run, &decoder);
                if (q < 0)
                        return q;
        }

        if (r < 0)
                r = region_find_begun(region, &name);
        if (r < 0)
                r = region_begin(region, run, &name);
        if (r >= 0)
                r = region_configure(region, name, run);

        for (size_t i = 0; i < n && r >= 0; i++) {
                _cleanup_free_ char *decoder = NULL, *attribute = NULL;
                json_object *t = json_at(targets, i);

                r = target_reserve(t, run, &decoder);
                attribute = strf("target%ju", (uintmax_t) json_u64(t, "position"));
                if (r >= 0)
                        r = attribute ? set_text(run, name, attribute, decoder) : -ENOMEM;
        }
        return r;
}

static int dpa_free(json_object *target, StepRun *run) {
        _cleanup_free_ char *decoder = NULL, *path = NULL;
        uint64_t size = 0;

        int r = region_target_decoder(target, &decoder);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "the endpoint decoder of %s cannot be found: %s", json_str(target, "memdev"), strerror(-r));
        path = strf("/sys/bus/cxl/devices/%s/dpa_size", decoder);
        if (!path)
                return -ENOMEM;
        if (attr_read_u64f(&size, "%s", path) >= 0 && size == 0)
                return 0;
        return step_write(run, path, "0");
}

/* The region as the plan has it, or one that was begun for it. -ENODEV: neither is there. */
static int find_any(json_object *region, char **ret_name) {
        bool complete;

        int r = region_find(region, ret_name, &complete);
        return r == -ENODEV ? region_find_begun(region, ret_name) : r;
}

static int region_delete(json_object *region, const char *name, StepRun *run) {
        _cleanup_free_ char *path = strf(CXL "/%s/delete_region", json_str(region, "root")), *left = NULL;

        int r = path ? step_write(run, path, name) : -ENOMEM;
        if (r < 0)
                return r;
        r = find_any(region, &left);
        return r == -ENODEV ? 0 : r < 0 ? step_fail(run, r, "whether %s is gone cannot be read: %s", name, strerror(-r)) :
               step_fail(run, -EIO, "%s took %s, and %s is there", path, name, left);
}

int region_remove(json_object *region, StepRun *run) {
        json_object *targets = json_array(region, "targets");
        _cleanup_free_ char *name = NULL;

        int r = find_any(region, &name);
        if (r >= 0) {
                uint64_t commit = 1;

                /* The one of the plan was decommitted before; a live one over the same cards is somebody else's. */
                if (attr_read_u64f(&commit, "/sys/bus/cxl/devices/%s/commit", name) < 0 || commit)
                        return step_fail(run, -EBUSY, "%s is in use and not the plan's: not deleted", name);
                r = region_delete(region, name, run);
        }
        if (r < 0 && r != -ENODEV)
                return r;

        /* The last reserved is the first to be freed (drivers/cxl/core/hdm.c:cxl_dpa_free insists on it). */
        for (size_t i = json_len(targets); i > 0; i--) {
                r = dpa_free(json_at(targets, i - 1), run);
                if (r < 0)
                        return r;
        }
        return 0;
}
