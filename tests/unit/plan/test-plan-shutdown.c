/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file systems a removal may shut down, by request, policy, kind and what stands on them. */
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"
#include "plan/policy-rules.h"
#include "tests/unit/test.h"

static char disk[] = "nvme0n1", part[] = "nvme0n1p1", loop[] = "loop0", dm[] = "dm-0", dm_other[] = "sda", xfs[] = "xfs", vfat[] = "vfat",
            overlay[] = "overlay", root[] = "/", data[] = "/srv/data", inside[] = "/elsewhere", swap[] = "/srv/data/swap", rw[] = "rw,attr2",
            ro[] = "ro,attr2", text[] = "";
static char *on_part[] = { part }, *on_disk[] = { disk }, *on_dm[] = { dm }, *on_both[] = { disk, dm_other };

/* A machine with one file system, of its own the parts that a test is about. */
typedef struct World {
        BlockDevice devices[5];
        FileSystem file_systems[2];
        Mount mounts[2];
        Swap swap;
        const Swap *swaps[1];
        const Mount *in_scope[2];
        Topology t;
        Scope s;
        Policy policy;
        PlanRequest request;
} World;

static void world_make(World *w) {
        *w = (World) {
                .devices = {
                        { .name = disk, .dev = 1, .size = 100 },
                        { .name = part, .dev = 2, .kind = BLOCK_PARTITION, .size = 90, .lower = on_disk, .n_lower = 1 },
                        { .name = loop, .dev = 7, .kind = BLOCK_LOOP, .size = 10 },
                        { .name = dm, .dev = 9, .kind = BLOCK_DM, .size = 10, .lower = on_both, .n_lower = 2 },
                        { .name = dm_other, .dev = 10, .size = 10 },
                },
                .file_systems = { { .dev = 2, .type = xfs, .devices = on_part, .n_devices = 1 }, { .dev = 50, .type = overlay } },
                .mounts = {
                        { .ns = 1, .pid = 1, .id = 2, .dev = 2, .target = data, .root = root, .options = rw, .propagation = text, .type = xfs,
                          .source = text, .super_options = rw },
                        { .ns = 2, .pid = 9, .id = 3, .dev = 2, .target = inside, .root = root, .options = rw, .propagation = text, .type = xfs,
                          .source = text, .super_options = rw },
                },
                .swap = { .path = swap, .file = true, .dev = 3 },
                .policy = policy_default(),
        };
        w->swaps[0] = &w->swap;
        w->in_scope[0] = &w->mounts[0];
        w->in_scope[1] = &w->mounts[1];
        w->t = (Topology) {
                .block_devices = w->devices, .n_block_devices = 5, .file_systems = w->file_systems, .n_file_systems = 2, .mounts = w->mounts,
                .n_mounts = 2,
        };
        CHECK_INT(topology_index(&w->t), 0);
        w->s = (Scope) { .mounts = w->in_scope, .n_mounts = 2, .swaps = w->swaps, .n_swaps = 1 };
        w->request = (PlanRequest) { .policy = &w->policy };
}

static void world_done(World *w) {
        topology_drop_index(&w->t);
}

static void rules(World *w, const char *lines) {
        _cleanup_json_ json_object *warnings = json_object_new_array(), *all = json_object_new_array(), *sorted = NULL;

        CHECK_INT(policy_rules_parse(all, "a.conf", lines, strlen(lines), warnings), 0);
        sorted = policy_rules_sort(all);
        json_object_put(TAKE_PTR(w->policy.mount_rules));
        w->policy.mount_rules = policy_rules_take_mounts(sorted);
}

static void check(World *w, int want, const char *word, const char *why_part) {
        _cleanup_free_ char *why = NULL;
        FsShutdown how;

        CHECK_INT(shutdown_check(&w->t, &w->s, &w->request, &w->mounts[0], &how, &why), want);
        CHECK_STR(shutdown_word(&w->t, &w->s, &w->request, &w->mounts[0]), word);
        CHECK_INT(!why, !why_part);
        if (why_part && !strstr(why, why_part))
                CHECK_STR(why, why_part);
        const HoldTarget target = { .kind = TARGET_FS, .dev = 2, .name = data }, device = { .kind = TARGET_BLOCK, .dev = 2, .name = data };
        CHECK_INT(shutdown_of_target(&w->t, &w->s, &w->request, &target), want == 0);
        CHECK(!shutdown_of_target(&w->t, &w->s, &w->request, &device));
        _cleanup_json_ json_object *entries = shutdown_entries(&w->t, &w->s, &w->request);
        CHECK_INT(json_len(entries), want == 0); /* once, whatever the number of its mounts */
        if (want == 0)
                CHECK_INT(json_len(json_array(json_at(entries, 0), "mounts")), 2);
}

/* The word is enough, the policy needs that users may be killed. */
static void test_who_wants(void) {
        _cleanup_(world_done) World w = { 0 };

        world_make(&w);
        check(&w, -ENOENT, "no", NULL);
        w.policy.force_kill = true;
        check(&w, -ENOENT, "no", NULL);
        w.policy.shutdown_file_systems = true;
        check(&w, 0, "flush", NULL);
        w.policy.force_kill = false;
        check(&w, -ENOENT, "no", NULL);
        w.policy = policy_default();
        w.policy.force_kill = w.policy.force_shutdown = true;
        check(&w, 0, "flush", NULL);
}

/* A rule about the mount point goes before the rest of the policy, a "no" before the word too. */
static void test_rules(void) {
        _cleanup_(world_done) World w = { 0 };

        world_make(&w);
        w.policy.force_kill = true;
        rules(&w, "[Match]\nMount=/srv/*\n[OnRemove]\nShutdownFileSystems=yes\n");
        check(&w, 0, "flush", NULL);
        w.policy.force_kill = false;
        check(&w, -ENOENT, "no", NULL);
        w.policy.force_kill = true;
        rules(&w, "[Match]\nMount=/srv/*\n[OnRemove]\nShutdownFileSystems=no\n");
        w.policy.shutdown_file_systems = true;
        check(&w, -ENOENT, "no", NULL);
        w.policy.force_shutdown = true;
        check(&w, -EOPNOTSUPP, "no", "a.conf says no");
        /* A mount point in somebody's own namespace is anybody's word. */
        rules(&w, "[Match]\nMount=/elsewhere\n[OnRemove]\nShutdownFileSystems=no\n");
        check(&w, 0, "flush", NULL);
        policy_done(&w.policy);
}

static void test_what_cannot(void) {
        _cleanup_(world_done) World w = { 0 };

        world_make(&w);
        w.policy.force_kill = w.policy.force_shutdown = true;
        w.mounts[0].type = vfat;
        check(&w, -EOPNOTSUPP, "no", "vfat cannot be shut down");
        w.mounts[0].type = xfs;
        w.mounts[0].super_options = ro;
        check(&w, -EOPNOTSUPP, "no", "read-only");
        w.mounts[0].super_options = rw;
        w.devices[2].backing = 2;
        check(&w, -EOPNOTSUPP, "no", "/dev/loop0 stands on it");
        w.devices[2].backing = 0;
        w.swap.dev = 2;
        check(&w, -EOPNOTSUPP, "no", "/srv/data/swap is swapped to");
        w.swap.dev = 3;
        dev_t layers[] = { 2 };
        w.file_systems[1].layers = layers;
        w.file_systems[1].n_layers = 1;
        check(&w, -EOPNOTSUPP, "no", "an overlay lies on it");
        w.file_systems[1].n_layers = 0;
        check(&w, 0, "flush", NULL);
}

/* Nothing is left unwritten as long as there is anything to write to. */
static void test_gone(void) {
        _cleanup_(world_done) World w = { 0 };

        world_make(&w);
        w.policy.force_kill = w.policy.force_shutdown = true;
        w.devices[0].size = 0; /* the partition keeps its size */
        check(&w, 0, "noflush", NULL);
        w.file_systems[0].devices = on_dm;
        check(&w, 0, "flush", NULL); /* of two one is left */
        w.devices[4].size = 0;
        check(&w, 0, "noflush", NULL);
        w.file_systems[0].n_devices = 0;
        check(&w, 0, "flush", NULL);
}

static json_object *told(World *w) {
        json_object *warnings = json_object_new_array();
        Findings f = { .t = &w->t, .s = &w->s, .request = &w->request, .blockers = NULL, .warnings = warnings };

        find_shutdown(&f);
        return warnings;
}

/* Told once, and only to who asks for it. */
static void test_told(void) {
        _cleanup_(world_done) World w = { 0 };

        world_make(&w);
        w.policy.force_kill = true;
        _cleanup_json_ json_object *nothing = told(&w);
        CHECK_INT(json_len(nothing), 0);
        w.policy.force_shutdown = true;
        _cleanup_json_ json_object *cost = told(&w);
        CHECK_INT(json_len(cost), 1);
        CHECK_STR(json_str(json_at(cost, 0), "code"), "FS_SHUTDOWN");
        CHECK(strstr(json_str(json_at(cost, 0), "what"), "what programs have not written yet is lost"));
        w.devices[0].size = 0;
        _cleanup_json_ json_object *gone = told(&w);
        CHECK(strstr(json_str(json_at(gone, 0), "what"), "its device is gone"));
        w.mounts[0].type = vfat;
        _cleanup_json_ json_object *cannot = told(&w);
        CHECK_STR(json_str(json_at(cannot, 0), "code"), "CANNOT_SHUT_DOWN");
        CHECK_STR(json_str(json_at(cannot, 0), "severity"), "soft");
}

int main(void) {
        test_who_wants();
        test_rules();
        test_what_cannot();
        test_gone();
        test_told();
        return EXIT_SUCCESS;
}
