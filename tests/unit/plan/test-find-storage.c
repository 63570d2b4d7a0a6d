/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in the way of taking storage down, on machines that are made up; what a recorded one has stands in its golden plans. */
#include "plan/find/blockers.h"
#include "tests/unit/test.h"

#define MUCH (UINT64_C(1) << 60)

static char two[] = "2", card[] = "0000:02:00.0", other[] = "0000:03:00.0", a[] = "a", b[] = "b", type[] = "btrfs";
static char root[] = "/", state[] = "/srv", journal[] = "/var/log/journal", data[] = "/data", dev_a[] = "/dev/a";
static char *on_a[] = { a }, *on_b[] = { b }, *on_both[] = { b, a };

static Slot slots[] = { { .name = two } };
static PciFunction functions[] = { { .bdf = card, .slot = two } };
static BlockDevice devices[] = { { .name = a, .dev = 1, .bdf = card }, { .name = b, .dev = 2, .bdf = other } };

static Topology machine(FileSystem *file_systems, size_t n, Mount *mounts, size_t n_mounts) {
        return (Topology) {
                .slots = slots, .n_slots = 1, .functions = functions, .n_functions = 1, .block_devices = devices, .n_block_devices = 2,
                .file_systems = file_systems, .n_file_systems = n, .mounts = mounts, .n_mounts = n_mounts,
        };
}

static void check_codes(json_object *findings, const char *expected) {
        _cleanup_free_ char *codes = json_joined(findings, "code", " ");

        CHECK_STR(codes, expected);
}

static void check(Topology *t, const char *blockers, const char *warnings) {
        const PlanRequest request = { .state_dir = state };
        _cleanup_json_ json_object *hard = json_object_new_array(), *soft = json_object_new_array();
        _cleanup_(scope_done) Scope s = { 0 };

        CHECK_INT(topology_index(t), 0);
        CHECK_INT(scope_find(t, &slots[0], &s), 0);
        Findings f = { .t = t, .s = &s, .request = &request, .blockers = hard, .warnings = soft };
        CHECK_INT(find_storage(&f), 0);
        check_codes(hard, blockers);
        check_codes(soft, warnings);
        topology_drop_index(t);
}

/* What is mounted on `target`, besides a root that stays. */
static void check_place(char *target, uint64_t ns, const char *blockers) {
        FileSystem file_systems[] = { { .dev = 1, .devices = on_a, .n_devices = 1 }, { .dev = 2, .devices = on_b, .n_devices = 1 } };
        Mount mounts[] = {
                { .ns = 1, .pid = 1, .id = 1, .dev = 2, .target = root, .source = dev_a, .type = type },
                { .ns = 7, .pid = 9, .id = 2, .dev = 2, .target = root, .source = dev_a, .type = type },
                { .ns = ns, .pid = ns == 1 ? 1 : 9, .id = 3, .parent_id = ns == 1 ? 1 : 2, .dev = 1, .target = target, .source = dev_a,
                  .type = type },
        };
        Topology t = machine(file_systems, ELEMENTSOF(file_systems), mounts, ELEMENTSOF(mounts));

        check(&t, blockers, "");
}

static void test_system(void) {
        FileSystem file_systems[] = { { .dev = 1, .devices = on_a, .n_devices = 1 } };
        Mount mounts[] = { { .ns = 1, .pid = 1, .id = 1, .dev = 1, .target = root, .source = dev_a, .type = type } };
        Topology t = machine(file_systems, 1, mounts, 1);

        /* All of "/", "/usr", "/etc", "/var", the journal, "/run", "/tmp", and our own records. */
        check(&t, "SYSTEM_FS SYSTEM_FS SYSTEM_FS SYSTEM_FS SYSTEM_FS SYSTEM_FS SYSTEM_FS SYSTEM_FS", "");
        check_place(data, 1, "");
        check_place(journal, 1, "SYSTEM_FS");
        check_place(state, 1, "SYSTEM_FS");
        check_place(journal, 7, ""); /* a container's */
}

static void test_below(void) {
        char below[] = "/data/below";
        FileSystem file_systems[] = { { .dev = 1, .devices = on_a, .n_devices = 1 }, { .dev = 2, .devices = on_b, .n_devices = 1 } };
        Mount mounts[] = {
                { .ns = 1, .pid = 1, .id = 1, .dev = 9, .target = root, .source = dev_a, .type = type },
                { .ns = 1, .pid = 1, .id = 2, .parent_id = 1, .dev = 1, .target = data, .source = dev_a, .type = type },
                { .ns = 1, .pid = 1, .id = 3, .parent_id = 2, .dev = 2, .target = below, .source = dev_a, .type = type },
                { .ns = 7, .pid = 9, .id = 4, .dev = 1, .target = data, .source = dev_a, .type = type },
                { .ns = 7, .pid = 9, .id = 5, .parent_id = 4, .dev = 2, .target = below, .source = dev_a, .type = type },
        };
        Topology t = machine(file_systems, ELEMENTSOF(file_systems), mounts, ELEMENTSOF(mounts));

        check(&t, "MOUNT_BELOW", ""); /* its copy in the other namespace is not told again */
}

static void check_swap(uint64_t used, uint64_t elsewhere, const char *blockers) {
        Swap swaps[] = { { .path = dev_a, .dev = 1, .size = MUCH, .used = used }, { .path = b, .dev = 2, .size = MUCH, .used = MUCH - elsewhere } };
        Topology t = machine(NULL, 0, NULL, 0);

        t.swaps = swaps;
        t.n_swaps = ELEMENTSOF(swaps);
        check(&t, blockers, "");
}

/* What is free on the card itself takes nothing. */
static void test_swap(void) {
        check_swap(0, 0, "");
        check_swap(MUCH / 4, 0, "NO_ROOM");
        check_swap(MUCH / 4, MUCH / 2, "");
}

static void test_spanning(void) {
        FileSystem file_systems[] = { { .dev = 40, .type = type, .devices = on_both, .n_devices = 2 } };
        Topology t = machine(file_systems, 1, NULL, 0);

        check(&t, "", "SPANS_DEVICES");
        file_systems[0].devices = on_b;
        file_systems[0].n_devices = 1;
        check(&t, "", "");
        file_systems[0].devices = on_a;
        check(&t, "", "");
}

int main(void) {
        test_system();
        test_below();
        test_swap();
        test_spanning();
        return EXIT_SUCCESS;
}
