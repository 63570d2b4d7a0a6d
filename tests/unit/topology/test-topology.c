/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2". What topology_load() sees is compared with golden files; here are the finders, and
 * what a machine that changes or answers nonsense does. */
#include <daxctl/libdaxctl.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"
#include "topology/topology.h"

#define CXL "/sys/bus/cxl/devices"

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f);
        fputs(text, f);
}

static Topology *load(void) {
        Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        return t;
}

static void test_finders(void) {
        _cleanup_(topology_freep) Topology *t = load();

        const Slot *s = topology_slot(t, "2");
        CHECK(s);
        CHECK_STR(s->port, "0000:0c:00.0");
        CHECK(topology_slot_of_port(t, "0000:0c:00.0") == s);
        CHECK(topology_slot_of_function(t, "0000:0d:00.0") == s);
        CHECK(!topology_slot_of_function(t, "0000:0c:00.0")); /* the port itself is not in the slot */
        CHECK(!topology_slot_of_function(t, "0000:00:00.0"));
        CHECK(!topology_slot_of_function(t, "0000:99:00.0"));
        CHECK(!topology_slot(t, "22"));
        CHECK(!topology_slot(t, NULL));
        CHECK(!topology_slot_of_port(t, NULL)); /* slot 0 has no port */

        CHECK_STR(topology_function(t, "0000:0d:00.0")->driver, "cxl_pci");
        CHECK_STR(topology_memdev(t, "mem1")->bdf, "0000:0d:00.0");
        CHECK_INT(topology_region(t, "region0")->start, 0x490000000);
        CHECK_STR(topology_dax(t, "dax0.0")->region, "region0");
        CHECK_INT(topology_node(t, 1)->total, 512 << 20);
        CHECK(!topology_memdev(t, "mem9"));
        CHECK(!topology_region(t, "region9"));
        CHECK(!topology_dax(t, "dax9.0"));
        CHECK(!topology_node(t, 9));
        CHECK(!topology_node(t, -1));

        const Region *g = topology_region(t, "region0");
        CHECK(region_uses_memdev(g, "mem1"));
        CHECK(!region_uses_memdev(g, "mem0"));
        CHECK(!region_uses_memdev(g, NULL));
}

/* The endpoint goes first: the target is still one, but of nobody known. */
static void test_endpoint_gone(void) {
        CHECK_INT(rename(CXL "/endpoint3/uport", CXL "/endpoint3/was"), 0);
        _cleanup_(topology_freep) Topology *t = load();
        CHECK_INT(rename(CXL "/endpoint3/was", CXL "/endpoint3/uport"), 0);

        const Region *g = topology_region(t, "region0");
        CHECK_INT(g->n_targets, 1);
        CHECK_STR(g->targets[0].decoder, "decoder3.0");
        CHECK_STR(g->targets[0].memdev, NULL);
}

/* A name whose device is gone is left out. */
static void test_gone(void) {
        CHECK_INT(symlink("../../../devices/nowhere/mem7", CXL "/mem7"), 0);
        CHECK_INT(symlink("../../../devices/nowhere/region7", CXL "/region7"), 0);
        CHECK_INT(symlink("../../../devices/nowhere/dax7.0", "/sys/bus/dax/devices/dax7.0"), 0);
        CHECK_INT(symlink("../../../devices/nowhere/0000:7f:00.0", "/sys/bus/pci/devices/0000:7f:00.0"), 0);

        _cleanup_(topology_freep) Topology *t = load();
        CHECK_INT(t->n_memdevs, 2);
        CHECK_INT(t->n_regions, 1);
        CHECK_INT(t->n_daxes, 1);
        CHECK(!topology_function(t, "0000:7f:00.0"));
        CHECK_INT(t->n_odd, 0);
}

/* It is noted, with what it is of; the rest is as before. */
static void check_odd(const char *path, int error) {
        _cleanup_(topology_freep) Topology *t = load();

        fprintf(stderr, "%s:\n", path);
        CHECK_INT(t->n_odd, 1);
        CHECK_STR(t->odd[0].path, path);
        CHECK_INT(t->odd[0].error, error);
        CHECK(!t->odd[0].where == !strstr(path, "/bus/"));
        CHECK(topology_function(t, "0000:0d:00.0") && topology_memdev(t, "mem1") && topology_region(t, "region0") && topology_dax(t, "dax0.0"));
}

static void check_nothing_odd(void) {
        _cleanup_(topology_freep) Topology *t = load();

        CHECK_INT(t->n_odd, 0);
}

static void test_nonsense(void) {
        static const struct {
                const char *path, *bad, *good;
                int r;
        } cases[] = {
                { CXL "/region0/interleave_ways", "4000000000\n", "1\n", -ERANGE },
                { CXL "/region0/target0", "decoder\n", "decoder3.0\n", -EBADMSG },
                { CXL "/region0/size", "-5\n", "0x20000000\n", -EINVAL },
                { CXL "/mem1/serial", "one\n", "0x1\n", -EINVAL },
                { "/sys/bus/dax/devices/dax0.0/resource", "\n", "0x490000000\n", -EINVAL },
                { "/sys/bus/dax/devices/dax0.0/target_node", "-2\n", "1\n", -EINVAL },
                { "/sys/bus/pci/devices/0000:0d:00.0/vendor", "0x1ffffffff\n", "0x8086\n", -ERANGE },
                { "/sys/devices/system/memory/block_size_bytes", "x\n", "8000000\n", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put(cases[i].path, cases[i].bad);
                check_odd(cases[i].path, cases[i].r);
                put(cases[i].path, cases[i].good);
                check_nothing_odd();
        }
}

/* A region that was just created has no addresses (they read as -1), no ways, no targets. */
static void test_unconfigured_region(void) {
        put(CXL "/region0/resource", "0xffffffffffffffff\n");
        put(CXL "/region0/size", "0\n");
        put(CXL "/region0/interleave_ways", "0\n");
        put(CXL "/region0/commit", "0\n");
        _cleanup_(topology_freep) Topology *t = load();

        const Region *g = topology_region(t, "region0");
        CHECK_INT(g->start, 0);
        CHECK_INT(g->size, 0);
        CHECK_INT(g->n_targets, 0);
        CHECK(!g->committed);
}

#define DAX "/sys/bus/dax/devices/dax0.0"

static void put_range(unsigned n, uint64_t start, uint64_t last, uint64_t page_offset) {
        const struct { const char *name; uint64_t value; } attributes[] = { { "start", start }, { "end", last }, { "page_offset", page_offset } };
        _cleanup_free_ char *folder = strf(DAX "/mapping%u", n);

        CHECK(mkdir(folder, 0755) == 0 || errno == EEXIST);
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, attributes[i].name), *text = strf("0x%jx\n", (uintmax_t) attributes[i].value);
                put(path, text);
        }
}

/* 256 MiB in two ranges of the region's 512 MiB, the higher one first. Two ranges are not one: what lies between them is somebody else's. */
static void test_dax_ranges(void) {
        put(DAX "/size", "268435456\n");
        put(DAX "/resource", "0x4a0000000\n");
        put_range(0, 0x490000000, 0x497ffffff, 0x8000);
        put_range(1, 0x4a0000000, 0x4a7ffffff, 0);
        _cleanup_(topology_freep) Topology *t = load();
        const DaxDevice *d = topology_dax(t, "dax0.0");

        CHECK_INT(t->n_odd, 0);
        CHECK_INT(d->n_ranges, 2);
        CHECK_INT(d->start, 0x4a0000000);
        CHECK_INT(d->ranges[0].start, 0x4a0000000);
        CHECK_INT(d->ranges[1].start, 0x490000000);
        CHECK_INT(d->ranges[1].size, 0x8000000);
        CHECK(dax_has_span(d, 0x490000000, 0x8000000) && dax_has_span(d, 0x4a0001000, 0x1000));
        CHECK(!dax_has_span(d, 0x498000000, 0x8000000) && !dax_has_span(d, 0x490000000, 0x8001000));
        CHECK(dax_overlaps(d, 0x497fff000, 0x2000) && !dax_overlaps(d, 0x498000000, 0x8000000));
}

/* Without ranges, and so noted: nothing that was not read is taken for what was. */
static void check_dax_odd(const char *path, int error) {
        _cleanup_(topology_freep) Topology *t = load();

        CHECK_INT(t->n_odd, 1);
        CHECK_STR(t->odd[0].path, path);
        CHECK_INT(t->odd[0].error, error);
        CHECK_INT(topology_dax(t, "dax0.0")->n_ranges, 0);
        CHECK(!dax_overlaps(topology_dax(t, "dax0.0"), 0x490000000, 0x20000000));
}

/* What libdaxctl cannot read it leaves out, or says in another way; and a machine may say what cannot be. */
static void test_dax_unread(void) {
        CHECK_INT(rename(DAX "/mapping1/end", DAX "/mapping1/was"), 0);
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* the list ends at the first range, which is not all of it */
        CHECK_INT(rename(DAX "/mapping1/was", DAX "/mapping1/end"), 0);
        CHECK_INT(rename(DAX "/mapping0/start", DAX "/mapping0/was"), 0);
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* one that cannot be read */
        CHECK_INT(rename(DAX "/mapping0/was", DAX "/mapping0/start"), 0);
        CHECK_INT(rename(DAX "/mapping0", DAX "/was0"), 0);
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* none at all, and not because this kernel has none */
        CHECK_INT(rename(DAX "/was0", DAX "/mapping0"), 0);
        put_range(0, 0x490000000, 0x497ffffff, 0x9000);
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* a gap in the device */
        put_range(0, 0x490000000, UINT64_MAX, 0x8000);
        check_dax_odd(DAX "/mapping0", -EBADMSG);
        put_range(0, 0, 0x7ffffff, 0x8000);
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* 0 is what it says of what it cannot read as a number */
        put_range(0, 0x490000000, 0x497ffffff, 0x8000);
        put(DAX "/resource", "0x490000000\n");
        check_dax_odd(DAX "/mapping0", -EBADMSG);                       /* the device begins elsewhere */
        put(DAX "/resource", "0x4a0000000\n");
        CHECK_INT(rename(DAX "/size", DAX "/was"), 0);
        check_dax_odd(DAX "/size", -ENOENT);
        CHECK_INT(rename(DAX "/was", DAX "/size"), 0);
        CHECK_INT(rename("/dev/dax0.0", "/dev/was"), 0);
        check_dax_odd(DAX "/dev", -ENODATA);
        CHECK_INT(rename("/dev/was", "/dev/dax0.0"), 0);
}

static uint64_t lie; /* of the library, about where a range is: it fits together as well */

unsigned long long daxctl_mapping_get_start(struct daxctl_mapping *mapping) {
        unsigned long long (*next)(struct daxctl_mapping *) = (unsigned long long (*)(struct daxctl_mapping *)) dlsym(RTLD_NEXT, __func__);

        return next(mapping) + (next(mapping) == 0x490000000 ? lie : 0);
}

unsigned long long daxctl_mapping_get_end(struct daxctl_mapping *mapping) {
        unsigned long long (*next)(struct daxctl_mapping *) = (unsigned long long (*)(struct daxctl_mapping *)) dlsym(RTLD_NEXT, __func__);

        return next(mapping) + (next(mapping) == 0x497ffffff ? lie : 0);
}

/* What the library says is not taken where the folder says otherwise. */
static void test_dax_lie(void) {
        lie = 0x1000;
        check_dax_odd(DAX "/mapping0", -EBADMSG);
        lie = 0;
}

/* One whose node we have hidden is none that the library sees. */
static void test_dax_hidden(void) {
        CHECK_INT(rename("/dev/dax0.0", "/dev/.safe-remove.dax0.0"), 0);
        _cleanup_(topology_freep) Topology *t = load();
        const DaxDevice *d = topology_dax(t, "dax0.0");

        CHECK_INT(t->n_odd, 0);
        CHECK_INT(d->n_ranges, 2);
        CHECK_INT(d->ranges[1].start, 0x490000000);
        CHECK_INT(rename(DAX "/mapping1/end", DAX "/mapping1/was"), 0);
        check_dax_odd(DAX "/dev", -ENODATA);
        CHECK_INT(rename(DAX "/mapping1/was", DAX "/mapping1/end"), 0);
        CHECK_INT(rename("/dev/.safe-remove.dax0.0", "/dev/dax0.0"), 0);
}

/* Kernels that tell of no ranges have one for each device. */
static void test_dax_without_ranges(void) {
        CHECK_INT(rename(DAX "/mapping0", DAX "/was0"), 0);
        CHECK_INT(rename(DAX "/mapping1", DAX "/was1"), 0);
        _cleanup_(topology_freep) Topology *t = load();
        CHECK_INT(rename(DAX "/was0", DAX "/mapping0"), 0);
        CHECK_INT(rename(DAX "/was1", DAX "/mapping1"), 0);

        CHECK_INT(t->n_odd, 0);
        CHECK_INT(topology_dax(t, "dax0.0")->n_ranges, 1);
        CHECK(dax_has_span(topology_dax(t, "dax0.0"), 0x4a0000000, 0x10000000));
}

/* A seed is nothing yet; nor is it what begins where it says, its region's begin. */
static void test_dax_seed(void) {
        _cleanup_free_ char *name = NULL;

        CHECK_INT(mkdir("/sys/devices/dax0.1", 0755), 0);
        CHECK_INT(symlink("../../../devices/dax0.1", "/sys/bus/dax/devices/dax0.1"), 0);
        put("/dev/dax0.1", "");
        put("/sys/devices/dax0.1/size", "0\n");
        put("/sys/devices/dax0.1/resource", "0x490000000\n");
        put("/sys/devices/dax0.1/target_node", "-1\n");

        _cleanup_(topology_freep) Topology *t = load();
        CHECK_INT(t->n_daxes, 1);
        CHECK_INT(dax_find(0x490000000, &name), -ENODEV);
        CHECK_INT(dax_find(0x4a0000000, &name), 0);
        CHECK_STR(name, "dax0.0");
        CHECK_INT(rename(DAX "/resource", DAX "/was"), 0);
        put(DAX "/resource", "no address\n");
        char *other = NULL;
        CHECK_INT(dax_find(0x4a0000000, &other), -EINVAL);              /* it may be this one: not knowing is not "gone" */
}

static void check_foreign(const char *want) {
        _cleanup_(topology_freep) Topology *t = load();
        _cleanup_free_ char *list = strdup("");

        CHECK_STR(topology_block_device(t, "nvme0n1")->bdf, "0000:0d:00.0");
        for (size_t i = 0; i < t->n_foreign; i++) {
                const ForeignChild *c = &t->foreign[i];
                if (!streq_ptr(c->bdf, "0000:0d:00.0")) {
                        CHECK_STR(c->name, "virtio3"); /* in slot 0 */
                        CHECK_STR(c->driver, "virtio_rng");
                        continue;
                }
                CHECK_INT(text_add(&list, " ", "%s", c->name), 0);
        }
        CHECK_STR(list, want);
}

/* What stands on a card and its driver does not account for, at any depth. A block device is known when it is one of those there are: a
 * disk whose driver is just taking it away is better mentioned once too often. */
static void test_foreign(void) {
        static const char card[] = "/sys/bus/pci/devices/0000:0d:00.0";
        static const char driver[] = "/sys/bus/pci/devices/0000:0d:00.0/driver", aside[] = "/sys/bus/pci/devices/0000:0d:00.0/driver-aside";
        static const char *const made[][2] = {
                { "nvme", NULL },
                { "nvme/nvme0", "nvme" },
                { "nvme/nvme0/nvme0n1", "block" },
                { "nvme/nvme0/nvme0n2", "block" },
                { "nvme/nvme0/eth0", "net" },
                { "fwctl", NULL },
                { "fwctl/fwctl0", "fwctl" },
        };

        for (size_t i = 0; i < ELEMENTSOF(made); i++) {
                _cleanup_free_ char *path = strf("%s/%s", card, made[i][0]), *link = strf("%s/subsystem", path);
                _cleanup_free_ char *target = strf("../../class/%s", made[i][1] ?: "");
                CHECK_INT(mkdir(path, 0755), 0);
                if (made[i][1])
                        CHECK_INT(symlink(target, link), 0);
        }
        CHECK_INT(mkdir("/sys/class", 0755), 0);
        CHECK_INT(mkdir("/sys/class/block", 0755), 0);
        CHECK_INT(symlink("../../bus/pci/devices/0000:0d:00.0/nvme/nvme0/nvme0n1", "/sys/class/block/nvme0n1"), 0);
        put("/sys/class/block/nvme0n1/dev", "259:1\n");
        put("/sys/class/block/nvme0n1/size", "8\n");

        check_foreign("eth0 nvme0 nvme0n1 nvme0n2"); /* cxl_pci makes no disks */
        CHECK_INT(rename(driver, aside), 0);
        check_foreign("eth0 fwctl0 mem1 mem1 nvme0 nvme0n1 nvme0n2"); /* nobody accounts for anything */
        CHECK_INT(symlink("../../../../bus/pci/drivers/nvme", driver), 0);
        check_foreign("eth0 fwctl0 mem1 mem1 nvme0n2");
        CHECK_INT(rename(aside, driver), 0);
}

static void make_block(const char *name, const char *folder, const char *attributes[][2], size_t n) {
        _cleanup_free_ char *top = strf("/sys/class/block/%s", name), *sub = strf("%s/%s", top, folder);
        _cleanup_free_ char *device = strf("/sys/devices/%s", name), *target = strf("../../devices/%s", name);

        CHECK_INT(mkdir(device, 0755), 0);
        CHECK_INT(symlink(target, top), 0);
        CHECK_INT(mkdir(sub, 0755), 0);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *path = strf("%s/%s", top, attributes[i][0]);
                put(path, attributes[i][1]);
        }
}

/* An array that was not started has nothing to say about itself, but its members are taken; a mapping or loop device without a
 * name or file is not there, nor is a reader without a card. A disk whose controller was given up still has its users. */
static void test_block_kinds(void) {
        static const char *md[][2] = { { "dev", "9:1\n" }, { "size", "0\n" }, { "md/level", "" }, { "md/raid_disks", "" },
                                         { "md/array_state", "clear\n" } };
        static const char *dm[][2] = { { "dev", "252:0\n" }, { "size", "8\n" } };
        static const char *loop[][2] = { { "dev", "7:0\n" }, { "size", "0\n" } };
        static const char *dead[][2] = { { "dev", "259:70\n" }, { "size", "0\n" } }, *reader[][2] = { { "dev", "8:112\n" }, { "size", "0\n" } };

        make_block("md1", "md", md, ELEMENTSOF(md));
        CHECK_INT(mkdir("/sys/class/block/md1/slaves", 0755), 0);
        CHECK_INT(mkdir("/sys/class/block/md1/slaves/nvme0n1", 0755), 0);
        make_block("dm-0", "dm", dm, ELEMENTSOF(dm));
        make_block("loop0", "queue", loop, ELEMENTSOF(loop));
        make_block("nvme7n1", "queue", dead, ELEMENTSOF(dead));
        make_block("sdh", "queue", reader, ELEMENTSOF(reader));

        _cleanup_(topology_freep) Topology *t = load();
        const BlockDevice *b = topology_block_device(t, "md1");
        CHECK(b);
        CHECK_INT(b->kind, BLOCK_MD);
        CHECK_STR(b->label, "none");
        CHECK(b->array && b->array->inactive && md_members_needed(b->array) == UINT64_MAX);
        CHECK_INT(b->n_lower, 1);
        CHECK_STR(b->lower[0], "nvme0n1");
        CHECK(!topology_block_device(t, "dm-0"));
        CHECK(!topology_block_device(t, "loop0"));
        CHECK(topology_block_device(t, "nvme7n1"));
        CHECK_INT(t->n_odd, 0);
        CHECK(!topology_block_device(t, "sdh"));
}

/* What cannot be read of an array is not the answer of one at rest. */
static void test_unreadable_array(void) {
        static const char *const attributes[] = { "sync_action", "resync_start", "reshape_position", "raid_disks", "array_state",
                                                  "metadata_version", "bitmap/location", "dev-sdz/slot", "dev-sdz/bad_blocks" };

        CHECK_INT(mkdir("/sys/class/block/md1/md/bitmap", 0755), 0);
        CHECK_INT(mkdir("/sys/class/block/md1/md/dev-sdz", 0755), 0);
        put("/sys/class/block/md1/md/dev-sdz/state", "in_sync\n");
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                _cleanup_free_ char *path = strf("/sys/class/block/md1/md/%s", attributes[i]);
                (void) remove(path);
                CHECK_INT(mkdir(path, 0755), 0);
                _cleanup_(topology_freep) Topology *t = load();
                fprintf(stderr, "%s:\n", path);
                CHECK_INT(t->n_odd, 1);
                CHECK_STR(t->odd[0].path, "/sys/class/block/md1/md");
                CHECK_INT(t->odd[0].error, -EISDIR);
                CHECK(topology_block_device(t, "md1"));
                CHECK_INT(rmdir(path), 0);
        }
        put("/sys/class/block/md1/md/array_state", "clear\n");
        check_nothing_odd();
}

/* A card keeps what is on it unless it says that it has nothing to keep it on, and no memory module is made of it. */
static void test_persistent(void) {
        static const struct {
                const char *size;       /* NULL: not there */
                bool has_nmem, known, keeps_data;
        } cases[] = {
                { "0x0\n", false, true, false }, { "0x1000\n", false, true, true }, { NULL, false, false, true }, { "what\n", false, false, true },
                { "0x0\n", true, true, true },
        };
        const char *path = CXL "/mem1/pmem/size";

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                (void) remove(path);
                if (cases[i].size)
                        put(path, cases[i].size);
                if (cases[i].has_nmem) {
                        test_make_folders(CXL "/mem1/pmem9");
                        test_make_folders("/sys/bus/nd/devices/nmem9/cxl");
                        CHECK_INT(symlink("../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem1/pmem9", CXL "/pmem9"), 0);
                        put("/sys/bus/nd/devices/nmem9/cxl/provider", "pmem9\n");
                }
                _cleanup_(topology_freep) Topology *t = load();
                fprintf(stderr, "%s:\n", cases[i].size ?: "not there");
                CHECK_INT(topology_memdev(t, "mem1")->pmem_known, cases[i].known);
                CHECK_INT(topology_memdev(t, "mem1")->keeps_data, cases[i].keeps_data);
        }
}

int main(void) {
        test_finders();
        test_endpoint_gone();
        test_gone();
        test_nonsense();
        test_foreign();
        test_block_kinds();
        test_unreadable_array();
        test_dax_ranges();
        test_dax_unread();
        test_dax_lie();
        test_dax_hidden();
        test_dax_without_ranges();
        test_dax_seed();
        test_unconfigured_region();
        test_persistent();
        return EXIT_SUCCESS;
}
