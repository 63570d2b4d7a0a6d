/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which storage is taken down, on machines that are made up; the golden plans have that of recorded ones. */
#include "plan/plan-storage.h"
#include "tests/unit/test.h"

static char two[] = "2", card[] = "0000:02:00.0", other[] = "0000:03:00.0", a[] = "a", b[] = "b", loop[] = "loop0";
static char type[] = "btrfs", root[] = "/", data[] = "/data", swap[] = "/data/swap", img[] = "/img", text[] = "";
static char *both[] = { b, a }, *on_loop[] = { loop };

/* Names of the steps in their order, with what each is about. */
static char *steps_text(const Plan *p) {
        char *all = strdup("");

        for (size_t i = 0; i < p->n_steps; i++) {
                json_object *args = p->steps[i].args;
                const char *what = json_str(args, "path") ?: json_str(args, "loop") ?: json_str(json_get(args, "fs"), "dev");
                CHECK_INT(text_add(&all, ", ", "%s %s", step_type_to_string(p->steps[i].type), what ?: ""), 0);
        }
        return all;
}

/* A file system over this card and another has a number that is no device's. A loop device and swap have their files on it. */
static void test_several_devices(void) {
        Slot slot = { .name = two };
        PciFunction functions[] = { { .bdf = card, .slot = two } };
        BlockDevice devices[] = {
                { .name = a, .dev = 1, .bdf = card }, { .name = b, .dev = 2, .bdf = other },
                { .name = loop, .dev = 7, .kind = BLOCK_LOOP, .backing = 40 },
        };
        FileSystem file_systems[] = {
                { .dev = 40, .type = type, .devices = both, .n_devices = 2 }, { .dev = 7, .type = type, .devices = on_loop, .n_devices = 1 },
        };
#define MOUNT(number, of, where)                                                                                             \
        { .ns = 1, .pid = 1, .id = number, .parent_id = 1, .dev = of, .target = where, .root = root, .options = text,        \
          .propagation = text, .type = type, .source = text, .super_options = text }
        Mount mounts[] = { MOUNT(2, 40, data), MOUNT(3, 7, img) };
        Swap swaps[] = { { .path = swap, .file = true, .dev = 40 } };
        Topology t = {
                .slots = &slot, .n_slots = 1, .functions = functions, .n_functions = 1, .block_devices = devices, .n_block_devices = 3,
                .file_systems = file_systems, .n_file_systems = 2, .mounts = mounts, .n_mounts = 2, .swaps = swaps, .n_swaps = 1,
        };
        const Policy policy = policy_default();
        const PlanRequest request = { .policy = &policy };
        _cleanup_(scope_done) Scope s = { 0 };
        _cleanup_(plan_freep) Plan *p = NULL;

        CHECK_INT(topology_index(&t), 0);
        CHECK_INT(scope_find(&t, &slot, &s), 0);
        CHECK_INT(plan_new(&p), 0);
        CHECK_INT(plan_add_storage(p, &t, &s, &request), 0);
        _cleanup_free_ char *steps = steps_text(p);
        CHECK_STR(steps, "freeze-holders , end-holders , unmount 0:7, detach-loop loop0, swapoff /data/swap, unmount 0:40");
        topology_drop_index(&t);
}

int main(void) {
        test_several_devices();
        return EXIT_SUCCESS;
}
