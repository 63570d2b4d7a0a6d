/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-several MACHINE: several cards in one request, and cards of other removals that are under way. */
#include <errno.h>

#include "base/span.h"
#include "engine/identity.h"
#include "plan/planner.h"
#include "plan/restore.h"
#include "plan/scope/scope.h"
#include "tests/unit/test.h"

#define MIB (UINT64_C(1) << 20)

enum {
        MORE_BLOCKS = 4,
};

static Plan *plan(const Topology *t, const char *slot, const char *other, const char *under_way) {
        Policy policy = policy_default();
        const Slot *others[] = { other ? topology_slot(t, other) : NULL }, *going[] = { under_way ? topology_slot(t, under_way) : NULL };
        const PlanRequest request = {
                .target = slot, .trigger = "command", .policy = &policy,
                .others = others, .n_others = other ? 1 : 0, .under_way = going, .n_under_way = under_way ? 1 : 0,
        };
        Plan *p = NULL;

        CHECK_INT(plan_removal(t, topology_slot(t, slot), &request, &p), 0);
        policy_done(&policy);
        return p;
}

/* The first finding with this code that says `what`. */
static json_object *blocker(const Plan *p, const char *code, const char *what) {
        json_object *blockers = json_array(p->doc, "blockers");

        for (size_t i = 0; i < json_len(blockers); i++)
                if (streq(json_str(json_at(blockers, i), "code"), code) && strstr(json_str(json_at(blockers, i), "what"), what))
                        return json_at(blockers, i);
        return NULL;
}

static bool fits(const Topology *t, const char *slot, const char *other, const char *under_way) {
        _cleanup_(plan_freep) Plan *p = plan(t, slot, other, under_way);

        return !blocker(p, "NO_ROOM", "does not fit");
}

/* The recorded machine has one RAM card; here is another one in slot 3, as large. */
static Topology with_second_card(const Topology *t, Region regions[static 2], DaxDevice daxes[static 2], Node nodes[static 3],
                                 MemoryBlock *blocks, RegionTarget *target, DaxRange *range) {
        Topology two = *t;
        uint64_t start = t->regions[0].start + t->regions[0].size;

        CHECK_INT(t->n_regions, 1);
        CHECK_INT(t->n_nodes, 2);
        regions[0] = regions[1] = t->regions[0];
        *target = t->regions[0].targets[0];
        target->memdev = (char *) "mem0";
        regions[1].name = (char *) "region1";
        regions[1].start = start;
        regions[1].targets = target;
        daxes[0] = daxes[1] = t->daxes[0];
        daxes[1].name = (char *) "dax1.0";
        daxes[1].region = (char *) "region1";
        daxes[1].start = start;
        daxes[1].ranges = range;
        *range = (DaxRange) { start, daxes[1].size };
        memcpy(nodes, t->nodes, 2 * sizeof(Node));
        nodes[2] = nodes[1];
        nodes[2].id = 2;
        memcpy(blocks, t->blocks, t->n_blocks * sizeof(MemoryBlock));
        for (size_t i = 0; i < MORE_BLOCKS; i++)
                blocks[t->n_blocks + i] = (MemoryBlock) {
                        .id = start / t->block_size + i, .start = start + i * t->block_size, .online = true, .zone = ZONE_MOVABLE, .node = 2,
                };
        two.regions = regions;
        two.daxes = daxes;
        two.nodes = nodes;
        two.blocks = blocks;
        two.n_regions = two.n_daxes = 2;
        two.n_nodes = 3;
        two.n_blocks = t->n_blocks + MORE_BLOCKS;
        return two;
}

/* Each of the cards has 512 MiB. */
static void test_room(const Topology *t) {
        Region regions[2];
        DaxDevice daxes[2];
        Node nodes[3];
        RegionTarget target;
        _cleanup_free_ MemoryBlock *blocks = calloc(t->n_blocks + MORE_BLOCKS, sizeof(MemoryBlock));
        DaxRange range;
        Topology two = with_second_card(t, regions, daxes, nodes, blocks, &target, &range);

        nodes[0].free = 400 * MIB;
        nodes[1].free = nodes[2].free = 200 * MIB;
        nodes[0].reclaimable = nodes[1].reclaimable = nodes[2].reclaimable = 0;
        CHECK(fits(&two, "2", NULL, NULL));
        CHECK(fits(&two, "3", NULL, NULL));
        CHECK(!fits(&two, "2", "3", NULL));
        CHECK(!fits(&two, "3", NULL, "2"));
        CHECK(!fits(&two, "2", NULL, "3"));

        /* With the arithmetic of both. */
        _cleanup_(plan_freep) Plan *p = plan(&two, "2", "3", NULL);
        const char *evidence = json_str(blocker(p, "NO_ROOM", "does not fit"), "evidence");
        CHECK(evidence && strstr(evidence, "1024 MiB go") && strstr(evidence, "800 MiB are free") && strstr(evidence, "224 MiB are missing"));
        CHECK_INT(json_u64(json_get(p->doc, "takes_down"), "memory_bytes"), 1024 * MIB);

        nodes[0].free = 700 * MIB;
        CHECK(fits(&two, "2", "3", NULL));
        CHECK(fits(&two, "3", NULL, "2"));
}

static size_t index_of(const Plan *p, StepType type, const char *slot, bool last) {
        size_t found = SIZE_MAX;

        for (size_t i = 0; i < p->n_steps; i++) {
                json_object *args = p->steps[i].args;
                const char *port = json_str(json_get(args, "scope"), "port") ?: json_str(args, "port");
                if (p->steps[i].type == type && (!slot || streq_ptr(port, slot)) && (found == SIZE_MAX || last))
                        found = i;
        }
        CHECK(found != SIZE_MAX);
        return found;
}

/* All held before anything is touched, all proved before any light. */
static void test_order(const Topology *t) {
        _cleanup_(plan_freep) Plan *p = plan(t, "3", "4", NULL);
        const char *ports[] = { topology_slot(t, "3")->port, topology_slot(t, "4")->port };
        _cleanup_free_ char *words = plan_slot_words(p);

        CHECK_STR(words, "3 4");
        CHECK_INT(plan_n_slots(p), 2);
        for (size_t i = 0; i < ELEMENTSOF(ports); i++) {
                CHECK_INT(index_of(p, STEP_HOLD, ports[i], false), i);
                CHECK(index_of(p, STEP_RELEASE, ports[i], false) < index_of(p, STEP_POWER_OFF, NULL, false));
                CHECK(index_of(p, STEP_POWER_OFF, ports[i], false) < index_of(p, STEP_PROVE_SAFE, NULL, false));
                CHECK(index_of(p, STEP_SHOW_SAFE, ports[i], false) > index_of(p, STEP_PROVE_SAFE, NULL, true));
                CHECK_STR(json_str(plan_slot(p, i), "port"), ports[i]);
                CHECK_STR(plan_slot_address(p, i), topology_slot(t, i == 0 ? "3" : "4")->address);
        }
        /* A mirror with a leg on each goes as a whole. */
        CHECK(index_of(p, STEP_STOP_MD, NULL, true) < index_of(p, STEP_DISABLE_MEMDEV, NULL, false));
        CHECK(!blocker(p, "UNDER_WAY", ""));
}

static bool has_block(const Scope *s, const char *name) {
        for (size_t i = 0; i < s->n_blocks; i++)
                if (streq(s->blocks[i]->name, name))
                        return true;
        return false;
}

/* md127 is half on each card; pmem0 is slot 3's alone, nvme0n1 slot 4's. */
static void test_parts(const Topology *t) {
        const Slot *other = topology_slot(t, "4");
        _cleanup_(scope_done) Scope all = { 0 }, first = { 0 }, second = { 0 };

        CHECK_INT(scope_find_all(t, topology_slot(t, "3"), &other, 1, &all), 0);
        CHECK_STR(all.words, "3 4");
        CHECK_INT(scope_part(&all, 0, &first), 0);
        CHECK_INT(scope_part(&all, 1, &second), 0);
        CHECK(has_block(&first, "md127") && has_block(&first, "pmem0") && !has_block(&first, "nvme0n1"));
        CHECK(has_block(&second, "md127") && has_block(&second, "nvme0n1") && !has_block(&second, "pmem0"));
        CHECK_INT(first.n_functions, 1);
        CHECK_INT(second.n_functions, 1);
        CHECK_INT(first.n_memdevs, 1);
        CHECK_INT(second.n_memdevs, 0);
        CHECK(first.n_ranges > 0 && second.n_ranges > 0 && first.n_ranges + second.n_ranges == all.n_ranges);
}

/* A card that has lost its power already is not asked about for the other's sake. */
static void test_identity(const Topology *t) {
        const Slot *other = topology_slot(t, "4");
        _cleanup_(scope_done) Scope all = { 0 };

        CHECK_INT(scope_find_all(t, topology_slot(t, "3"), &other, 1, &all), 0);
        _cleanup_json_ json_object *card = scope_card_json(&all);
        json_object *endpoints = json_array(card, "endpoints");
        CHECK_INT(json_len(endpoints), 2);
        for (size_t i = 0; i < json_len(endpoints); i++)
                if (streq(json_str(json_at(endpoints, i), "slot"), "4"))
                        json_set_str(json_at(endpoints, i), "bdf", "0000:77:00.0");

        static const struct {
                const char *slot;
                int want;
        } asked[] = { { "3", 0 }, { "4", -ENODEV }, { NULL, -ENODEV } };
        for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
                _cleanup_free_ char *why = NULL;
                CHECK_INT(card_identity_check(card, asked[i].slot, &why), asked[i].want);
        }
}

/* The other leg of a mirror is no copy when its card goes as well; what a removal takes down already no other one does. */
static void test_under_way(const Topology *t) {
        _cleanup_(plan_freep) Plan *alone = plan(t, "3", NULL, NULL), *beside = plan(t, "3", NULL, "4"), *idle = plan(t, "2", NULL, "4");

        CHECK(!blocker(alone, "UNDER_WAY", ""));
        CHECK(!blocker(idle, "UNDER_WAY", ""));
        CHECK(blocker(beside, "UNDER_WAY", "md127") || blocker(beside, "UNDER_WAY", "raid1"));
        CHECK(blocker(beside, "UNDER_WAY", "takes /mnt/"));
        CHECK_INT(plan_verdict(beside), PLAN_BLOCKED);
        /* Its own steps are those that it had anyway. */
        CHECK_INT(beside->n_steps, alone->n_steps);
}

/* The restoration of a removal of both cards, each of them told to erase itself, as far as the notes say by these keys (NULL: not begun). */
static Plan *restoration(const Topology *t, const Plan *removal, const char *mem0, const char *mem1) {
        _cleanup_json_ json_object *notes = json_object_new_object();
        const Slot *other[] = { topology_slot(t, "3") };
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy, .others = other, .n_others = 1 };
        const RestoreSource source = { .id = "7", .plan = removal, .notes = notes };
        Plan *p = NULL;

        for (size_t n = 0; n < removal->n_steps; n++) {
                const char *memdev = json_str(removal->steps[n].args, "memdev"), *key = streq_ptr(memdev, "mem0") ? mem0 : mem1;
                if (removal->steps[n].type != STEP_SANITIZE || !key)
                        continue;
                json_object *noted = json_object_new_array(), *note = json_object_new_object();
                _cleanup_free_ char *number = strf("%zu", n);
                json_set_str(note, key, memdev);
                json_object_array_add(noted, note);
                json_set(notes, number, noted);
                json_set_bool(removal->steps[n].args, "persistent", true);
        }
        CHECK_INT(plan_restoration(t, topology_slot(t, "2"), &request, &source, &p), 0);
        policy_done(&policy);
        return p;
}

static const char *erased(const Plan *p, size_t i) {
        json_object *warnings = json_array(p->doc, "warnings");

        for (size_t k = 0; k < json_len(warnings); k++)
                if (streq(json_str(json_at(warnings, k), "code"), "ERASED") && i-- == 0)
                        return json_str(json_at(warnings, k), "what");
        return "";
}

/* All that stands on either stands on the card in slot 3. What the other one has lost is none of it. */
static void test_one_erased(const Topology *t) {
        const Slot *other[] = { topology_slot(t, "3") };
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy, .others = other, .n_others = 1 };
        _cleanup_(plan_freep) Plan *removal = NULL;

        policy.sanitize = true;
        CHECK_INT(plan_removal(t, topology_slot(t, "2"), &request, &removal), 0);
        _cleanup_(plan_freep) Plan *whole = restoration(t, removal, NULL, NULL), *first = restoration(t, removal, "sanitized", "began"),
                                   *second = restoration(t, removal, NULL, "sanitized");
        CHECK(index_of(whole, STEP_DELETE_REGION, NULL, true) < index_of(whole, STEP_UNMOUNT, NULL, false));
        CHECK_INT(first->n_steps, whole->n_steps);
        CHECK(strstr(erased(first, 0), "serial number 0x1") && strstr(erased(first, 1), "(serial number 0x2), and nobody knows"));
        CHECK(plan_verdict(first) != PLAN_NOTHING && plan_verdict(second) == PLAN_NOTHING);
        CHECK_STR(json_str(second->doc, "code"), "erased");
        policy_done(&policy);
}

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(argc, 2);
        CHECK_INT(topology_load(&t), 0);
        if (streq(argv[1], "ram2")) {
                test_room(t);
                return EXIT_SUCCESS;
        }
        test_order(t);
        test_parts(t);
        test_identity(t);
        test_under_way(t);
        test_one_erased(t);
        return EXIT_SUCCESS;
}
