/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finishing a removal that got stuck at the proof, with the plan of a removal made on a recorded machine. */
#include "plan/finish.h"
#include "tests/unit/test.h"

static void test_due(const Plan *removal, const Slot *slot) {
        Slot s = *slot;

        CHECK(!finish_is_due(removal, &s));
        s.registers.power_on = false;
        s.registers.attention = INDICATOR_OFF;
        CHECK(!finish_is_due(removal, &s));
        s.registers.attention = INDICATOR_ON;
        CHECK(finish_is_due(removal, &s));
        s.held = true;
        CHECK(!finish_is_due(removal, &s));
        s.held = false;
        s.has_registers = false;
        CHECK(!finish_is_due(removal, &s));
}

/* What the removal left behind in the kernel may still change what would be proved. */
static void test_still_writing(const Plan *removal, const Slot *slot, const PlanRequest *request) {
        const FinishSource source = { .id = "7", .plan = removal };
        _cleanup_json_ json_object *writers = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;
        static const char text[] = "[{\"removal\": 7, \"text\": \"process 4 still waits in the kernel (x)\", \"remedy\": \"wait\"}]";
        PlanRequest with = *request;

        CHECK_INT(json_parse(text, strlen(text), &writers), 0);
        with.writers = writers;
        CHECK_INT(plan_finish(slot, &with, &source, &p), 0);
        CHECK_INT(plan_verdict(p), PLAN_BLOCKED);
        CHECK_STR(json_str(json_at(json_array(p->doc, "blockers"), 0), "code"), "STILL_WRITING");
}

static void test_plan(const Plan *removal, const Slot *slot, const PlanRequest *request) {
        _cleanup_json_ json_object *since = json_object_new_object();
        _cleanup_(plan_freep) Plan *p = NULL, *again = NULL;
        _cleanup_free_ char *why = NULL;

        json_set_u64(since, "sequence", 12);
        const FinishSource source = { .id = "7", .plan = removal, .since = since };
        CHECK_INT(plan_finish(slot, request, &source, &p), 0);
        CHECK_INT(plan_from_json(p->doc, &again, &why), 0);
        CHECK(plan_is_finish(again) && !plan_is_restoration(again) && !plan_is_finish(removal));
        CHECK_INT(again->n_steps, 2);
        CHECK_INT(again->steps[0].type, STEP_PROVE_SAFE);
        CHECK_INT(again->steps[1].type, STEP_SHOW_SAFE);
        CHECK_INT(plan_first_irreversible(again), 0);
        CHECK_STR(json_str(again->doc, "of"), "7");
        CHECK_INT(json_u64(json_get(again->doc, "since"), "sequence"), 12);
        CHECK_STR(json_str(json_get(again->doc, "card"), "serial"), json_str(json_get(removal->doc, "card"), "serial"));
        CHECK(json_len(json_array(json_get(again->steps[1].args, "scope"), "ranges")) ==
              json_len(json_array(json_get(removal->steps[removal->n_steps - 1].args, "scope"), "ranges")));
}

#define SAID(library, text) "{\"library\": \"" library "\", \"contradicts\": true, \"text\": \"" text "\"}"

/* "mem9 dax9.0", or NULL. */
static const char *against_in(const Plan *p, size_t step) {
        json_object *against = json_get(json_get(p->steps[step].args, "scope"), "libraries_against");
        static char all[64];

        if (!against)
                return NULL;
        CHECK(json_len(against) > 0);
        *all = '\0';
        for (size_t i = 0; i < json_len(against); i++) {
                CHECK(json_flag(json_at(against, i), "contradicts") && json_str(json_at(against, i), "library"));
                snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i > 0 ? " " : "", json_str(json_at(against, i), "text"));
        }
        return all;
}

/* What the libraries had against the card stands in the finishing, and in the finishing of that, until they were asked again and took it back. */
static void test_libraries(const Plan *removal, const Slot *slot, const PlanRequest *request) {
        static const char text[] = "[{\"probes\": [], \"libraries_against\": [" SAID("libcxl", "mem9") ", " SAID("libdaxctl", "dax9.0") "]}, {\"odd\": 1}]",
                          late[] = "[{\"probes\": [], \"libraries_against\": []}, {\"later\": \"x\", \"libraries_against\": [" SAID("libcxl", "mem8") "]}]",
                          taken_back[] = "[{\"probes\": [], \"libraries_against\": []}]";
        _cleanup_json_ json_object *notes = json_object_new_object();
        _cleanup_(plan_freep) Plan *p = NULL, *q = NULL, *silent = NULL, *agreed = NULL;
        _cleanup_free_ char *last = strf("%zu", removal->n_steps - 1), *proof = strf("%zu", removal->n_steps - 2);

        json_set(notes, proof, json_tokener_parse(text));
        const FinishSource source = { .id = "7", .plan = removal, .notes = notes };
        CHECK_INT(plan_finish(slot, request, &source, &p), 0);
        CHECK_STR(against_in(p, 0), "mem9 dax9.0");
        CHECK_STR(against_in(p, 1), "mem9 dax9.0");
        json_set(notes, last, json_tokener_parse(late));
        CHECK_INT(plan_finish(slot, request, &source, &q), 0);
        CHECK_STR(against_in(q, 1), "mem8");

        _cleanup_json_ json_object *again = json_object_new_object();
        const FinishSource second = { .id = "8", .plan = p, .notes = again };
        CHECK_INT(plan_finish(slot, request, &second, &silent), 0);
        CHECK_STR(against_in(silent, 0), "mem9 dax9.0");
        json_set(again, "0", json_tokener_parse(taken_back));
        CHECK_INT(plan_finish(slot, request, &second, &agreed), 0);
        CHECK(!against_in(agreed, 0));
}

static void add_about(Plan *removal, StepType type, const char *slot) {
        json_object *args = json_object_new_object(), *scope = json_object_new_object();

        json_set_str(scope, "name", slot);
        json_set_str(scope, "slot", slot);
        json_set_str(scope, "port", NULL);
        json_set(args, "scope", scope);
        CHECK_INT(plan_add_step(removal, type, args), 0);
}

/* Sockets of modules have no ports: of two in one removal each has what was written down of it, by its name. */
static void test_sockets(const PlanRequest *request) {
        static char names[2][8] = { "nmem0", "nmem1" };
        const Slot first = { .name = names[0] }, second = { .name = names[1] }, *others[] = { &second };
        _cleanup_json_ json_object *notes = json_object_new_object(), *slots = json_object_new_array();
        _cleanup_(plan_freep) Plan *removal = NULL, *p = NULL;
        PlanRequest both = *request;

        CHECK_INT(plan_new(&removal), 0);
        for (size_t i = 0; i < 4; i++)
                add_about(removal, i < 2 ? STEP_PROVE_SAFE : STEP_SHOW_SAFE, names[i % 2]);
        json_object_array_add(slots, scope_slot_json(&first));
        json_object_array_add(slots, scope_slot_json(&second));
        json_set(removal->doc, "slots", json_ref(slots));
        json_set(notes, "0", json_tokener_parse("[{\"libraries_against\": [" SAID("libndctl", "namespace0.0") "]}]"));
        json_set(notes, "1", json_tokener_parse("[{\"libraries_against\": [" SAID("libndctl", "namespace1.0") "]}]"));
        const FinishSource source = { .id = "7", .plan = removal, .notes = notes };
        both.others = others;
        both.n_others = 1;
        both.targets = slots;
        CHECK_INT(plan_finish(&first, &both, &source, &p), 0);
        CHECK_INT(p->n_steps, 4);
        for (size_t i = 0; i < 4; i++) {
                CHECK_STR(json_str(json_get(p->steps[i].args, "scope"), "slot"), names[i % 2]);
                CHECK_STR(against_in(p, i), i % 2 ? "namespace1.0" : "namespace0.0");
        }
}

/* A card without power does not erase itself; one that has done so is finished as ever. */
static void test_not_erased(const Topology *t, const Slot *slot, const PlanRequest *request) {
        _cleanup_(plan_freep) Plan *removal = NULL, *p = NULL, *q = NULL, *without = NULL;
        _cleanup_json_ json_object *notes = json_object_new_object();
        json_object *noted = json_object_new_array(), *note = json_object_new_object();
        Policy policy = policy_default();
        PlanRequest with = *request;
        size_t n = 0;

        with.policy = &policy;
        policy.sanitize = true;
        CHECK_INT(plan_removal(t, slot, &with, &removal), 0);
        const FinishSource source = { .id = "7", .plan = removal, .notes = notes };
        CHECK_INT(plan_finish(slot, &with, &source, &p), 0);
        CHECK_INT(plan_verdict(p), PLAN_BLOCKED);
        CHECK_STR(json_str(json_at(json_array(p->doc, "blockers"), 0), "code"), "NO_SANITIZE");

        while (removal->steps[n].type != STEP_SANITIZE)
                n++;
        _cleanup_free_ char *number = strf("%zu", n);
        json_set_str(note, "sanitized", "mem1");
        json_object_array_add(noted, note);
        json_set(notes, number, noted);
        CHECK_INT(plan_finish(slot, &with, &source, &q), 0);
        CHECK_INT(plan_verdict(q), PLAN_READY);
        policy.sanitize = false;
        json_object_object_del(notes, number);
        CHECK_INT(plan_finish(slot, &with, &source, &without), 0);
        CHECK_INT(plan_verdict(without), PLAN_READY);
        policy_done(&policy);
}

#define DISK(number) "{\"name\": \"nvme" number "n1\", \"dev\": \"259:" number "\"}"
#define RANGE(start) "{\"start\": " start ", \"size\": 4096, \"why\": \"region0\"}"
#define RANGE_SAID(start, why) "{\"start\": " start ", \"size\": 4096, \"why\": \"" why "\"}"
#define PLACE "\"name\": \"2\", \"slot\": \"2\", \"port\": null, "

static Plan *plan_about(const char *scope) {
        json_object *args = json_object_new_object();
        Plan *p = NULL;

        json_set(args, "scope", json_tokener_parse(scope));
        CHECK_INT(plan_new(&p), 0);
        CHECK_INT(plan_add_step(p, STEP_SHOW_SAFE, args), 0);
        return p;
}

static Plan *finish_with(const char *scope, const char *seen, const char *unread, const PlanRequest *request) {
        static char name[] = "2", word[] = "2";
        const Slot slot = { .name = name, .word = word };
        _cleanup_json_ json_object *all = seen ? json_tokener_parse(seen) : NULL, *away = unread ? json_tokener_parse(unread) : NULL;
        _cleanup_(plan_freep) Plan *removal = plan_about(scope);
        const FinishSource source = { .id = "7", .plan = removal, .seen = all, .unread = away };
        Plan *p = NULL;

        CHECK_INT(plan_finish(&slot, request, &source, &p), 0);
        return p;
}

static void check_scope(const Plan *p, const char *wanted) {
        for (size_t i = 0; i < p->n_steps; i++) {
                json_object *scope = json_get(p->steps[i].args, "scope");
                _cleanup_json_ json_object *o = json_tokener_parse(wanted);
                CHECK(json_object_equal(scope, o));
        }
}

/* What has been in the slot since is asked about as well, each thing once; nothing of another slot. */
static void test_seen(const PlanRequest *request) {
        static const char was[] = "{" PLACE "\"functions\": [\"0000:0d:00.0\"], \"ranges\": [" RANGE("4096") "], \"block_devices\": [" DISK("1") "], "
                                  "\"without_disks\": true, \"gone_before\": [\"sdx\", \"sdy\"], \"not_understood\": [\"/sys/a\", \"/sys/b\"]}",
                          later[] = "[{\"name\": \"3\", \"slot\": \"3\", \"port\": null, \"ranges\": [" RANGE("65536") "]}, "
                                    "{" PLACE "\"functions\": [\"0000:0d:00.0\", \"0000:0d:00.1\"], \"ranges\": [" RANGE("4096") ", " RANGE("8192") "], "
                                    "\"memdevs\": [{\"name\": \"mem4\", \"serial\": \"0x4\"}], \"block_devices\": [" DISK("1") ", " DISK("2") "], "
                                    "\"dax_devices\": [{\"name\": \"dax9.0\"}], \"file_systems\": [{\"dev\": \"259:2\"}], \"gone\": [\"sdy\"], "
                                    "\"volumes\": [\"/sys/v\"], \"goes_on\": [{\"name\": \"md0\"}], \"inner\": [{\"name\": \"2-1\"}], "
                                    "\"gone_before\": [\"nvme1n1\"], \"not_understood\": [\"/sys/b\", \"/sys/c\"], \"memory_unknown\": true}]",
                          both[] = "{" PLACE "\"functions\": [\"0000:0d:00.0\", \"0000:0d:00.1\"], \"ranges\": [" RANGE("4096") ", " RANGE("8192") "], "
                                   "\"memdevs\": [{\"name\": \"mem4\", \"serial\": \"0x4\"}], \"block_devices\": [" DISK("1") ", " DISK("2") "], "
                                   "\"dax_devices\": [{\"name\": \"dax9.0\"}], \"file_systems\": [{\"dev\": \"259:2\"}], \"gone\": [\"sdy\"], "
                                   "\"volumes\": [\"/sys/v\"], \"goes_on\": [{\"name\": \"md0\"}], \"inner\": [{\"name\": \"2-1\"}], "
                                   "\"without_disks\": true, \"with_disks\": true, \"gone_before\": [\"sdx\"], \"not_understood\": [\"/sys/b\"], "
                                   "\"memory_unknown\": true}";
        _cleanup_(plan_freep) Plan *p = finish_with(was, later, NULL, request), *alone = finish_with(was, "[]", NULL, request),
                                   *again = finish_with(both, later, NULL, request);

        CHECK_INT(plan_verdict(p), PLAN_READY);
        CHECK_INT(p->n_steps, 2);
        check_scope(p, both);
        check_scope(alone, was);
        check_scope(again, both);
}

static void check_blocked(const char *scope, const char *seen, const char *unread, const char *code, const char *remedy, const PlanRequest *request) {
        _cleanup_(plan_freep) Plan *p = finish_with(scope, seen, unread, request);
        json_object *blockers = json_array(p->doc, "blockers"), *first = json_at(blockers, 0);

        CHECK_INT(plan_verdict(p), PLAN_BLOCKED);
        CHECK_INT(json_len(blockers), 1);
        CHECK_STR(json_str(first, "code"), code);
        CHECK(startswith(json_object_get_string(json_at(json_array(first, "remedy"), 0)), remedy));
}

/* What was seen while the removal ran is its own card on its way, unless there is more of it. */
static void test_later(void) {
        static const char was[] = "{" PLACE "\"ranges\": [" RANGE("4096") ", " RANGE("8192") "]}",
                          less[] = "{\"seen_usec\": 20, \"scope\": {" PLACE "\"memory_unknown\": true, \"ranges\": [" RANGE_SAID("8192", "decoder3.0") "]}}",
                          more[] = "{\"seen_usec\": 20, \"scope\": {" PLACE "\"ranges\": [" RANGE("4096") ", " RANGE("12288") "]}}",
                          sometime[] = "{\"scope\": {" PLACE "}}";
        static const struct {
                const char *seen;
                uint64_t began, ended;
                bool later;
        } cases[] = {
                { less, 10, 30, false }, { less, 10, 19, true }, { less, 20, 30, false }, { more, 10, 30, true }, { more, 19, 20, true },
                { more, 20, 30, false }, { less, 10, 0, true }, { sometime, 10, 30, true },
        };
        static char name[] = "2", word[] = "2";
        const Slot slot = { .name = name, .word = word };
        _cleanup_(plan_freep) Plan *removal = plan_about(was);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *seen = json_tokener_parse(cases[i].seen);
                CHECK(seen && finish_is_later(removal, &slot, seen, cases[i].began, cases[i].ended) == cases[i].later);
        }
}

/* Of a card that cannot be asked about, the removal's own says nothing. */
static void test_not_known(const PlanRequest *request) {
        static const char was[] = "{" PLACE "\"ranges\": [" RANGE("4096") "]}",
                          blind[] = "[{" PLACE "\"memory_unknown\": true, \"ranges\": [{\"start\": 1, \"size\": 1, \"goes_with_power\": true}]}]",
                          bare[] = "[{" PLACE "\"memdevs\": [{\"name\": \"mem4\", \"serial\": \"0x4\"}], \"ranges\": []}]";

        check_blocked(was, NULL, "[{\"slot\": \"2\", \"path\": \"/run/x\", \"why\": \"torn\"}]", "RECORD_UNREAD", "rm /run/x ", request);
        check_blocked(was, blind, NULL, "MEMORY_UNKNOWN", "shutdown -r now ", request);
        check_blocked(was, bare, NULL, "MEMORY_UNKNOWN", "shutdown -r now ", request);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(plan_freep) Plan *removal = NULL;
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy };

        CHECK_INT(topology_load(&t), 0);
        CHECK_INT(plan_removal(t, topology_slot(t, "2"), &request, &removal), 0);
        test_due(removal, topology_slot(t, "2"));
        test_plan(removal, topology_slot(t, "2"), &request);
        test_still_writing(removal, topology_slot(t, "2"), &request);
        test_libraries(removal, topology_slot(t, "2"), &request);
        test_sockets(&request);
        test_seen(&request);
        test_later();
        test_not_known(&request);
        test_not_erased(t, topology_slot(t, "2"), &request);
        policy_done(&policy);
        return 0;
}
