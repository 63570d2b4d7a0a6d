/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan of a restoration, made on a recorded machine from the plan of a removal there: the card is in its slot as if it had
 * come back. */
#include "plan/restore.h"
#include "plan/scope/scope.h"
#include "tests/unit/test.h"

typedef struct Case {
        Topology *t;
        const Slot *slot;
        Policy policy;
        Plan *removal, *plan;
        json_object *notes;
} Case;

static PlanRequest request(const Case *c) {
        return (PlanRequest) { .target = "2", .trigger = "command", .policy = &c->policy };
}

static void case_new(Case *c) {
        *c = (Case) { .policy = policy_default(), .notes = json_object_new_object() };
        CHECK_INT(topology_load(&c->t), 0);
        c->slot = topology_slot(c->t, "2");
        CHECK(c->slot);
        PlanRequest r = request(c);
        CHECK_INT(plan_removal(c->t, c->slot, &r, &c->removal), 0);
}

static void case_done(Case *c) {
        policy_done(&c->policy);
        json_object_put(c->notes);
        plan_free(c->removal);
        if (c->plan)
                plan_free(c->plan);
        topology_free(c->t);
}

static void make(Case *c) {
        const RestoreSource source = { .id = "7", .plan = c->removal, .notes = c->notes };
        PlanRequest r = request(c);

        CHECK_INT(plan_restoration(c->t, c->slot, &r, &source, &c->plan), 0);
}

static bool is_same_card(const Case *c) {
        _cleanup_(scope_done) Scope s = { 0 };

        CHECK_INT(scope_find(c->t, c->slot, &s), 0);
        _cleanup_json_ json_object *card = scope_card_json(&s);
        return restore_is_same_card(c->removal, card, c->slot);
}

static void check_steps(const Plan *p, const char *expected) {
        _cleanup_free_ char *names = strdup("");

        for (size_t i = 0; i < p->n_steps; i++)
                CHECK_INT(text_add(&names, " ", "%s%s", step_type_to_string(p->steps[i].type), p->steps[i].frame ? "*" : ""), 0);
        CHECK_STR(names, expected);
}

static void check_blocked(const Case *c, const char *code) {
        json_object *blockers = json_array(c->plan->doc, "blockers");

        CHECK_INT(plan_verdict(c->plan), code ? PLAN_BLOCKED : PLAN_READY);
        CHECK_STR(json_str(json_at(blockers, 0), "code"), code);
        CHECK(!code || json_len(json_array(json_at(blockers, 0), "remedy")) > 0);
}

/* The removal backwards in a frame; everything the plan says survives being written down. */
static void test_same_card(void) {
        _cleanup_(plan_freep) Plan *back = NULL;
        _cleanup_(case_done) Case c;
        _cleanup_free_ char *why = NULL;
        json_object *noted = json_object_new_array(), *note = json_object_new_object();

        case_new(&c);
        json_set_str(note, "unit", "a.service");
        json_object_array_add(noted, note);
        json_set(c.notes, "2", noted);
        CHECK(is_same_card(&c));
        CHECK(!restore_is_same_slot(c.removal, c.t, c.slot));
        make(&c);
        check_blocked(&c, NULL);
        check_steps(c.plan, "release* auto-online* disable-memdev delete-region decommit-region disable-region disable-dax offline-memory "
                        "auto-online* hold*");
        CHECK_STR(json_str(c.plan->doc, "of"), "7");
        CHECK_STR(json_text(json_get(c.plan->steps[8].args, "own")), "[[146,149]]");

        CHECK_INT(plan_from_json(c.plan->doc, &back, &why), 0);
        CHECK(plan_is_restoration(back) && back->steps[0].frame && !back->steps[7].frame);
        CHECK_STR(json_str(json_at(back->steps[7].notes, 0), "unit"), "a.service");
        json_object *step = json_at(json_array(c.plan->doc, "steps"), 7);
        CHECK(startswith(json_str(step, "does"), "write the word of its zone"));
        CHECK(!json_str(step, "undo"));
}

/* A removal that got stuck on its way back: what it had begun and had not put back, and no step that it had not come to. */
static void test_turned_back(void) {
        _cleanup_json_ json_object *undone = json_object_new_object();
        _cleanup_(case_done) Case c;

        case_new(&c);
        json_set_bool(undone, "0", true);
        json_set_bool(undone, "2", true);
        json_set_str(c.removal->steps[0].args, "attention_led", "blink");
        const RestoreSource source = { .id = "7", .plan = c.removal, .stuck = true, .turned_back = true, .n_begun = 5, .undone = undone };
        PlanRequest r = request(&c);
        check_steps(c.removal, "hold auto-online offline-memory disable-dax disable-region decommit-region delete-region auto-online disable-memdev "
                        "release power-off prove-safe show-safe");
        CHECK_INT(plan_restoration(c.t, c.slot, &r, &source, &c.plan), 0);
        check_steps(c.plan, "release* auto-online* disable-region disable-dax auto-online* hold*");
        CHECK_STR(json_str(c.plan->steps[5].args, "attention_led"), "blink"); /* and not as the stuck removal has it by now */
}

/* What processes map is kmem's first when its region comes back: the kernel must not put it online then, on neither way. */
static void test_mapped_by_processes(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        CHECK_INT(c.t->n_daxes, 1);
        free(c.t->daxes[0].driver);
        c.t->daxes[0].driver = strdup("device_dax");
        for (size_t i = 0; i < c.t->n_blocks; i++)
                c.t->blocks[i].online = c.t->blocks[i].online && c.t->blocks[i].start < c.t->daxes[0].start;
        plan_free(c.removal);
        PlanRequest r = request(&c);
        CHECK_INT(plan_removal(c.t, c.slot, &r, &c.removal), 0);
        check_steps(c.removal, "hold fence-dax freeze-holders end-holders prove-unpinned auto-online disable-dax disable-region "
                               "decommit-region delete-region auto-online thaw-holders disable-memdev release power-off prove-safe "
                               "show-safe");
        make(&c);
        check_blocked(&c, NULL);
        check_steps(c.plan, "release* auto-online* disable-memdev delete-region decommit-region disable-region disable-dax end-holders "
                            "auto-online* hold*");
}

/* Names of memory devices change from bind to bind; the serial number says which is meant. */
static void test_renamed(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        json_set_str(json_get(c.removal->doc, "card"), "memdev", "mem9");
        for (size_t i = 0; i < c.removal->n_steps; i++) {
                json_object *args = c.removal->steps[i].args, *target = json_at(json_array(json_get(args, "region"), "targets"), 0);
                if (json_has(args, "memdev"))
                        json_set_str(args, "memdev", "mem9");
                if (target)
                        json_set_str(target, "memdev", "mem9");
        }
        make(&c);
        check_blocked(&c, NULL);
        json_object *args = c.plan->steps[3].args;
        CHECK_STR(json_str(json_at(json_array(json_get(args, "region"), "targets"), 0), "memdev"), "mem1");
        CHECK_STR(json_str(c.plan->steps[2].args, "memdev"), "mem1");
        CHECK_STR(json_str(json_at(json_array(json_get(c.removal->steps[4].args, "region"), "targets"), 0), "memdev"), "mem9");
}

/* By so many blocks of 128 MiB, as if the removal had been of the card at another place. */
static void move_removal(Case *c, unsigned down) {
        for (size_t i = 0; i < c->removal->n_steps; i++) {
                json_object *args = c->removal->steps[i].args, *region = json_get(args, "region"), *blocks = json_array(args, "blocks");
                if (json_has(region, "start"))
                        json_set_u64(region, "start", json_u64(region, "start") - down * (128ULL << 20));
                if (c->removal->steps[i].type == STEP_DISABLE_DAX)
                        json_set_u64(args, "start", json_u64(args, "start") - down * (128ULL << 20));
                for (size_t k = 0; k < json_len(blocks); k++)
                        json_set_u64(json_at(blocks, k), "id", json_u64(json_at(blocks, k), "id") - down);
        }
        json_object *blocks = json_array(json_get(c->removal->doc, "takes_down"), "blocks");
        for (size_t k = 0; k < json_len(blocks); k++)
                json_set_u64(json_at(blocks, k), "id", json_u64(json_at(blocks, k), "id") - down);
}

/* The region is there already, where the kernel found room for it: the plan has its addresses, the numbers of its blocks, and what was
 * noted of them by these. */
static void test_elsewhere(void) {
        _cleanup_(case_done) Case c;
        json_object *noted = json_object_new_array(), *note = NULL;
        const char *text = "{\"memory\": {\"blocks\": [{\"id\": 144, \"zone\": \"Movable\"}], \"offline\": [145]}}";

        case_new(&c);
        CHECK_INT(json_parse(text, strlen(text), &note), 0);
        json_object_array_add(noted, note);
        json_set(c.notes, "2", noted);
        move_removal(&c, 2);
        make(&c);
        check_blocked(&c, NULL);
        json_object *disable = c.plan->steps[6].args, *offline = c.plan->steps[7].args;
        CHECK_INT(json_u64(disable, "start"), 0x490000000);
        CHECK_INT(json_u64(json_get(disable, "region"), "start"), 0x490000000);
        CHECK_INT(json_u64(json_get(disable, "region"), "moved_from"), 0x480000000);
        CHECK_INT(json_u64(json_at(json_array(offline, "blocks"), 0), "id"), 149);
        CHECK_INT(json_u64(json_at(json_array(offline, "blocks"), 3), "id"), 146);
        CHECK_STR(json_text(json_get(c.plan->steps[8].args, "own")), "[[146,149]]");
        CHECK_STR(json_text(json_get(json_at(c.plan->steps[7].notes, 0), "memory")),
                  "{\"blocks\":[{\"id\":146,\"zone\":\"Movable\"}],\"offline\":[147]}");
        CHECK(strstr(json_str(json_at(json_array(c.plan->doc, "steps"), 7), "does"), "lowest first"));
        CHECK_INT(json_u64(json_at(json_array(c.removal->steps[2].args, "blocks"), 0), "id"), 147);
}

static void set_serial(Case *c, const char *serial) {
        json_set_str(json_get(c->removal->doc, "card"), "serial", serial);
        for (size_t i = 0; i < c->removal->n_steps; i++)
                if (c->removal->steps[i].type == STEP_DISABLE_MEMDEV)
                        json_set_str(c->removal->steps[i].args, "serial", serial);
}

/* Volatile memory: another card of the same make and size will do, unless the policy says that it will not. */
static void test_equal_card(void) {
        for (int accepted = 0; accepted < 2; accepted++) {
                _cleanup_(case_done) Case c;

                case_new(&c);
                set_serial(&c, "0x77");
                CHECK(!is_same_card(&c));
                CHECK(restore_is_same_slot(c.removal, c.t, c.slot));
                c.policy.equal_card = accepted;
                make(&c);
                check_blocked(&c, accepted ? NULL : "OTHER_CARD");
                CHECK_STR(json_str(c.plan->steps[2].args, "serial"), "0x1");
        }
}

static void test_other_size(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        set_serial(&c, "0x77");
        json_set_u64(json_get(c.removal->doc, "card"), "ram_bytes", 4096);
        make(&c);
        check_blocked(&c, "OTHER_CARD");
}

static void test_persistent(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        set_serial(&c, "0x77");
        for (size_t i = 0; i < c.removal->n_steps; i++)
                if (c.removal->steps[i].type == STEP_DELETE_REGION)
                        json_set_str(json_get(c.removal->steps[i].args, "region"), "mode", "pmem");
        make(&c);
        check_blocked(&c, "OTHER_CARD");
}

static void test_other_make(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        json_set_str(json_get(c.removal->doc, "card"), "device", "0x1234");
        CHECK(!is_same_card(&c));
        make(&c);
        check_blocked(&c, "OTHER_CARD");
}

/* The card is there, and the kernel has made no memory device of it. */
static void test_not_ready(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        for (size_t i = 0; i < c.t->n_memdevs; i++)
                if (streq(c.t->memdevs[i].name, "mem1")) {
                        free(c.t->memdevs[i].bdf);
                        c.t->memdevs[i].bdf = strdup("0000:77:00.0");
                }
        make(&c);
        check_blocked(&c, "NOT_READY");
}

/* The region went over a card that is not there. */
static void test_peer_missing(void) {
        _cleanup_(case_done) Case c;
        json_object *peers = json_object_new_array(), *peer = json_object_new_object();

        case_new(&c);
        json_set_str(peer, "memdev", "mem7");
        json_set_str(peer, "serial", "0x55");
        json_set_str(peer, "slot", "5");
        json_object_array_add(peers, peer);
        json_set(json_at(json_array(json_get(c.removal->doc, "takes_down"), "regions"), 0), "peers", peers);
        make(&c);
        check_blocked(&c, "PEER_MISSING");
}

static Decoder *window(Case *c) {
        for (size_t i = 0; i < c->t->n_decoders; i++)
                if (streq(c->t->decoders[i].name, "decoder0.0"))
                        return &c->t->decoders[i];
        CHECK(false);
        return NULL;
}

/* The card came back below another host bridge, to which the window that its region was in does not lead. */
static void test_other_window(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        Decoder *d = window(&c);
        CHECK_INT(d->n_targets, 1);
        free(d->targets[0]);
        d->targets[0] = strdup("pci0000:77");
        make(&c);
        check_blocked(&c, "OTHER_WINDOW");
        json_object *o = json_at(json_array(c.plan->doc, "blockers"), 0);
        CHECK_INT(json_len(json_array(c.plan->doc, "blockers")), 1);
        CHECK(strstr(json_str(o, "evidence"), "decoder0.0/target_list leads to pci0000:77, and 0000:"));
        CHECK(startswith(json_object_get_string(json_at(json_array(o, "remedy"), 0)), "safe-remove remove 2"));

        /* What nobody can tell of it is left to the kernel. */
        d->unreadable = true;
        plan_free(TAKE_PTR(c.plan));
        make(&c);
        check_blocked(&c, NULL);
}

static void test_no_window(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        window(&c)->kind = DECODER_SWITCH;
        make(&c);
        check_blocked(&c, "OTHER_WINDOW");
}

/* A removal that had the card erase itself, and noted that by `key`. */
static void erase(Case *c, const char *key, bool persistent) {
        json_object *noted = json_object_new_array(), *note = json_object_new_object();
        PlanRequest r = request(c);
        size_t n = 0;

        c->policy.sanitize = true;
        plan_free(TAKE_PTR(c->removal));
        CHECK_INT(plan_removal(c->t, c->slot, &r, &c->removal), 0);
        while (c->removal->steps[n].type != STEP_SANITIZE)
                n++;
        json_set_bool(c->removal->steps[n].args, "persistent", persistent);
        _cleanup_free_ char *number = strf("%zu", n);
        if (key)
                json_set_str(note, key, "mem1");
        json_object_array_add(noted, note);
        json_set(c->notes, number, noted);
}

static const char *warning(const Case *c, const char *member) {
        return json_str(json_at(json_array(c->plan->doc, "warnings"), 0), member);
}

/* Memory that had no content to lose comes back, and is asked for by nobody as long as he would find an empty folder. */
static void test_erased(void) {
        static const char memory[] = "release* auto-online* disable-memdev delete-region decommit-region disable-region disable-dax offline-memory "
                                     "auto-online* hold*";
        _cleanup_(case_done) Case volatile_only, both, begun;

        case_new(&volatile_only);
        erase(&volatile_only, "sanitized", false);
        make(&volatile_only);
        check_blocked(&volatile_only, NULL);
        check_steps(volatile_only.plan, memory);
        CHECK_INT(json_len(json_array(volatile_only.plan->doc, "warnings")), 0);

        case_new(&both);
        erase(&both, "sanitized", true);
        both.removal->steps[1].type = STEP_END_HOLDERS; /* whatever it was */
        make(&both);
        check_steps(both.plan, memory);
        CHECK_STR(warning(&both, "code"), "ERASED");
        CHECK(strstr(warning(&both, "evidence"), "end-holders ("));
        CHECK(json_flag(both.plan->doc, "erased") && !json_flag(volatile_only.plan->doc, "erased"));

        /* Nobody knows how far it got: what is there is put back. */
        case_new(&begun);
        erase(&begun, "began", true);
        make(&begun);
        check_steps(begun.plan, memory);
        CHECK(strstr(warning(&begun, "what"), "nobody knows how far it got"));
}

static void test_all_erased(void) {
        _cleanup_(case_done) Case c;

        case_new(&c);
        erase(&c, "sanitized", true);
        for (size_t i = 0; i < c.removal->n_steps; i++)
                if (json_get(c.removal->steps[i].args, "region"))
                        json_set_str(json_get(c.removal->steps[i].args, "region"), "mode", "pmem");
        make(&c);
        CHECK_INT(plan_verdict(c.plan), PLAN_NOTHING);
        CHECK_STR(json_str(c.plan->doc, "code"), "erased");
        CHECK(strstr(json_str(c.plan->doc, "message"), "removal 7 erased"));
}

static void test_nothing(void) {
        _cleanup_(case_done) Case c;
        PlanRequest r;

        case_new(&c);
        r = request(&c);
        CHECK_INT(plan_restoration(c.t, c.slot, &r, NULL, &c.plan), 0);
        CHECK_INT(plan_verdict(c.plan), PLAN_NOTHING);
        CHECK_STR(json_str(c.plan->doc, "code"), "no-removal");

        const RestoreSource source = { .id = "7", .plan = c.removal };
        c.slot = topology_slot(c.t, "5");
        plan_free(TAKE_PTR(c.plan));
        CHECK_INT(plan_restoration(c.t, c.slot, &r, &source, &c.plan), 0);
        CHECK_INT(plan_verdict(c.plan), PLAN_NOTHING);
        CHECK_STR(json_str(c.plan->doc, "code"), "empty-slot");
}

int main(void) {
        test_same_card();
        test_turned_back();
        test_mapped_by_processes();
        test_renamed();
        test_elsewhere();
        test_equal_card();
        test_other_size();
        test_persistent();
        test_other_make();
        test_not_ready();
        test_peer_missing();
        test_other_window();
        test_no_window();
        test_erased();
        test_all_erased();
        test_nothing();
        return EXIT_SUCCESS;
}
