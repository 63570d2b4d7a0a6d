/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libraries ROUNDS: how long it takes to ask each library what it is asked for here, or could be, each time with a context of its own; and us. A line
 * each: name, minimum, median and maximum in microseconds, and how much it found. (-1: it is not there.) */
#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>
#include <dlfcn.h>
#include <libudev.h>
#include <ndctl/libndctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/command.h"
#include "topology/load/load.h"

/* Nobody needs their headers to build this: they are not linked anywhere here. */
static void *libmount, *libblkid;

#define CALL(library, name, type) ((type) dlsym(library, name))

static int own_devices(void) {
        _cleanup_(topology_freep) Topology *t = calloc(1, sizeof(*t));

        if (!t || load_memdevs(t) < 0 || load_regions(t) < 0 || load_decoders(t) < 0 || load_daxes(t) < 0 || load_nd(t) < 0 || load_namespaces(t) < 0)
                return -1;
        return (int) (t->n_memdevs + t->n_regions + t->n_decoders + t->n_daxes + t->n_namespaces);
}

static int cxl_memdevs(void) {
        struct cxl_memdev *memdev;
        struct cxl_ctx *ctx;
        int n = 0;

        if (cxl_new(&ctx) < 0)
                return -1;
        cxl_memdev_foreach(ctx, memdev)
                n++;
        cxl_unref(ctx);
        return n;
}

static int cxl_regions(void) {
        struct cxl_ctx *ctx;
        struct cxl_bus *bus;
        int n = 0;

        if (cxl_new(&ctx) < 0)
                return -1;
        cxl_bus_foreach(ctx, bus) {
                struct cxl_decoder *root;
                cxl_decoder_foreach(cxl_bus_get_port(bus), root) {
                        struct cxl_region *region;
                        cxl_region_foreach(root, region) {
                                struct cxl_memdev_mapping *mapping;
                                cxl_mapping_foreach(region, mapping)
                                        n++;
                        }
                }
        }
        cxl_unref(ctx);
        return n;
}

static int daxctl_devices(void) {
        struct daxctl_region *region;
        struct daxctl_ctx *ctx;
        int n = 0;

        if (daxctl_new(&ctx) < 0)
                return -1;
        daxctl_region_foreach(ctx, region) {
                struct daxctl_dev *dev;
                daxctl_dev_foreach(region, dev)
                        n++;
        }
        daxctl_unref(ctx);
        return n;
}

static int ndctl_namespaces(void) {
        struct ndctl_ctx *ctx;
        struct ndctl_bus *bus;
        int n = 0;

        if (ndctl_new(&ctx) < 0)
                return -1;
        ndctl_bus_foreach(ctx, bus) {
                struct ndctl_region *region;
                ndctl_region_foreach(bus, region) {
                        struct ndctl_namespace *ns;
                        ndctl_namespace_foreach(region, ns)
                                n++;
                }
        }
        ndctl_unref(ctx);
        return n;
}

/* The file system of each block device, by what udev wrote down; and by a look at the disk itself, which is opened for that. */
static int of_disks(bool look) {
        struct udev *udev = udev_new();
        struct udev_enumerate *all = udev_enumerate_new(udev);
        struct udev_list_entry *e;
        int n = 0;

        udev_enumerate_add_match_subsystem(all, "block");
        udev_enumerate_scan_devices(all);
        udev_list_entry_foreach(e, udev_enumerate_get_list_entry(all)) {
                struct udev_device *d = udev_device_new_from_syspath(udev, udev_list_entry_get_name(e));
                const char *node = d ? udev_device_get_devnode(d) : NULL, *uuid = NULL;
                void *probe = look && node && libblkid ? CALL(libblkid, "blkid_new_probe_from_filename", void *(*)(const char *))(node) : NULL;
                if (!look)
                        uuid = d ? udev_device_get_property_value(d, "ID_FS_UUID") : NULL;
                else if (probe && CALL(libblkid, "blkid_do_safeprobe", int (*)(void *))(probe) == 0)
                        (void) CALL(libblkid, "blkid_probe_lookup_value", int (*)(void *, const char *, const char **, size_t *))(probe, "UUID", &uuid, NULL);
                n += uuid != NULL;
                if (probe)
                        CALL(libblkid, "blkid_free_probe", void (*)(void *))(probe);
                udev_device_unref(d);
        }
        udev_enumerate_unref(all);
        udev_unref(udev);
        return n;
}

static int udev_uuids(void) {
        return of_disks(false);
}

static int blkid_uuids(void) {
        return of_disks(true);
}

static int mount_table(void) {
        void *t = libmount ? CALL(libmount, "mnt_new_table_from_file", void *(*)(const char *))("/proc/self/mountinfo") : NULL;
        int n = t ? CALL(libmount, "mnt_table_get_nents", int (*)(void *))(t) : -1;

        if (t)
                CALL(libmount, "mnt_unref_table", void (*)(void *))(t);
        return n;
}

static int own_mounts(void) {
        MountEntries l = { 0 };

        int r = mountinfo_read_first(&l), n = (int) l.n_items;
        mount_entries_done(&l);
        return r < 0 ? -1 : n;
}

/* One unit's state, of PID 1 itself and by its tool. */
static int bus_unit(void) {
        _cleanup_free_ char *state = NULL;
        sd_bus *bus = NULL;

        int r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_get_property_string(bus, NULL, "/org/freedesktop/systemd1/unit/systemd_2djournald_2eservice", "org.freedesktop.systemd1.Unit",
                                               "ActiveState", NULL, &state);
        sd_bus_close_unref(bus);
        return r < 0 ? -1 : 1;
}

static int tool_unit(void) {
        static const char *const argv[] = { "systemctl", "show", "-p", "ActiveState", "systemd-journald.service", NULL };
        const CommandOptions options = { .timeout_usec = 10 * USEC_PER_SEC };
        _cleanup_(command_result_done) CommandResult result = { 0 };

        return command_run(argv, &options, &result) == 0 && result.status == 0 ? 1 : -1;
}

static const struct {
        const char *name;
        int (*ask)(void);
} questions[] = {
        { "we: cxl, dax and nd", own_devices },
        { "libdaxctl: devices", daxctl_devices },
        { "libndctl: namespaces", ndctl_namespaces },
        { "libcxl: memdevs", cxl_memdevs },
        { "libcxl: regions, targets", cxl_regions },
        { "we: mounts", own_mounts },
        { "libmount: mounts", mount_table },
        { "libudev: uuids", udev_uuids },
        { "libblkid: uuids", blkid_uuids },
        { "sd-bus: a unit", bus_unit },
        { "systemctl: a unit", tool_unit },
};

static int compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv) {
        uint64_t rounds = 20;

        if (argc > 1 && (parse_u64(argv[1], &rounds) < 0 || rounds == 0)) {
                fputs("libraries ROUNDS\n", stderr);
                return EXIT_FAILURE;
        }
        libmount = dlopen("libmount.so.1", RTLD_NOW);
        libblkid = dlopen("libblkid.so.1", RTLD_NOW);

        for (size_t i = 0; i < ELEMENTSOF(questions); i++) {
                _cleanup_free_ uint64_t *took = calloc(rounds, sizeof(*took));
                int found = 0;
                for (uint64_t k = 0; took && k < rounds; k++) {
                        uint64_t begin = now_monotonic();
                        found = questions[i].ask();
                        took[k] = now_monotonic() - begin;
                }
                if (!took)
                        return EXIT_FAILURE;
                qsort(took, rounds, sizeof(*took), compare);
                printf("%-26s min %9ju  median %9ju  max %9ju us  (%d)\n", questions[i].name, (uintmax_t) took[0], (uintmax_t) took[rounds / 2],
                       (uintmax_t) took[rounds - 1], found);
                fflush(stdout);
        }
        return EXIT_SUCCESS;
}
