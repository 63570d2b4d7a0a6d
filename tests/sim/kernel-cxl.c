/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Regions, decoders and memory devices of CXL (drivers/cxl/core/region.c, drivers/cxl/core/hdm.c, drivers/cxl/core/port.c, drivers/cxl/mem.c). */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "storage/nodes.h"

/* Calls it with the name of each device of the bus that begins so, until it says true. */
static bool each(const char *kind, bool (*is_it)(const char *name, void *userdata), void *userdata) {
        DIR *d = opendir(CXL);
        bool found = false;

        for (struct dirent *e; d && !found && (e = readdir(d));)
                found = strncmp(e->d_name, kind, strlen(kind)) == 0 && is_it(e->d_name, userdata);
        if (d)
                closedir(d);
        return found;
}

static bool is_higher(const char *name, void *userdata) {
        unsigned *highest = userdata, number = (unsigned) strtoul(name + strcspn(name, "0123456789"), NULL, 10);

        if (number >= *highest)
                *highest = number + 1;
        return false;
}

static void device_link(const char *device) {
        tree_link(device, CXL "/%s", strrchr(device, '/') + 1);
}

static void device_make(const char *device, const char *devtype) {
        if (mkdir(device, 0755) < 0)
                sim_die("%s: %s", device, strerror(errno));
        tree_put(devtype, "%s/devtype", device);
        tree_put("", "%s/uevent", device);
        tree_link("/sys/bus/cxl", "%s/subsystem", device);
        device_link(device);
}

/* --- decoders */

static bool endpoint_decoder(const char *name, char ret[static PATH_MAX]) {
        return strncmp(name, "decoder", strlen("decoder")) == 0 && tree_resolve(ret, CXL "/%s", name) && tree_has("%s/dpa_size", ret);
}

int decoder_mode(const char *path, const char *value) {
        char decoder[PATH_MAX];

        (void) snprintf(decoder, sizeof(decoder), "%s", path);
        if (tree_number("%s/dpa_size", folder_of(decoder)) > 0)
                return -EBUSY;
        tree_put(value, "%s", path);
        return 0;
}

int decoder_dpa_size(const char *path, const char *value) {
        char decoder[PATH_MAX], region[NAME_ROOM], text[32];
        uint64_t size = strtoull(value, NULL, 0);

        (void) snprintf(decoder, sizeof(decoder), "%s", path);
        folder_of(decoder);
        tree_get(region, sizeof(region), "%s/region", decoder);
        if (*region)
                return -EBUSY;
        (void) snprintf(text, sizeof(text), "0x%016" PRIx64, size);
        tree_put(text, "%s", path);
        tree_put(size > 0 ? "0x0" : "0xffffffffffffffff", "%s/dpa_resource", decoder);
        return 0;
}

typedef struct OfRegion {
        const char *region;
        const char *now;        /* what it is to say instead */
        int64_t of_size;        /* the decoder's size afterwards; -1: as it was */
} OfRegion;

static bool decoder_retell(const char *name, void *userdata) {
        const OfRegion *o = userdata;
        char decoder[PATH_MAX], region[NAME_ROOM], text[32];

        if (!tree_resolve(decoder, CXL "/%s", name) || !tree_has("%s/region", decoder))
                return false;
        tree_get(region, sizeof(region), "%s/region", decoder);
        if (strcmp(region, o->region) != 0)
                return false;
        tree_put(o->now, "%s/region", decoder);
        if (o->of_size >= 0) {
                (void) snprintf(text, sizeof(text), "0x%" PRIx64, (uint64_t) o->of_size);
                tree_put(text, "%s/size", decoder);
        }
        return false;
}

/* --- regions */

int region_create(const char *path, const char *value) {
        char root[PATH_MAX], region[PATH_MAX], next[NAME_ROOM];
        const char *mode = strstr(path, "create_pmem") ? "pmem" : "ram";
        unsigned number = 0;

        tree_get(next, sizeof(next), "%s", path);
        if (strcmp(next, value) != 0)
                return -EBUSY;
        (void) snprintf(root, sizeof(root), "%s", path);
        (void) snprintf(region, sizeof(region), "%s/%s", folder_of(root), value);
        device_make(region, "cxl_region");
        tree_put("0", "%s/commit", region);
        tree_put("0", "%s/interleave_ways", region);
        tree_put("0", "%s/interleave_granularity", region);
        tree_put(mode, "%s/mode", region);
        tree_put("0x0", "%s/size", region);
        tree_put("0xffffffffffffffff", "%s/resource", region);
        tree_put("", "%s/uuid", region);
        (void) each("region", is_higher, &number);
        (void) snprintf(next, sizeof(next), "region%u", number);
        tree_put(next, "%s/create_ram_region", root);
        tree_put(next, "%s/create_pmem_region", root);
        return 0;
}

/* Moves *at behind a region of the window that is in the way of `size` bytes there. */
static bool place_is_taken(const char *root, uint64_t size, uint64_t *at) {
        DIR *d = opendir(root);
        bool taken = false;

        for (struct dirent *e; d && !taken && (e = readdir(d));) {
                if (strncmp(e->d_name, "region", strlen("region")) != 0)
                        continue;
                uint64_t length = tree_number("%s/%s/size", root, e->d_name), start = tree_number("%s/%s/resource", root, e->d_name);
                taken = length > 0 && start < *at + size && *at < start + length;
                if (taken)
                        *at = start + length;
        }
        if (d)
                closedir(d);
        return taken;
}

/* The first free place of the window (alloc_hpa()). */
static int place_find(const char *root, uint64_t size, uint64_t *ret) {
        uint64_t at = tree_number("%s/start", root), end = at + tree_number("%s/size", root);

        while (place_is_taken(root, size, &at))
                ;
        *ret = at;
        return at + size <= end ? 0 : -ERANGE;
}

static int region_size(const char *region, const char *path, const char *value) {
        char root[PATH_MAX], text[32];
        uint64_t size = strtoull(value, NULL, 0), start = tree_number("%s/resource", region);
        const char *name = strrchr(region, '/') + 1;

        if (tree_number("%s/commit", region))
                return -EBUSY;
        if (size > 0 && (tree_number("%s/interleave_ways", region) == 0 || tree_number("%s/interleave_granularity", region) == 0))
                return -ENXIO; /* alloc_hpa() */
        if (tree_number("%s", path) > 0)
                iomem_remove(start, name);
        (void) snprintf(root, sizeof(root), "%s", region);
        int r = size > 0 ? place_find(folder_of(root), size, &start) : 0;
        if (r < 0)
                return r;
        (void) snprintf(text, sizeof(text), "0x%" PRIx64, size > 0 ? start : UINT64_MAX);
        tree_put(text, "%s/resource", region);
        (void) snprintf(text, sizeof(text), "0x%" PRIx64, size);
        tree_put(text, "%s", path);
        if (size > 0)
                iomem_add(start, start + size - 1, name);
        return 0;
}

static int region_target(const char *region, const char *path, const char *value) {
        char decoder[PATH_MAX], now[NAME_ROOM];

        if (tree_number("%s/commit", region))
                return -EBUSY;
        if (!*value) {
                tree_get(now, sizeof(now), "%s", path);
                if (*now && endpoint_decoder(now, decoder))
                        tree_put("", "%s/region", decoder);
                tree_put("", "%s", path);
                return 0;
        }
        if (!endpoint_decoder(value, decoder))
                return -ENODEV;
        tree_get(now, sizeof(now), "%s/region", decoder);
        if (*now)
                return -EBUSY;
        if (tree_number("%s/dpa_size", decoder) == 0 || tree_number("%s/size", region) == 0)
                return -ENXIO;
        tree_put(strrchr(region, '/') + 1, "%s/region", decoder);
        tree_put(value, "%s", path);
        return 0;
}

int region_attr(const char *path, const char *value) {
        char region[PATH_MAX];
        const char *attribute = strrchr(path, '/') + 1;

        (void) snprintf(region, sizeof(region), "%s", path);
        folder_of(region);
        if (strcmp(attribute, "size") == 0)
                return region_size(region, path, value);
        if (strncmp(attribute, "target", strlen("target")) == 0)
                return region_target(region, path, value);
        if (tree_number("%s/commit", region))
                return -EBUSY;
        char text[NAME_ROOM];
        (void) snprintf(text, sizeof(text), "%.63s", value);
        if (strncmp(attribute, "interleave", strlen("interleave")) == 0)
                (void) snprintf(text, sizeof(text), "%" PRIu64, (uint64_t) strtoull(value, NULL, 0));
        tree_put(text, "%s", path);
        for (uint64_t i = 0; strcmp(attribute, "interleave_ways") == 0 && i < strtoull(value, NULL, 0); i++)
                if (!tree_has("%s/target%" PRIu64, region, i))
                        tree_put("", "%s/target%" PRIu64, region, i);
        return 0;
}

static void dax_region_make(const char *region) {
        unsigned number = (unsigned) strtoul(strrchr(region, '/') + 1 + strlen("region"), NULL, 10), node = 1;
        uint64_t start = tree_number("%s/resource", region), size = tree_number("%s/size", region);
        char folder[PATH_MAX], dax[PATH_MAX], text[256];

        if (tree_has(STORE "/node-of-%" PRIx64, start))
                node = (unsigned) tree_number(STORE "/node-of-%" PRIx64, start);
        (void) snprintf(folder, sizeof(folder), "%s/dax_region%u", region, number);
        device_make(folder, "cxl_dax_region");
        driver_link(folder, "/sys/bus/cxl/drivers/cxl_dax_region");
        (void) snprintf(dax, sizeof(dax), "%s/dax_region", folder);
        (void) mkdir(dax, 0755);
        (void) snprintf(text, sizeof(text), "%u", number);
        tree_put(text, "%s/id", dax);
        tree_put("2097152", "%s/align", dax);
        tree_put("0", "%s/available_size", dax);
        tree_put("", "%s/create", dax);
        tree_put("", "%s/seed", dax);
        (void) snprintf(text, sizeof(text), "%" PRIu64, size);
        tree_put(text, "%s/size", dax);

        (void) snprintf(dax, sizeof(dax), "%s/dax%u.0", folder, number);
        (void) mkdir(dax, 0755);
        tree_put(text, "%s/size", dax);
        tree_put("2097152", "%s/align", dax);
        tree_put("-1", "%s/numa_node", dax);
        tree_put("1", "%s/memmap_on_memory", dax);
        (void) snprintf(text, sizeof(text), "%u", node);
        tree_put(text, "%s/target_node", dax);
        (void) snprintf(text, sizeof(text), "252:%u", number);
        tree_put(text, "%s/dev", dax);
        (void) snprintf(text, sizeof(text), "MAJOR=252\nMINOR=%u\nDEVNAME=dax%u.0\nMODALIAS=dax:t0", number, number);
        tree_put(text, "%s/uevent", dax);
        (void) snprintf(text, sizeof(text), "0x%" PRIx64, start);
        tree_put(text, "%s/resource", dax);
        tree_link("/sys/bus/dax", "%s/subsystem", dax);
        tree_link(dax, "/sys/bus/dax/devices/dax%u.0", number);
        (void) snprintf(folder, sizeof(folder), "%s/mapping0", dax);
        (void) mkdir(folder, 0755);
        tree_put(text, "%s/start", folder);
        (void) snprintf(text, sizeof(text), "0x%" PRIx64, start + size - 1);
        tree_put(text, "%s/end", folder);
        tree_put("0x0", "%s/page_offset", folder);
        tree_put("", "%s/uevent", folder); /* the libraries know a device by it */
        tree_put("dax:t0", "%s/modalias", dax);
        node_comes(dax, 'c');
        driver_link(dax, "/sys/bus/dax/drivers/kmem");
        kmem_take(dax);
}

/* Of a region whose driver goes: what it made goes too. */
static void dax_region_unmake(const char *region) {
        unsigned number = (unsigned) strtoul(strrchr(region, '/') + 1 + strlen("region"), NULL, 10);
        char dax[PATH_MAX], text[32];

        (void) snprintf(dax, sizeof(dax), "%s/dax_region%u/dax%u.0", region, number, number);
        if (tree_has("%s", dax)) {
                tree_get(text, sizeof(text), "%s/target_node", dax);
                tree_put(text, STORE "/node-of-%" PRIx64, tree_number("%s/resource", region));
        }
        if (driven_by(dax, "kmem"))
                kmem_give(dax);
        if (tree_has("%s", dax))
                node_goes(dax, 'c');
        if (tree_has("%s/dax_region%u", region, number))
                tree_remove("%s/dax_region%u", region, number);
}

int region_driver(const char *path, const char *value) {
        char region[PATH_MAX], driver[PATH_MAX], mode[16];
        bool bind = path_is_bind(path);

        (void) snprintf(driver, sizeof(driver), "%s", path);
        folder_of(driver);
        if (!tree_resolve(region, CXL "/%s", value))
                return -ENODEV;
        if (bind ? tree_has("%s/driver", region) : !driven_by(region, "cxl_region"))
                return bind ? -EBUSY : -ENODEV;
        if (bind && tree_number("%s/commit", region) == 0)
                return -ENXIO;
        driver_link(region, bind ? driver : NULL);
        tree_get(mode, sizeof(mode), "%s/mode", region);
        if (strcmp(mode, "pmem") == 0)
                (bind ? nd_region_comes : nd_region_goes)(region);
        else if (bind)
                dax_region_make(region);
        else
                dax_region_unmake(region);
        return 0;
}

static bool has_target(const char *region) {
        char name[NAME_ROOM];

        tree_get(name, sizeof(name), "%s/target0", region);
        return *name;
}

int region_commit(const char *path, const char *value) {
        char region[PATH_MAX];

        (void) snprintf(region, sizeof(region), "%s", path);
        folder_of(region);
        if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
                return -EINVAL;
        if (tree_number("%s", path) == strtoull(value, NULL, 0))
                return 0;
        if (strcmp(value, "1") == 0 && (tree_number("%s/size", region) == 0 || !has_target(region)))
                return -ENXIO;
        /* commit_store(): the driver is released first, with all that stands on it. */
        if (strcmp(value, "0") == 0 && tree_has("%s/driver", region)) {
                driver_link(region, NULL);
                dax_region_unmake(region);
        }
        tree_put(value, "%s", path);
        OfRegion o = { .region = strrchr(region, '/') + 1, .now = strrchr(region, '/') + 1 };
        o.of_size = *value == '1' ? (int64_t) tree_number("%s/size", region) : 0;
        (void) each("decoder", decoder_retell, &o);
        return 0;
}

int region_delete(const char *path, const char *value) {
        char region[PATH_MAX], root[PATH_MAX];
        OfRegion o = { .region = value, .now = "", .of_size = 0 };

        (void) snprintf(root, sizeof(root), "%s", path);
        folder_of(root);
        if (!tree_resolve(region, CXL "/%s", value) || strncmp(region, root, strlen(root)) != 0)
                return -ENODEV;
        driver_link(region, NULL);
        dax_region_unmake(region);
        if (tree_number("%s/size", region) > 0)
                iomem_remove(tree_number("%s/resource", region), value);
        (void) each("decoder", decoder_retell, &o);
        tree_remove("%s", region);
        return 0;
}

/* --- memory devices */

static bool is_endpoint_of(const char *name, void *userdata) {
        char uport[PATH_MAX], *memdev = userdata, endpoint[PATH_MAX];

        if (!tree_resolve(uport, CXL "/%s/uport", name) || strcmp(uport, memdev) != 0 || !tree_resolve(endpoint, CXL "/%s", name))
                return false;
        (void) snprintf(memdev, PATH_MAX, "%s", endpoint);
        return true;
}

/* The endpoint gets a number of its own, and its decoders with it. */
static void endpoint_renumber(char endpoint[static PATH_MAX], const char *memdev) {
        unsigned was = (unsigned) strtoul(strstr(strrchr(endpoint, '/'), "endpoint") + strlen("endpoint"), NULL, 10), number = 0;
        char now[PATH_MAX], name[NAME_ROOM];

        (void) each("port", is_higher, &number);
        (void) each("endpoint", is_higher, &number);
        number = number > was ? number : was + 1;
        (void) snprintf(now, sizeof(now), "%s", endpoint);
        (void) snprintf(strrchr(now, '/') + 1, NAME_ROOM, "endpoint%u", number);
        if (rename(endpoint, now) < 0)
                sim_die("%s: %s", now, strerror(errno));
        (void) snprintf(name, sizeof(name), CXL "/endpoint%u", was);
        (void) unlink(name);
        device_link(now);
        char text[64];
        uint64_t start, end;
        tree_get(text, sizeof(text), STORE "/registers-of-%s", memdev);
        if (sscanf(text, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
                iomem_add(start, end, strrchr(now, '/') + 1);
        for (unsigned i = 0; tree_has("%s/decoder%u.%u", now, was, i); i++) {
                char from[PATH_MAX], to[PATH_MAX];
                (void) snprintf(from, sizeof(from), "%s/decoder%u.%u", now, was, i);
                (void) snprintf(to, sizeof(to), "%s/decoder%u.%u", now, number, i);
                if (rename(from, to) < 0)
                        sim_die("%s: %s", to, strerror(errno));
                (void) snprintf(name, sizeof(name), CXL "/decoder%u.%u", was, i);
                (void) unlink(name);
                device_link(to);
        }
}

void memdev_goes(const char *memdev) {
        char endpoint[PATH_MAX], decoder[PATH_MAX], region[NAME_ROOM], path[PATH_MAX];

        driver_link(memdev, NULL);
        nmem_goes(memdev);
        (void) snprintf(endpoint, sizeof(endpoint), "%s", memdev);
        if (!each("endpoint", is_endpoint_of, endpoint))
                return;
        /* cxl_region_detach(): a region that has lost a target is not committed any more. */
        unsigned number = (unsigned) strtoul(strrchr(endpoint, '/') + 1 + strlen("endpoint"), NULL, 10);
        for (unsigned i = 0; tree_has("%s/decoder%u.%u", endpoint, number, i); i++) {
                (void) snprintf(decoder, sizeof(decoder), "%s/decoder%u.%u", endpoint, number, i);
                tree_get(region, sizeof(region), "%s/region", decoder);
                if (!*region || !tree_resolve(path, CXL "/%s", region))
                        continue;
                strcat(path, "/commit");
                (void) region_commit(path, "0");
                folder_of(path);
                for (unsigned t = 0; tree_has("%s/target%u", path, t); t++) {
                        char target[NAME_ROOM];
                        tree_get(target, sizeof(target), "%s/target%u", path, t);
                        if (strcmp(target, strrchr(decoder, '/') + 1) == 0)
                                tree_put("", "%s/target%u", path, t);
                }
                tree_put("", "%s/region", decoder);
        }
        tree_put(endpoint, STORE "/endpoint-of-%s", strrchr(memdev, '/') + 1);
        uint64_t start, end;
        if (iomem_place_of(strrchr(endpoint, '/') + 1, &start, &end)) {
                char text[64];
                (void) snprintf(text, sizeof(text), "%" PRIx64 "-%" PRIx64, start, end);
                tree_put(text, STORE "/registers-of-%s", strrchr(memdev, '/') + 1);
                iomem_remove_of(strrchr(endpoint, '/') + 1);
        }
        tree_hide("%s", endpoint);
}

int memdev_driver(const char *path, const char *value) {
        char memdev[PATH_MAX], driver[PATH_MAX], endpoint[PATH_MAX];
        bool bind = path_is_bind(path);

        (void) snprintf(driver, sizeof(driver), "%s", path);
        folder_of(driver);
        if (!tree_resolve(memdev, CXL "/%s", value))
                return -ENODEV;
        if (bind ? tree_has("%s/driver", memdev) : !driven_by(memdev, "cxl_mem"))
                return bind ? -EBUSY : -ENODEV;
        if (!bind) {
                memdev_goes(memdev);
                return 0;
        }
        driver_link(memdev, driver);
        tree_get(endpoint, sizeof(endpoint), STORE "/endpoint-of-%s", value);
        if (*endpoint && tree_show("%s", endpoint))
                endpoint_renumber(endpoint, value);
        nmem_comes(memdev);
        return 0;
}
