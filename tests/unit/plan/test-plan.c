/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/plan.h"
#include "tests/unit/test.h"

static json_object *auto_online(const char *value, const char *was) {
        json_object *o = json_object_new_object();

        json_set_str(o, "value", value);
        json_set_str(o, "was", was);
        return o;
}

static json_object *with_scope(void) {
        json_object *o = json_object_new_object(), *scope = json_object_new_object();

        json_set_str(scope, "slot", "2");
        json_set(o, "scope", scope);
        return o;
}

static Plan *make(const char *value) {
        Plan *p = NULL;

        CHECK_INT(plan_new(&p), 0);
        json_set_str(p->doc, "verdict", "ready");
        CHECK_INT(plan_add_step(p, STEP_AUTO_ONLINE, auto_online(value, "online")), 0);
        CHECK_INT(plan_add_step(p, STEP_POWER_OFF, with_scope()), 0);
        return p;
}

/* What was sealed reads back as the same plan; the digest is the same for the same plan and another for another. */
static void test_round_trip(void) {
        _cleanup_(plan_freep) Plan *a = make("offline"), *b = make("offline"), *c = make("online_kernel"), *back = NULL;
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(plan_seal(a), 0);
        CHECK_INT(plan_seal(b), 0);
        CHECK_INT(plan_seal(c), 0);
        CHECK_INT(strlen(plan_digest(a)), 64);
        CHECK_STR(plan_digest(a), plan_digest(b));
        CHECK(!streq(plan_digest(a), plan_digest(c)));

        CHECK_INT(json_parse(json_text(a->doc), strlen(json_text(a->doc)), &doc), 0);
        CHECK_INT(plan_from_json(doc, &back, &why), 0);
        CHECK_INT(back->n_steps, 2);
        CHECK_INT(back->steps[1].type, STEP_POWER_OFF);
        CHECK_INT(plan_first_irreversible(back), 1);
        CHECK_STR(plan_digest(back), plan_digest(a));
}

/* A blocker changes what would be done, so it changes the digest; a holder's memory does not. */
static void test_digest_covers(void) {
        _cleanup_(plan_freep) Plan *a = make("offline"), *b = make("offline"), *c = make("offline");
        json_object *blockers = json_object_new_array(), *blocker = json_object_new_object();

        CHECK_INT(plan_seal(a), 0);
        json_set(c->doc, "holders", json_object_new_array());
        CHECK_INT(plan_seal(c), 0);
        CHECK_STR(plan_digest(c), plan_digest(a));

        json_set_str(blocker, "code", "NO_ROOM");
        json_object_array_add(blockers, blocker);
        json_set(b->doc, "blockers", blockers);
        CHECK_INT(plan_seal(b), 0);
        CHECK(!streq(plan_digest(b), plan_digest(a)));
}

/* Nothing that can be undone stands after something that cannot. */
static void test_tail(void) {
        _cleanup_(plan_freep) Plan *p = make("offline");

        CHECK_INT(plan_add_step(p, STEP_AUTO_ONLINE, auto_online("online", "offline")), 0);
        CHECK_INT(plan_seal(p), -EINVAL);
}

/* What is meant to stand there too has no way back there. */
static void test_in_tail(void) {
        static const char sanitize[] = "{\"memdev\": \"mem1\", \"serial\": \"0x1\", \"method\": \"sanitize\", \"bytes\": 1, \"persistent\": true}";
        _cleanup_(plan_freep) Plan *p = NULL, *back = NULL;
        json_object *args[3] = { 0 };
        _cleanup_free_ char *why = NULL;

        for (size_t i = 0; i < ELEMENTSOF(args); i++)
                CHECK_INT(json_parse(sanitize, strlen(sanitize), &args[i]), 0);
        CHECK_INT(plan_new(&p), 0);
        CHECK_INT(plan_add_step(p, STEP_DISABLE_MEMDEV, args[0]), 0);
        CHECK_INT(plan_add_step(p, STEP_SANITIZE, args[1]), 0);
        CHECK_INT(plan_add_step(p, STEP_DISABLE_MEMDEV, args[2]), 0);
        CHECK_INT(plan_seal(p), 0);
        json_object *steps = json_array(p->doc, "steps"), *before = json_at(steps, 0), *behind = json_at(steps, 2);
        CHECK(json_flag(before, "reversible") && json_str(before, "undo"));
        CHECK(!json_flag(behind, "reversible") && !json_str(behind, "undo"));
        CHECK_INT(plan_from_json(p->doc, &back, &why), 0);
        CHECK_INT(plan_first_irreversible(back), 1);
}

static void check_rejected(const char *text, const char *expected) {
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(json_parse(text, strlen(text), &doc), 0);
        CHECK_INT(plan_from_json(doc, &p, &why), -EBADMSG);
        CHECK_STR(why, expected);
}

static void test_rejects(void) {
        check_rejected("{}", "not a plan: the schema is not safe-remove/plan/NUMBER");
        check_rejected("{\"schema\": \"safe-remove/plan/1\", \"steps\": [{\"name\": \"explode\", \"args\": {}}]}",
                       "step 'explode' is not known or has no arguments");
        check_rejected("{\"schema\": \"safe-remove/plan/1\", \"steps\": [{\"name\": \"auto-online\", \"args\": {\"value\": 1}}]}",
                       "step auto-online: argument value is not a string");
        check_rejected("{\"schema\": \"safe-remove/plan/1\", \"steps\": ["
                       "{\"name\": \"power-off\", \"args\": {\"scope\": {}}},"
                       "{\"name\": \"auto-online\", \"args\": {\"value\": \"a\", \"was\": \"b\"}}]}",
                       "a step that can be undone comes after one that cannot");
}

/* Every step that a plan may have describes itself, and says how it is undone unless it cannot be. */
static void test_every_step_has_operations(void) {
        for (int t = 0; t < _STEP_TYPE_MAX; t++) {
                const StepOps *ops = step_ops((StepType) t);

                CHECK(step_type_to_string((StepType) t));
                CHECK(ops && ops->describe && ops->apply && ops->verify && ops->args);
                CHECK(!ops->irreversible || !ops->revert);
        }
}

int main(void) {
        test_round_trip();
        test_digest_covers();
        test_tail();
        test_in_tail();
        test_rejects();
        test_every_step_has_operations();
        return EXIT_SUCCESS;
}
