/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has a name or a number is found by it, in a machine with very many as in one with few. */
#include <sys/resource.h>

#include "tests/unit/test.h"
#include "topology/topology.h"

enum {
        MANY = 100000,
        CPU_SEC = 20, /* a walk over all of them for each of them takes some thousand times what a search takes */
};

static BlockDevice devices[MANY];
static FileSystem file_systems[MANY];
static Slot slots[MANY];
static PciFunction functions[MANY];
static char names[MANY][16], nodes[MANY][24], labels[MANY][32], ports[MANY][16];

static Topology machine(void) {
        for (size_t i = 0; i < MANY; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "cciss!c%zu", i);
                (void) snprintf(nodes[i], sizeof(nodes[i]), "/dev/cciss/c%zu", i);
                (void) snprintf(labels[i], sizeof(labels[i]), "/dev/mapper/volume%zu", i);
                (void) snprintf(ports[i], sizeof(ports[i]), "%05zx:00:00.0", i);
                devices[i] = (BlockDevice) { .name = names[i], .dev = 1000 + i, .kind = BLOCK_DM, .label = labels[i] + strlen("/dev/mapper/") };
                file_systems[i] = (FileSystem) { .dev = MANY - i };
                slots[i] = (Slot) { .name = names[i], .port = i % 2 == 0 ? ports[i] : NULL };
                functions[i] = (PciFunction) { .bdf = ports[i], .slot = names[i] };
        }
        return (Topology) {
                .block_devices = devices, .n_block_devices = MANY, .file_systems = file_systems, .n_file_systems = MANY,
                .slots = slots, .n_slots = MANY, .functions = functions, .n_functions = MANY,
        };
}

static void test_many(void) {
        Topology t = machine();

        CHECK_INT(topology_index_names(&t), 0);
        for (size_t i = 0; i < MANY; i++) {
                CHECK(topology_block_device(&t, names[i]) == &devices[i]);
                CHECK(topology_block_device_at(&t, 1000 + i) == &devices[i]);
                CHECK(topology_block_device_of_path(&t, nodes[i]) == &devices[i]);
                CHECK(topology_block_device_of_path(&t, labels[i]) == &devices[i]);
                CHECK(topology_file_system(&t, 1 + i) == &file_systems[MANY - 1 - i]);
                CHECK(topology_slot_of_function(&t, ports[i]) == &slots[i]);
                CHECK(topology_slot_of_port(&t, ports[i]) == (i % 2 == 0 ? &slots[i] : NULL));
        }
        CHECK(!topology_block_device(&t, "cciss!c") && !topology_block_device(&t, "a") && !topology_block_device(&t, "z"));
        CHECK(!topology_block_device_at(&t, 0) && !topology_block_device_at(&t, 999) && !topology_block_device_at(&t, 1000 + MANY));
        CHECK(!topology_file_system(&t, 0) && !topology_slot(&t, NULL) && !topology_node(&t, 0));
        topology_drop_names(&t);
}

/* Those that came after the sorting are found as well, and of two of one name it is the first in either case. */
static void test_meanwhile(void) {
        static char a[] = "a", b[] = "b", label[] = "raid1";
        BlockDevice some[] = {
                { .name = b, .dev = 7 }, { .name = a, .dev = 7, .kind = BLOCK_MD, .label = label }, { .name = b, .dev = 9 },
                { .name = a }, { .name = (char *) "c", .dev = 1 },
        };
        Node numbered[] = { { .id = 3 }, { .id = 0 } };
        Topology t = { .block_devices = some, .n_block_devices = 4, .nodes = numbered, .n_nodes = 2 };

        for (int again = 0; again < 2; again++) {
                CHECK(topology_block_device(&t, a) == &some[1] && topology_block_device(&t, b) == &some[0]);
                CHECK(topology_block_device_at(&t, 7) == &some[0] && topology_block_device_at(&t, 9) == &some[2]);
                CHECK(topology_node(&t, 0) == &numbered[1] && topology_node(&t, 3) == &numbered[0] && !topology_node(&t, -1));
                CHECK(!topology_mapping(&t, label));
                CHECK_INT(topology_index_names(&t), 0);
        }
        CHECK(!topology_block_device(&t, "c"));
        t.n_block_devices++;
        CHECK(topology_block_device(&t, "c") == &some[4]);
        t.n_block_devices--;
        CHECK(!topology_block_device(&t, "c"));
        topology_drop_names(&t);
}

int main(void) {
        const struct rlimit limit = { CPU_SEC, CPU_SEC };

        CHECK_INT(setrlimit(RLIMIT_CPU, &limit), 0);
        test_many();
        test_meanwhile();
        return EXIT_SUCCESS;
}
