/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes with a card, on machines that are made up because they are hard to come by. */
#include <limits.h>

#include "plan/scope/scope.h"
#include "tests/unit/test.h"

#define NAMES(...) .lower = (char *[]) { __VA_ARGS__ }, .n_lower = sizeof((char *[]) { __VA_ARGS__ }) / sizeof(char *)
#define DEVICES(...) .devices = (char *[]) { __VA_ARGS__ }, .n_devices = sizeof((char *[]) { __VA_ARGS__ }) / sizeof(char *)
#define LAYERS(...) .layers = (dev_t[]) { __VA_ARGS__ }, .n_layers = sizeof((dev_t[]) { __VA_ARGS__ }) / sizeof(dev_t)

static char two[] = "2", three[] = "3", card[] = "0000:02:00.0", other[] = "0000:03:00.0";
static char a[] = "a", b[] = "b", c[] = "c", d[] = "d", e[] = "e", md[] = "md0", dm[] = "dm-0", loop[] = "loop0", text[] = "";

static Slot slots[] = { { .name = two }, { .name = three } };
static PciFunction functions[] = { { .bdf = card, .slot = two }, { .bdf = other, .slot = three } };

static Topology machine(BlockDevice *devices, size_t n) {
        return (Topology) {
                .slots = slots, .n_slots = ELEMENTSOF(slots), .functions = functions, .n_functions = ELEMENTSOF(functions),
                .block_devices = devices, .n_block_devices = n,
        };
}

static bool has_block(const Scope *s, const char *name) {
        for (size_t i = 0; i < s->n_blocks; i++)
                if (streq(s->blocks[i]->name, name))
                        return true;
        return false;
}

static void look(Topology *t, Scope *s) {
        CHECK_INT(topology_index(t), 0);
        CHECK_INT(scope_find(t, &slots[0], s), 0);
        topology_drop_index(t);
}

/* An array of a to e, of which a and b are on the card: a letter for what each is to it. */
static bool array_goes(char *level, uint64_t disks, const char *roles) {
        static const char letters[] = "yr-jf?"; /* in the order of MdRole */
        MdMember members[] = { { .name = a }, { .name = b }, { .name = c }, { .name = d }, { .name = e } };
        MdArray array = { .level = level, .disks = disks, .members = members, .n_members = ELEMENTSOF(members) };
        BlockDevice devices[] = {
                { .name = a, .bdf = card }, { .name = b, .bdf = card }, { .name = c, .bdf = other }, { .name = d }, { .name = e },
                { .name = md, .kind = BLOCK_MD, NAMES(a, b, c, d, e), .array = &array },
                { .name = dm, .kind = BLOCK_DM, NAMES(md) },
        };
        Topology t = machine(devices, ELEMENTSOF(devices));
        _cleanup_(scope_done) Scope s = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                members[i].role = (MdRole) (strchr(letters, roles[i]) - letters);
        look(&t, &s);
        CHECK(has_block(&s, a) && has_block(&s, b) && !has_block(&s, c));
        CHECK_INT(has_block(&s, dm), has_block(&s, md));
        return has_block(&s, md);
}

static void test_arrays(void) {
        char raid1[] = "raid1", raid5[] = "raid5", raid6[] = "raid6", raid10[] = "raid10", raid0[] = "raid0", container[] = "container";

        CHECK(!array_goes(raid1, 5, "yyyyy"));
        CHECK(array_goes(raid1, 5, "yyfff"));   /* the others have failed */
        CHECK(array_goes(raid1, 5, "yrr--"));   /* the last copy, nobody else has all of it yet */
        CHECK(!array_goes(raid1, 5, "yyyff"));  /* c is enough */
        CHECK(!array_goes(raid6, 5, "yyyyy"));
        CHECK(array_goes(raid5, 5, "yyyyy"));
        CHECK(!array_goes(raid5, 4, "y-yyy"));  /* b is a spare */
        CHECK(array_goes(raid5, 4, "y-yyr"));   /* of four, and one of them is not whole */
        CHECK(!array_goes(raid5, 4, "f-yyy"));
        CHECK(!array_goes(raid6, 5, "ffyyy"));  /* a and b have failed already: nothing more is lost */
        CHECK(array_goes(raid10, 5, "yyyyy"));
        CHECK(!array_goes(raid10, 4, "-yyyy"));
        CHECK(array_goes(raid0, 5, "yyyyy"));
        CHECK(array_goes(raid5, 4, "j-yyy"));   /* its journal: it would take no write any more */
        CHECK(!array_goes(raid5, 4, "-fjyy"));
        CHECK(array_goes(raid5, 4, "?-yyy"));   /* who knows what a is */
        CHECK(!array_goes(container, 0, "-----"));
}

/* As long as one path stays the disk does. */
static void test_paths(void) {
        BlockDevice devices[] = {
                { .name = a, .bdf = card }, { .name = b, .bdf = other },
                { .name = c, .multipath = true, NAMES(a, b) },
                { .name = d, .multipath = true, NAMES(a) },
        };
        Topology t = machine(devices, ELEMENTSOF(devices));
        _cleanup_(scope_done) Scope s = { 0 };

        look(&t, &s);
        CHECK(has_block(&s, a) && !has_block(&s, b) && !has_block(&s, c) && has_block(&s, d));
}

/* A file system on two disks, an overlay with a folder on it, a loop device with its file in the overlay, a file system on that. */
static void test_tower(void) {
        BlockDevice devices[] = {
                { .name = loop, .dev = 7, .kind = BLOCK_LOOP, .backing = 50 },
                { .name = a, .dev = 1, .bdf = card }, { .name = b, .dev = 2, .bdf = other },
        };
        FileSystem file_systems[] = {
                { .dev = 7, DEVICES(loop) }, { .dev = 50, LAYERS(40) }, { .dev = 40, DEVICES(b, a) }, { .dev = 2, DEVICES(b) },
        };
        Mount mounts[] = {
                { .ns = 1, .id = 1, .dev = 2 }, { .ns = 1, .id = 2, .parent_id = 1, .dev = 40 },
                { .ns = 1, .id = 3, .parent_id = 1, .dev = 50 }, { .ns = 1, .id = 4, .parent_id = 1, .dev = 7 },
                { .ns = 2, .id = 5, .dev = 40 },
        };
        Swap swaps[] = { { .dev = 40, .file = true, .path = a }, { .dev = 2, .path = b }, { .dev = 1, .path = c } };
        Topology t = machine(devices, ELEMENTSOF(devices));
        t.file_systems = file_systems;
        t.n_file_systems = ELEMENTSOF(file_systems);
        t.mounts = mounts;
        t.n_mounts = ELEMENTSOF(mounts);
        t.swaps = swaps;
        t.n_swaps = ELEMENTSOF(swaps);
        _cleanup_(scope_done) Scope s = { 0 };

        look(&t, &s);
        CHECK_INT(s.n_blocks, 2);
        CHECK_STR(s.blocks[0]->name, loop);
        CHECK_STR(s.blocks[1]->name, a);
        CHECK_INT(s.n_mounts, 4);
        CHECK_INT(s.mounts[0]->dev, 7);
        CHECK_INT(s.mounts[1]->dev, 50);
        CHECK_INT(s.mounts[2]->dev, 40);
        CHECK_INT(s.mounts[3]->dev, 40);
        CHECK_INT(s.n_swaps, 2);
        CHECK_STR(s.swaps[0]->path, a);
        CHECK_STR(s.swaps[1]->path, c);
}

static void look_at_mounts(Mount *mounts, size_t n, Scope *s) {
        static BlockDevice devices[] = { { .name = a, .dev = 1, .bdf = card }, { .name = b, .dev = 2, .bdf = card } };
        static char *on_a[] = { a }, *on_b[] = { b };
        static FileSystem file_systems[] = {
                { .dev = 1, .devices = on_a, .n_devices = 1 }, { .dev = 2, .devices = on_b, .n_devices = 1 },
        };
        Topology t = machine(devices, ELEMENTSOF(devices));

        t.file_systems = file_systems;
        t.n_file_systems = ELEMENTSOF(file_systems);
        t.mounts = mounts;
        t.n_mounts = n;
        look(&t, s);
}

/* What is mounted in the other, even with something of another card between, goes first, and of one the deeper. */
static void test_nested(void) {
        Mount mounts[] = {
                { .ns = 1, .id = 1, .dev = 9 }, { .ns = 1, .id = 2, .parent_id = 1, .dev = 1 }, { .ns = 1, .id = 3, .parent_id = 2, .dev = 9 },
                { .ns = 1, .id = 4, .parent_id = 3, .dev = 2 }, { .ns = 1, .id = 5, .parent_id = 4, .dev = 2 },
        };
        _cleanup_(scope_done) Scope s = { 0 };

        look_at_mounts(mounts, ELEMENTSOF(mounts), &s);
        CHECK_INT(s.n_mounts, 3);
        CHECK_INT(s.mounts[0]->id, 5);
        CHECK_INT(s.mounts[1]->id, 4);
        CHECK_INT(s.mounts[2]->id, 2);
}

/* Each is mounted on a folder of the other: there is no order, but an end. */
static void test_in_each_other(void) {
        Mount mounts[] = {
                { .ns = 1, .id = 1, .dev = 1 }, { .ns = 1, .id = 2, .parent_id = 1, .dev = 2 },
                { .ns = 1, .id = 3, .dev = 2 }, { .ns = 1, .id = 4, .parent_id = 3, .dev = 1 },
                { .ns = 2, .id = 1, .parent_id = 2, .dev = 1 }, { .ns = 2, .id = 2, .parent_id = 1, .dev = 1 },
        };
        _cleanup_(scope_done) Scope s = { 0 };

        look_at_mounts(mounts, ELEMENTSOF(mounts), &s);
        CHECK_INT(s.n_mounts, 6);
}

/* Two modules in their sockets make one region; a third has one of its own. */
static void test_modules(void) {
        Slot sockets[] = { { .name = a, .nmem = a }, { .name = b, .nmem = b }, { .name = c, .nmem = c } };
        Nmem nmems[] = { { .name = a, .bus = text }, { .name = b, .bus = text }, { .name = c, .bus = text } };
        char *both[] = { a, b }, *third[] = { c };
        NdRegion regions[] = {
                { .name = d, .start = 1, .nmems = both, .n_nmems = 2 }, { .name = e, .start = 2, .nmems = third, .n_nmems = 1 },
        };
        Topology t = {
                .slots = sockets, .n_slots = 3, .nmems = nmems, .n_nmems = 3, .nd_regions = regions, .n_nd_regions = 2,
        };
        _cleanup_(scope_done) Scope s = { 0 };

        CHECK_INT(scope_find(&t, &sockets[0], &s), 0);
        CHECK_INT(s.n_nmems, 1);
        CHECK_STR(s.nmems[0]->name, a);
        CHECK_INT(s.n_nmem_peers, 1);
        CHECK_STR(s.nmem_peers[0]->name, b);
        CHECK_INT(s.n_nd_regions, 1);
        CHECK_STR(s.nd_regions[0]->name, d);
}

int main(void) {
        test_arrays();
        test_paths();
        test_tower();
        test_nested();
        test_in_each_other();
        test_modules();
        return EXIT_SUCCESS;
}
