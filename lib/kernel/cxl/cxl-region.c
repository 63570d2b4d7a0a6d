/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/cxl/cxl-region.h"
#include "kernel/cxl/dax.h"
#include "kernel/sysfs/attr.h"

#define CXL "/sys/bus/cxl/devices"

int region_target_decoder(json_object *target, char **ret) {
        _cleanup_(closedirp) DIR *d = opendir(CXL);
        if (!d)
                return -errno;

        for (struct dirent *e; (e = readdir(d));) {
                const char *number = startswith(e->d_name, "endpoint");
                _cleanup_free_ char *uport = NULL;
                /* An endpoint port belongs to the memdev that its uport link points to (drivers/cxl/core/port.c). */
                if (!number || link_namef(&uport, CXL "/%s/uport", e->d_name) < 0 || !streq_ptr(uport, json_str(target, "memdev")))
                        continue;

                char *name = strf("decoder%s.%ju", number, (uintmax_t) json_u64(target, "index"));
                if (!name)
                        return -ENOMEM;
                *ret = name;
                return 0;
        }
        return -ENODEV;
}

/* Counts the region's targets that are set: as planned, and otherwise. */
static int targets_compare(const char *name, json_object *region, size_t *ret_same, size_t *ret_other) {
        json_object *targets = json_array(region, "targets");
        size_t same = 0, other = 0;

        for (size_t i = 0; i < json_len(targets); i++) {
                json_object *t = json_at(targets, i);
                _cleanup_free_ char *decoder = NULL, *set = NULL;

                int r = region_target_decoder(t, &decoder);
                if (r < 0 && r != -ENODEV)
                        return r;
                r = attr_readf(&set, CXL "/%s/target%ju", name, (uintmax_t) json_u64(t, "position"));
                if (r < 0 || !*set)
                        continue;
                if (decoder && streq(set, decoder))
                        same++;
                else
                        other++;
        }

        *ret_same = same;
        *ret_other = other;
        return 0;
}

int region_find(json_object *region, char **ret_name, bool *ret_complete) {
        _cleanup_(closedirp) DIR *d = opendir(CXL);
        if (!d)
                return errno == ENOENT ? -ENODEV : -errno;

        for (struct dirent *e; (e = readdir(d));) {
                size_t same = 0, other = 0;

                if (!startswith(e->d_name, "region"))
                        continue;
                int r = targets_compare(e->d_name, region, &same, &other);
                if (r < 0)
                        return r;
                if (same == 0)
                        continue;

                char *name = strdup(e->d_name);
                if (!name)
                        return -ENOMEM;
                *ret_name = name;
                *ret_complete = other == 0 && same == json_len(json_array(region, "targets"));
                return 0;
        }
        return -ENODEV;
}

static bool is_begun(const char *name, json_object *region) {
        uint64_t size = 0, commit = 0;
        size_t same = 0, other = 0;

        return path_existsf(CXL "/%s/%s", json_str(region, "root"), name) &&
               attr_read_u64f(&commit, CXL "/%s/commit", name) >= 0 && commit == 0 &&
               (attr_read_u64f(&size, CXL "/%s/size", name) < 0 || size == 0 || size == json_u64(region, "size")) &&
               targets_compare(name, region, &same, &other) >= 0 && same + other == 0;
}

int region_find_begun(json_object *region, char **ret_name) {
        _cleanup_(closedirp) DIR *d = opendir(CXL);
        if (!d)
                return errno == ENOENT ? -ENODEV : -errno;

        for (struct dirent *e; (e = readdir(d));)
                if (startswith(e->d_name, "region") && is_begun(e->d_name, region)) {
                        char *name = strdup(e->d_name);
                        if (!name)
                                return -ENOMEM;
                        *ret_name = name;
                        return 0;
                }
        return -ENODEV;
}

static int dax_check(json_object *region, char **ret_why) {
        _cleanup_free_ char *name = NULL;
        uint64_t size = 0;

        int r = dax_find(json_u64(region, "start"), &name);
        if (r >= 0)
                r = attr_read_u64f(&size, "/sys/bus/dax/devices/%s/size", name);
        if (r >= 0 && size == json_u64(region, "size"))
                return 0;
        *ret_why = strf("%s of the plan is not at 0x%jx any more", json_str(region, "name"), (uintmax_t) json_u64(region, "start"));
        return r < 0 ? r : -ESTALE;
}

int region_check(json_object *region, char **ret_why) {
        if (json_flag(region, "dax_alone"))
                return dax_check(region, ret_why);

        _cleanup_free_ char *name = NULL;
        bool complete = false;
        uint64_t start = 0;

        int r = region_find(region, &name, &complete);
        if (r >= 0)
                r = attr_read_u64f(&start, CXL "/%s/resource", name);
        if (r < 0 || !complete) {
                *ret_why = strf("%s of the plan is not there any more", json_str(region, "name"));
                return r < 0 ? r : -ENODEV;
        }
        if (start != json_u64(region, "start")) {
                *ret_why = strf("%s of the plan is now %s at 0x%jx, not at 0x%jx", json_str(region, "name"), name,
                                (uintmax_t) start, (uintmax_t) json_u64(region, "start"));
                return -ESTALE;
        }
        return 0;
}
