/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-stays MACHINE: of which recorded machine's cards it is said that their memory will not leave again, and by which codes. */
#include "plan/find/blockers.h"
#include "tests/unit/test.h"

static const struct {
        const char *machine;
        const char *slot;
        const char *codes;
} cases[] = {
        { "ram2", "2", "" },
        { "normal", "2", "ZONE_NORMAL" },
        { "cases/memmap-normal", "2", "FOREIGN_MEMMAP ZONE_NORMAL" },
        { "cases/decoder-locked", "2", "LOCKED" },
        { "cases/linear-cache", "2", "LOCKED" },
        { "storage", "3", "" },
};

static void check(Topology *t, const char *slot, const char *codes) {
        _cleanup_json_ json_object *findings = NULL;
        _cleanup_free_ char *found = NULL;

        CHECK_INT(plan_find_stays(t, topology_slot(t, slot), &findings), 0);
        found = json_joined(findings, "code", " ");
        CHECK_STR(found, codes);
}

/* Memory that is to come goes by the policy for new memory. */
static void check_to_come(Topology *t, const char *slot, const char *policy, const char *codes) {
        free(t->auto_online);
        t->auto_online = strdup(policy);
        for (size_t i = 0; i < t->n_blocks; i++)
                t->blocks[i].online = false;
        check(t, slot, codes);
}

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;
        size_t n = 0;

        CHECK(argc == 2);
        CHECK_INT(topology_load(&t), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (streq(cases[i].machine, argv[1])) {
                        check(t, cases[i].slot, cases[i].codes);
                        n++;
                }
        CHECK(n > 0);
        if (streq(argv[1], "ram2")) {
                check_to_come(t, "2", "online", "ZONE_NORMAL");
                check_to_come(t, "2", "online_kernel", "ZONE_NORMAL");
                check_to_come(t, "2", "online_movable", "");
                check_to_come(t, "2", "offline", "");
        }
        return EXIT_SUCCESS;
}
