/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Persistent memory: nvdimm regions, namespaces and the claims on them (drivers/nvdimm, drivers/cxl/pmem.c).
 *
 * Modelled: drivers of namespaces and claims, claims that are let go and found again on the media, the block and dax devices they make, addresses,
 * regions that come and go with their CXL region and NVDIMMs with their memory device; all namespaces of a region that comes are enabled.
 * Not modelled: labels, seeds, security, bad blocks, probing that takes its time, other numbers of what comes back. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/block.h"
#include "model.h"
#include "storage/nodes.h"

#define ND "/sys/bus/nd/devices"

enum {
        CHILDREN_MAX = 64,
};

static const char *name_of(const char *path) {
        return strrchr(path, '/') + 1;
}

static bool begins(const char *name, const char *with) {
        return strncmp(name, with, strlen(with)) == 0;
}

/* Folders below one whose names begin so and have a number. */
static size_t children(const char *folder, const char *with, char ret[static CHILDREN_MAX][PATH_MAX]) {
        DIR *d = opendir(folder);
        size_t n = 0;

        for (struct dirent *e; d && n < CHILDREN_MAX && (e = readdir(d));)
                if (e->d_type == DT_DIR && begins(e->d_name, with) && e->d_name[strlen(with)] >= '0' && e->d_name[strlen(with)] <= '9')
                        (void) snprintf(ret[n++], PATH_MAX, "%s/%s", folder, e->d_name);
        if (d)
                (void) closedir(d);
        return n;
}

/* The namespace of a claim, and the claim of a namespace (as it was last). */
static void namespace_of(const char *device, char ret[static NAME_ROOM]) {
        if (begins(name_of(device), "namespace"))
                (void) snprintf(ret, NAME_ROOM, "%.63s", name_of(device));
        else
                tree_get(ret, NAME_ROOM, "%s/namespace", device);
}

static bool claim_of(const char *namespace, char ret[static PATH_MAX]) {
        tree_get(ret, PATH_MAX, STORE "/nd-claim-of-%s", namespace);
        return *ret;
}

static char found[CHILDREN_MAX][PATH_MAX];

/* What a driver has made goes: disks, dax devices, addresses. */
static void device_stops(const char *device) {
        char folder[PATH_MAX], namespace[NAME_ROOM], text[64];
        uint64_t start, end;
        size_t n = 0;

        (void) snprintf(folder, sizeof(folder), "%.4000s/block", device);
        DIR *d = opendir(folder);
        for (struct dirent *e; d && n < CHILDREN_MAX && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        (void) snprintf(found[n++], PATH_MAX, "%s/%s", folder, e->d_name);
        if (d)
                (void) closedir(d);
        while (n-- > 0) {
                tree_put(found[n], STORE "/nd-block-of-%s", name_of(device));
                block_goes(found[n]);
        }
        for (n = children(device, "dax", found); n-- > 0;) {
                char driver[PATH_MAX];
                if (tree_resolve(driver, "%s/driver", found[n]))
                        tree_put(name_of(driver), STORE "/nd-driver-of-%s", name_of(found[n]));
                if (driven_by(found[n], "device_dax"))
                        dax_device_turn(found[n], false);
                node_goes(found[n], 'c');
                tree_put(found[n], STORE "/nd-dax-of-%s", name_of(device));
                tree_hide("%s", found[n]);
        }
        namespace_of(device, namespace);
        if (!iomem_place_of(namespace, &start, &end))
                return;
        (void) snprintf(text, sizeof(text), "%" PRIx64 "-%" PRIx64, start, end);
        tree_put(text, STORE "/nd-place-of-%s", namespace);
        iomem_remove(start, namespace);
}

static void device_starts(const char *device) {
        char path[PATH_MAX], namespace[NAME_ROOM], text[64];
        uint64_t start, end;

        namespace_of(device, namespace);
        tree_get(text, sizeof(text), STORE "/nd-place-of-%s", namespace);
        if (sscanf(text, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
                iomem_add(start, end, namespace);
        tree_get(path, sizeof(path), STORE "/nd-block-of-%s", name_of(device));
        if (*path)
                block_comes(path);
        tree_get(path, sizeof(path), STORE "/nd-dax-of-%s", name_of(device));
        if (!*path || !tree_show("%s", path))
                return;
        node_comes(path, 'c');
        tree_get(text, sizeof(text), STORE "/nd-driver-of-%s", name_of(path));
        if (strcmp(text, "device_dax") == 0)
                dax_device_turn(path, true);
}

static int device_unbind(const char *device, const char *driver) {
        if (!driven_by(device, driver))
                return -ENODEV;
        tree_put(driver, STORE "/nd-driver-of-%s", name_of(device));
        device_stops(device);
        driver_link(device, NULL);
        return 0;
}

static int device_bind(const char *device, const char *driver) {
        char path[PATH_MAX];

        if (tree_has("%s/driver", device))
                return -EBUSY;
        (void) snprintf(path, sizeof(path), "/sys/bus/nd/drivers/%.60s", driver);
        driver_link(device, path);
        device_starts(device);
        return 0;
}

/* nd_detach_and_reset(): the claim is idle then, and goes. */
static void claim_drop(const char *device) {
        char namespace[NAME_ROOM];

        namespace_of(device, namespace);
        if (!*namespace)
                return;
        tree_put(device, STORE "/nd-claim-of-%s", namespace);
        tree_put("", ND "/%s/holder", namespace);
        tree_put("", ND "/%s/holder_class", namespace);
        tree_hide("%s", device);
}

int nd_claim(const char *path, const char *value) {
        char device[PATH_MAX];

        (void) snprintf(device, sizeof(device), "%s", path);
        folder_of(device);
        if (tree_has("%s/driver", device))
                return -EBUSY;
        if (*value)
                return -EINVAL; /* nobody here makes a new one by hand */
        claim_drop(device);
        return 0;
}

/* nd_pmem_probe(): what is on the media is found, and has the namespace from then on; -ENXIO says that this driver does not drive it itself. */
static int namespace_bind(const char *device, const char *driver) {
        char claim[PATH_MAX], word[16];

        if (!claim_of(name_of(device), claim))
                return device_bind(device, driver);
        if (!tree_show("%s", claim))
                return -ENXIO;
        (void) snprintf(word, sizeof(word), "%.3s", name_of(claim));
        tree_put(name_of(claim), "%s/holder", device);
        tree_put(word, "%s/holder_class", device);
        (void) device_bind(claim, strcmp(word, "dax") == 0 ? "dax_pmem" : "nd_pmem");
        return -ENXIO;
}

static void region_stops(const char *region) {
        static const char *const kinds[] = { "pfn", "btt", "dax", "namespace" };
        static char devices[CHILDREN_MAX][PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                for (size_t n = children(region, kinds[i], devices); n-- > 0;) {
                        char driver[PATH_MAX];
                        if (tree_resolve(driver, "%s/driver", devices[n]))
                                (void) device_unbind(devices[n], name_of(driver));
                        if (strcmp(kinds[i], "namespace") != 0)
                                claim_drop(devices[n]);
                        if (!tree_has("%s", devices[n]))
                                continue;
                        tree_put(region, STORE "/nd-child-%s", name_of(devices[n]));
                        tree_hide("%s", devices[n]);
                }
}

/* All that it finds is enabled. */
static void region_starts(const char *region) {
        DIR *d = opendir(STORE);
        static char names[CHILDREN_MAX][NAME_ROOM];
        char path[PATH_MAX], of[PATH_MAX];
        size_t n = 0;

        for (struct dirent *e; d && n < CHILDREN_MAX && (e = readdir(d));)
                if (begins(e->d_name, "nd-child-"))
                        (void) snprintf(names[n++], NAME_ROOM, "%.63s", e->d_name + strlen("nd-child-"));
        if (d)
                (void) closedir(d);
        while (n-- > 0) {
                tree_get(of, sizeof(of), STORE "/nd-child-%s", names[n]);
                (void) snprintf(path, sizeof(path), "%.4000s/%.63s", region, names[n]);
                if (strcmp(of, region) == 0 && tree_show("%s", path) && begins(names[n], "namespace") && tree_number("%s/size", path) > 0)
                        (void) namespace_bind(path, "nd_pmem");
        }
}

int nd_driver(const char *path, const char *value) {
        char device[PATH_MAX], driver[PATH_MAX];
        bool bind = path_is_bind(path);

        (void) snprintf(driver, sizeof(driver), "%s", path);
        const char *name = name_of(folder_of(driver));
        if (!tree_resolve(device, ND "/%s", value))
                return -ENODEV;
        if (strcmp(name, "nd_region") != 0)
                return !bind ? device_unbind(device, name) : begins(value, "namespace") ? namespace_bind(device, name) : device_bind(device, name);
        if (bind ? tree_has("%s/driver", device) : !driven_by(device, name))
                return bind ? -EBUSY : -ENODEV;
        if (!bind)
                region_stops(device);
        driver_link(device, bind ? driver : NULL);
        if (bind)
                region_starts(device);
        return 0;
}

/* --- with what is below */

/* The nvdimm region at the addresses of a CXL region. */
static bool region_at(uint64_t start, char ret[static PATH_MAX]) {
        DIR *d = opendir(ND);
        bool is = false;

        for (struct dirent *e; d && !is && (e = readdir(d));)
                is = begins(e->d_name, "region") && tree_number(ND "/%s/resource", e->d_name) == start && tree_resolve(ret, ND "/%s", e->d_name);
        if (d)
                (void) closedir(d);
        return is;
}

void nd_region_goes(const char *region) {
        char nd[PATH_MAX], child[PATH_MAX];
        uint64_t start = tree_number("%s/resource", region);

        if (region_at(start, nd)) {
                region_stops(nd);
                driver_link(nd, NULL);
                tree_put(nd, STORE "/nd-region-at-%" PRIx64, start);
                tree_hide("%s", nd);
        }
        (void) snprintf(child, sizeof(child), "%.4000s/pmem_region%s", region, name_of(region) + strlen("region"));
        if (!tree_has("%s", child))
                return;
        tree_remove("%s", child);
        iomem_remove(start, "Persistent Memory"); /* cxl_pmem_region_probe() */
}

void nd_region_comes(const char *region) {
        char nd[PATH_MAX], child[PATH_MAX];
        uint64_t start = tree_number("%s/resource", region);

        (void) snprintf(child, sizeof(child), "%.4000s/pmem_region%s", region, name_of(region) + strlen("region"));
        if (mkdir(child, 0755) == 0) {
                tree_put("cxl_pmem_region", "%s/devtype", child);
                tree_put("", "%s/uevent", child);
                tree_link("/sys/bus/cxl", "%s/subsystem", child);
                tree_link("/sys/bus/cxl/drivers/cxl_pmem_region", "%s/driver", child);
                tree_link(child, CXL "/%s", name_of(child));
                iomem_add(start, start + tree_number("%s/size", region) - 1, "Persistent Memory");
        }
        tree_get(nd, sizeof(nd), STORE "/nd-region-at-%" PRIx64, start);
        if (!*nd || !tree_show("%s", nd))
                return;
        driver_link(nd, "/sys/bus/nd/drivers/nd_region");
        region_starts(nd);
}

/* The NVDIMM that a memory device is. */
void nmem_goes(const char *memdev) {
        char child[CHILDREN_MAX][PATH_MAX], provider[NAME_ROOM], nmem[PATH_MAX];

        if (children(memdev, "pmem", child) == 0)
                return;
        DIR *d = opendir(ND);
        for (struct dirent *e; d && (e = readdir(d));) {
                tree_get(provider, sizeof(provider), ND "/%s/cxl/provider", e->d_name);
                if (!begins(e->d_name, "nmem") || strcmp(provider, name_of(child[0])) != 0 || !tree_resolve(nmem, ND "/%s", e->d_name))
                        continue;
                tree_put(nmem, STORE "/nmem-of-%s", name_of(memdev));
                break;
        }
        if (d)
                (void) closedir(d);
        tree_get(nmem, sizeof(nmem), STORE "/nmem-of-%s", name_of(memdev));
        if (*nmem && tree_has("%s", nmem))
                tree_hide("%s", nmem);
        tree_put(child[0], STORE "/pmem-of-%s", name_of(memdev));
        tree_hide("%s", child[0]);
}

void nmem_comes(const char *memdev) {
        static const char *const kinds[] = { "pmem", "nmem" };
        char path[PATH_MAX];

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                tree_get(path, sizeof(path), STORE "/%s-of-%s", kinds[i], name_of(memdev));
                if (*path)
                        (void) tree_show("%s", path);
        }
}
