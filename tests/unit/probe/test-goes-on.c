/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes on without the card of slot 4, on recorded machines: a path over a network, an array of three. Each part has to work at the
 * moment of the question. */
#include "kernel/sysfs/attr.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "tests/unit/test.h"
#include "topology/topology.h"

static json_object *scope;

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

/* It is asked before the power, and for the light. */
static void check_reported(int expected) {
        for (int before = 0; before < 2; before++) {
                _cleanup_json_ json_object *report = NULL;
                size_t n = 0;

                (void) probes_report(scope, before, &report);
                for (size_t i = 0; i < json_len(report); i++)
                        if (streq(json_str(json_at(report, i), "name"), "goes-on")) {
                                CHECK_INT(json_flag(json_at(report, i), "holds"), expected);
                                n++;
                        }
                CHECK_INT(n, 1);
        }
}

static void check_asked(int expected) {
        _cleanup_free_ char *answer = NULL;

        CHECK_INT(probe_goes_on.ask(scope, &answer), expected);
        CHECK(expected > 0 ? !answer : answer != NULL);
        check_reported(expected);
}

/* A path that is down, one whose group does not serve, a head of that name that is another's by now. */
static void test_paths(void) {
        check_asked(1);
        put("/sys/class/block/nvme0c1n1/device/state", "connecting\n");
        check_asked(0);
        put("/sys/class/block/nvme0c1n1/device/state", "live\n");
        put("/sys/class/block/nvme0c1n1/ana_state", "inaccessible\n");
        check_asked(0);
        put("/sys/class/block/nvme0c1n1/ana_state", "non-optimized\n");
        check_asked(1);
        CHECK_INT(unlink("/sys/class/block/nvme0c1n1"), 0);
        check_asked(0);
        put("/sys/class/block/nvme0n1/dev", "259:77\n");
        check_asked(1);
}

/* The member that stays fails; the array ends. */
static void test_members(void) {
        check_asked(1);
        put("/sys/block/md0/md/dev-sda/state", "faulty\n");
        check_asked(0);
        put("/sys/block/md0/md/dev-sda/state", "in_sync\n");
        put("/sys/block/md0/md/array_state", "inactive\n");
        check_asked(0);
        put("/sys/block/md0/md/array_state", "clean\n");
        check_asked(1);
        CHECK_INT(unlink("/sys/class/block/md0"), 0);
        check_asked(1);
}

#define MAP "252:0 table multipath 0 0 2 1 service-time 0 1 2 259:0 1 1 service-time 0 1 2 259:4 1 1\n252:0 status 2 0 0 0 2 1 A 0 1 2 "
#define OWN "259:0 A 0 0 1 E 0 1 2 "

/* Of a path whose number cannot be read nobody knows that it is the card's; and of a map that does not tell its paths neither. */
static void test_unread_path(void) {
        _cleanup_free_ char *answer = NULL, *number = NULL;

        CHECK_INT(attr_readf(&number, "/sys/class/block/nvme0n1/dev"), 0);
        put("/sys/class/block/nvme0n1/dev", "odd\n");
        CHECK(probe_goes_on.ask(scope, &answer) < 0);
        put("/sys/class/block/nvme0n1/dev", number);
        check_asked(1);
        CHECK_INT(rename("/sys/class/block/dm-0/slaves", "/sys/class/block/dm-0/moved"), 0);
        CHECK(probe_goes_on.ask(scope, &answer) < 0);
        CHECK_INT(rename("/sys/class/block/dm-0/moved", "/sys/class/block/dm-0/slaves"), 0);
}

/* What the map says of the other path, and what that path says of itself. */
static void test_map(void) {
        check_asked(1);
        put("/dev/mapper/control", MAP OWN "259:4 F 3 0 1\n");
        check_asked(0);
        put("/dev/mapper/control", MAP OWN "259:4 A 3 0 1\n");
        check_asked(1);
        put("/sys/class/block/nvme1n1/device/state", "dead\n");
        check_asked(0);
        put("/sys/class/block/nvme1n1/device/state", "live\n");
        check_asked(1);
        test_unread_path();

        /* The map hears of a disk that was pulled with its next request, and until then has it as a path that works. */
        CHECK_INT(rename("/sys/class/block/nvme1n1", "/sys/class/block/moved"), 0);
        check_asked(0);
        CHECK_INT(rename("/sys/class/block/moved", "/sys/class/block/nvme1n1"), 0);
        check_asked(1);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(scope_done) Scope s = { 0 };
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(topology_load(&t), 0);
        const Slot *slot = topology_slot(t, "4");
        CHECK(slot);
        CHECK_INT(scope_find(t, slot, &s), 0);
        scope = o = scope_seen_json(&s, t);
        CHECK_INT(json_len(json_array(scope, "goes_on")), 1);
        if (path_existsf("/sys/block/md0"))
                test_members();
        else if (path_existsf("/sys/block/dm-0") || path_existsf("/sys/class/block/dm-0"))
                test_map();
        else
                test_paths();
        return EXIT_SUCCESS;
}
