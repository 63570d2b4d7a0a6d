/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who does not want a card to go: which words are understood, whom they are about, and what the plan makes of it. The recorded machine has a region over
 * the cards in slots 2 and 3; another one has slots inside of a slot. */
#include <errno.h>

#include "plan/find/blockers.h"
#include "plan/find/inhibitor.h"
#include "plan/planner.h"
#include "tests/unit/test.h"

static void check_words(const char *text, const char *expected) {
        _cleanup_json_ json_object *words = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(inhibit_what_parse(text, &words, &why), 0);
        CHECK_STR(json_text(words), expected);
}

static void check_refused(const char *text, const char *said) {
        _cleanup_json_ json_object *words = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(inhibit_what_parse(text, &words, &why), -EINVAL);
        CHECK(why && strstr(why, said) && !words);
}

static void test_words(void) {
        check_words("all", "[\"all\"]");
        check_words(" 2  slot:box-1 slot3 2", "[\"slot:2\",\"slot:box-1\",\"slot:3\"]");
        check_words("0x01 serial:1 port:0c:00.0 port:0001:0C:00.0", "[\"serial:0x1\",\"port:0000:0c:00.0\",\"port:0001:0c:00.0\"]");
        check_words("serial:S4EV-1", "[\"serial:S4EV-1\"]"); /* a disk's or a module's may be any text */
        check_refused("", "'what' is empty");
        check_refused("   ", "not said");
        /* They mean something else after the next start, or after the next plan. */
        check_refused("2 mem1", "'mem1' is nothing");
        check_refused("0000:0d:00.0", "slot:2");
        check_refused("/mnt", "'/mnt'");
        check_refused("ALL", "'ALL'");
        check_refused("slot:", "'slot:'");
        check_refused("slot:\t2", "control character");
}

static json_object *inhibitor(const char *what, const char *mode) {
        static uint64_t id = 7;
        _cleanup_free_ char *why = NULL;
        json_object *o = json_object_new_object(), *words = NULL;

        CHECK_INT(inhibit_what_parse(what, &words, &why), 0);
        json_set_u64(o, "id", id++);
        json_set(o, "what", words);
        json_set_str(o, "who", "backup");
        json_set_str(o, "why", "the nightly one");
        json_set_str(o, "mode", mode);
        json_set_u64(o, "uid", 1000);
        json_set_u64(o, "pid", 812);
        json_set_u64(o, "since_usec", 5);
        return o;
}

static void check_kept(const char *text, int expected) {
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(inhibitor_parse(text, strlen(text), &o), expected);
}

static void test_description(void) {
        _cleanup_json_ json_object *o = inhibitor("2", "delay");
        static const char *const keys[] = { "id", "what", "who", "why", "mode", "uid", "pid", "since_usec" };

        check_kept(json_text(o), 0);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                _cleanup_json_ json_object *less = NULL;
                CHECK_INT(json_object_deep_copy(o, &less, NULL), 0);
                json_object_object_del(less, keys[i]);
                check_kept(json_text(less), -EBADMSG);
        }
        check_kept("", -EBADMSG);
        check_kept("[]", -EBADMSG);
        check_kept("{\"id\": 1, \"what\": [2], \"who\": \"w\", \"why\": \"y\", \"mode\": \"block\", \"uid\": 0, \"pid\": 1, \"since_usec\": 1}", -EBADMSG);
        check_kept("{\"id\": 1, \"what\": [\"all\"], \"who\": \"w\", \"why\": \"y\", \"mode\": \"maybe\", \"uid\": 0, \"pid\": 1, \"since_usec\": 1}", -EBADMSG);
        json_set_str(o, "mode", "maybe");
        CHECK_INT(inhibitor_mode(o), INHIBIT_BLOCK);
}

static Plan *plan(const Topology *t, const char *slot, const char *what, const char *mode, const Policy *policy) {
        _cleanup_json_ json_object *list = json_object_new_array();
        Plan *p = NULL;

        json_object_array_add(list, what ? inhibitor(what, mode) : inhibitor_lost(3));
        const PlanRequest request = { .target = slot, .trigger = "command", .policy = policy, .inhibitors = list };
        CHECK_INT(plan_removal(t, topology_slot(t, slot), &request, &p), 0);
        return p;
}

static json_object *finding_of(const Plan *p, const char *list, const char *code) {
        return json_find(json_array(p->doc, list), "code", code);
}

static void check_about(const Topology *t, const char *slot, const char *what, bool expected) {
        Policy policy = policy_default();
        _cleanup_(plan_freep) Plan *block = plan(t, slot, what, "block", &policy), *delay = plan(t, slot, what, "delay", &policy);

        CHECK_INT(finding_of(block, "blockers", "INHIBITED") != NULL, expected);
        CHECK_INT(finding_of(delay, "warnings", "DELAYED") != NULL, expected);
        CHECK_INT(json_find(json_array(delay->doc, "steps"), "name", "announce") != NULL, expected);
        CHECK(!finding_of(delay, "blockers", "INHIBITED") && !json_find(json_array(block->doc, "steps"), "name", "announce"));
        policy_done(&policy);
}

/* A disk's serial number, which may be any text or look like a number. */
static void test_serial(Topology *t) {
        PciFunction *f = t->functions;

        while (!streq_ptr(f->slot, "2"))
                f++;
        free(f->serial);
        f->serial = strdup("S4EV-1");
        check_about(t, "2", "serial:S4EV-1", true);
        check_about(t, "2", "serial:S4EV-2", false);
        free(f->serial);
        f->serial = strdup("0255");
        check_about(t, "2", "serial:0xff", true);
        check_about(t, "2", "serial:254", false);
}

static void test_whom(const Topology *t) {
        const Slot *two = topology_slot(t, "2");
        _cleanup_free_ char *port = strf("port:%s", two->port);

        check_about(t, "2", "all", true);
        check_about(t, "2", "2", true);
        check_about(t, "2", port, true);
        check_about(t, "2", "serial:0x1", true);
        check_about(t, "2", "slot:9 serial:0x9 port:0000:ff:00.0", false);
        check_about(t, "2", "slot:9 2", true);
        /* It loses its region. */
        check_about(t, "2", "3", true);
        check_about(t, "2", "serial:0x2", true);
        check_about(t, "3", port, true);
}

/* A descriptor outlives who took it, whose number is another one's then. */
static void test_process(const Topology *t) {
        static const char *const said[] = { "", ", which has ended and left it to another one" };
        Policy policy = policy_default();

        test_make_folders("/proc/812");
        test_put("/proc/812/stat", "812 (backup) S 1 812 812 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5000 0 0\n");
        for (size_t i = 0; i < ELEMENTSOF(said); i++) {
                _cleanup_json_ json_object *list = json_object_new_array();
                json_object *o = inhibitor("2", "block");
                _cleanup_(plan_freep) Plan *p = NULL;

                json_set_u64(o, "start_time", 5000 + i);
                json_object_array_add(list, o);
                const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy, .inhibitors = list };
                CHECK_INT(plan_removal(t, topology_slot(t, "2"), &request, &p), 0);
                _cleanup_free_ char *end = strf(", process 812%s", said[i]);
                const char *evidence = json_str(finding_of(p, "blockers", "INHIBITED"), "evidence"), *from = strstr(evidence ?: "", ", process");
                CHECK_STR(from, end);
        }
        policy_done(&policy);
}

static void test_plan(const Topology *t) {
        Policy policy = policy_default();
        _cleanup_(plan_freep) Plan *block = plan(t, "2", "2", "block", &policy), *delay = plan(t, "2", "2", "delay", &policy),
                                   *lost = plan(t, "2", NULL, NULL, &policy);
        json_object *o = finding_of(block, "blockers", "INHIBITED");

        CHECK_INT(plan_verdict(block), PLAN_BLOCKED);
        CHECK(blockers_are_vetoes(json_array(block->doc, "blockers")));
        CHECK_STR(json_str(o, "what"), "'backup' does not let it go: the nightly one");
        CHECK_STR(json_str(o, "evidence"), "block inhibitor of slot:2, by uid 1000, process 812 when it was taken");
        CHECK(strstr(json_text(json_array(o, "remedy")), "safe-remove remove --ignore-inhibitors 2"));

        CHECK_INT(plan_verdict(delay), PLAN_READY);
        json_object *args = json_get(json_find(json_array(delay->doc, "steps"), "name", "announce"), "args");
        CHECK_INT(json_u64(args, "grace_sec"), 0);
        CHECK_INT(json_u64(args, "delay_sec"), 30);
        CHECK_INT(json_len(json_array(args, "inhibitors")), 1);

        CHECK_INT(plan_verdict(lost), PLAN_BLOCKED);
        CHECK(strstr(json_str(finding_of(lost, "blockers", "INHIBITED"), "evidence"), "inhibitor 3"));

        /* Nobody counts. */
        _cleanup_json_ json_object *options = json_object_new_object();
        _cleanup_free_ char *why = NULL;
        json_set_bool(options, "ignore_inhibitors", true);
        CHECK_INT(policy_apply_options(&policy, options, &why), 0);
        _cleanup_(plan_freep) Plan *over = plan(t, "2", "2", "block", &policy), *at_once = plan(t, "2", "2", "delay", &policy);
        CHECK_INT(plan_verdict(over), PLAN_READY);
        CHECK(finding_of(over, "warnings", "INHIBITED") && finding_of(at_once, "warnings", "INHIBITED"));
        CHECK(!json_find(json_array(at_once->doc, "steps"), "name", "announce"));
        policy_done(&policy);

        /* Something else is in the way as well: that is no veto. */
        _cleanup_json_ json_object *both = json_object_new_array(), *none = json_object_new_array();
        json_object_array_add(both, json_ref(o));
        json_object_array_add(both, json_object_new_object());
        CHECK(!blockers_are_vetoes(both) && !blockers_are_vetoes(none));
}

/* What is in a box goes with it, and who keeps the box keeps what is in it. */
static void test_box(const Topology *t, const Slot *inner) {
        check_about(t, inner->name, inner->name, true);
        check_about(t, inner->name, inner->outer, true);
        check_about(t, inner->outer, inner->name, true);
        check_about(t, inner->name, "slot:none", false);
}

/* One inside of another, with a card; NULL: there is none. */
static const Slot *inner_slot(const Topology *t) {
        for (size_t i = 0; i < t->n_functions; i++) {
                const Slot *slot = t->functions[i].slot ? topology_slot(t, t->functions[i].slot) : NULL;
                if (slot && slot->outer)
                        return slot;
        }
        return NULL;
}

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        if (inner_slot(t)) {
                test_box(t, inner_slot(t));
                return EXIT_SUCCESS;
        }
        test_words();
        test_description();
        test_whom(t);
        test_plan(t);
        test_process(t);
        test_serial(t);
        return EXIT_SUCCESS;
}
