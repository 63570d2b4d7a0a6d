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

static const char *against_in(const Plan *p, size_t step) {
        return json_str(json_get(p->steps[step].args, "scope"), "libraries_against");
}

/* What a library had against the card stands in the finishing, and in the finishing of that, until the library was asked again and took it back. */
static void test_libraries(const Plan *removal, const Slot *slot, const PlanRequest *request) {
        static const char text[] = "[{\"probes\": [{\"name\": \"libraries\", \"holds\": false, \"answer\": \"libcxl sees mem9\"}]}]",
                          late[] = "[{\"probes\": [{\"name\": \"libraries\", \"holds\": true}]}, {\"later\": \"libcxl sees mem8\", \"contradicts\": true}]",
                          taken_back[] = "[{\"probes\": [{\"name\": \"libraries\", \"holds\": true}]}]";
        _cleanup_json_ json_object *notes = json_object_new_object();
        _cleanup_(plan_freep) Plan *p = NULL, *q = NULL, *silent = NULL, *agreed = NULL;
        _cleanup_free_ char *last = strf("%zu", removal->n_steps - 1), *proof = strf("%zu", removal->n_steps - 2);

        json_set(notes, proof, json_tokener_parse(text));
        const FinishSource source = { .id = "7", .plan = removal, .notes = notes };
        CHECK_INT(plan_finish(slot, request, &source, &p), 0);
        CHECK_STR(against_in(p, 0), "libcxl sees mem9");
        CHECK_STR(against_in(p, 1), "libcxl sees mem9");
        json_set(notes, last, json_tokener_parse(late));
        CHECK_INT(plan_finish(slot, request, &source, &q), 0);
        CHECK_STR(against_in(q, 1), "libcxl sees mem8");

        _cleanup_json_ json_object *again = json_object_new_object();
        const FinishSource second = { .id = "8", .plan = p, .notes = again };
        CHECK_INT(plan_finish(slot, request, &second, &silent), 0);
        CHECK_STR(against_in(silent, 0), "libcxl sees mem9");
        json_set(again, "0", json_tokener_parse(taken_back));
        CHECK_INT(plan_finish(slot, request, &second, &agreed), 0);
        CHECK(!against_in(agreed, 0));
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
        test_not_erased(t, topology_slot(t, "2"), &request);
        policy_done(&policy);
        return 0;
}
