/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As many mounts as the kernel lets anybody make (fs.mount-max), and as many overlays: a plan takes its time for each once. Whatever looks
 * at all of them for each of them takes some thousand times that, and is ended by the limit. */
#include <sys/resource.h>

#include "plan/find/blockers.h"
#include "plan/plan-storage.h"
#include "tests/unit/test.h"

enum {
        MANY = 100000,
        CPU_SEC = 20,
        CARD = 1, OTHER = 2, FIRST_OVERLAY = 1000,
};

static char two[] = "2", a[] = "a", b[] = "b", slash[] = "/", srv[] = "/srv", bdf[] = "0000:02:00.0", text[] = "x", type[] = "ext4";
static char overlay_type[] = "overlay";
static char *on_a[] = { a }, *on_b[] = { b };
static Slot slots[] = { { .name = two } };
static PciFunction functions[] = { { .bdf = bdf, .slot = two } };
static BlockDevice devices[] = { { .name = a, .dev = CARD, .bdf = bdf }, { .name = b, .dev = OTHER } };
static dev_t card_layer[] = { CARD };

static Mount mounts[MANY + 3];
static FileSystem file_systems[MANY + 2];

static Topology machine(size_t n_overlays) {
        file_systems[0] = (FileSystem) { .dev = CARD, .type = type, .devices = on_a, .n_devices = 1 };
        file_systems[1] = (FileSystem) { .dev = OTHER, .type = type, .devices = on_b, .n_devices = 1 };
        for (size_t i = 0; i < n_overlays; i++)
                file_systems[i + 2] = (FileSystem) { .dev = FIRST_OVERLAY + i, .type = overlay_type, .layers = card_layer, .n_layers = 1 };
        return (Topology) {
                .slots = slots, .n_slots = 1, .functions = functions, .n_functions = 1, .block_devices = devices, .n_block_devices = 2,
                .file_systems = file_systems, .n_file_systems = n_overlays + 2, .mounts = mounts, .n_mounts = ELEMENTSOF(mounts),
        };
}

static Mount a_mount(uint64_t ns, uint64_t id, uint64_t parent, dev_t dev, char *target) {
        return (Mount) {
                .ns = ns, .pid = (int) ns, .id = id, .parent_id = parent, .dev = dev, .root = slash, .target = target, .options = text,
                .propagation = text, .type = type, .source = text, .super_options = text, .foreign = ns != 1,
        };
}

static void host_mounts(void) {
        mounts[0] = a_mount(1, 1, 0, OTHER, slash);
        mounts[1] = a_mount(1, 2, 1, CARD, srv);
        mounts[2] = a_mount(2, 1, 0, OTHER, slash);
}

/* The whole way of a plan that looks at mounts. Returns how many findings there are. */
static size_t look(Topology *t, size_t n_in_scope) {
        const Policy policy = policy_default();
        const PlanRequest request = { .policy = &policy };
        _cleanup_json_ json_object *hard = json_object_new_array(), *soft = json_object_new_array();
        _cleanup_(scope_done) Scope s = { 0 };
        _cleanup_(plan_freep) Plan *p = NULL;

        CHECK_INT(topology_index(t), 0);
        CHECK_INT(scope_find(t, &slots[0], &s), 0);
        CHECK_INT(s.n_mounts, n_in_scope);
        Findings f = { .t = t, .s = &s, .request = &request, .blockers = hard, .warnings = soft };
        CHECK_INT(find_storage(&f), 0);
        CHECK_INT(plan_new(&p), 0);
        CHECK_INT(plan_add_storage(p, t, &s, &request), 0);
        topology_drop_index(t);
        return json_len(hard);
}

/* One on the other, all of the card's file system. */
static void test_stacked(void) {
        Topology t = machine(0);

        host_mounts();
        for (size_t i = 3; i < ELEMENTSOF(mounts); i++)
                mounts[i] = a_mount(2, i, i == 3 ? 1 : i - 1, CARD, srv);
        CHECK_INT(look(&t, MANY + 1), 1);
}

/* Others', one beside the other, inside of the machine's own mount of the card. */
static void test_inside(void) {
        Topology t = machine(0);
        static char targets[MANY][24];

        host_mounts();
        for (size_t i = 3; i < ELEMENTSOF(mounts); i++) {
                (void) snprintf(targets[i - 3], sizeof(targets[0]), "/srv/%zu", i);
                mounts[i] = a_mount(1, i, 2, 77, targets[i - 3]);
        }
        CHECK_INT(look(&t, 1), 17); /* 16, and how many more there are */

        CHECK_INT(topology_index(&t), 0);
        for (size_t i = 3; i < ELEMENTSOF(mounts); i++)
                CHECK(topology_mount_of_path(&t, 1, mounts[i].target) == &mounts[i]);
        topology_drop_index(&t);
}

/* Overlays in overlays; the last one lies under the first. */
static void test_overlays(void) {
        Topology t = machine(MANY / 10);

        host_mounts();
        for (size_t i = 3; i < ELEMENTSOF(mounts); i++)
                mounts[i] = a_mount(2, i, i == 3 ? 1 : i - 1, FIRST_OVERLAY + i % (MANY / 10), srv);
        CHECK_INT(look(&t, MANY + 1), 1);
}

int main(void) {
        const struct rlimit limit = { CPU_SEC, CPU_SEC };

        CHECK_INT(setrlimit(RLIMIT_CPU, &limit), 0);
        test_stacked();
        test_inside();
        test_overlays();
        return EXIT_SUCCESS;
}
