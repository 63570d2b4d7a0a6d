/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's way through a restoration: its steps are writes of the policy file, the one thing that moves there, and one about the
 * card, which cannot be carried out. */
#include "engine/records.h"
#include "tests/unit/engine/engine-world.h"

#define POLICY_STEP(value, was, frame)                                                                          \
        "{\"name\": \"auto-online\", \"args\": {\"value\": \"" value "\", \"was\": \"" was "\"}, \"frame\": " frame "," \
        "\"notes\": [{\"unit\": \"a.service\"}], \"does\": \"" was "\"}"

/* Opens, puts something back, closes. */
#define OPEN POLICY_STEP("online_movable", "offline", "true")
#define PUT_BACK POLICY_STEP("offline", "online_kernel", "false")
#define CLOSE POLICY_STEP("online_kernel", "online", "true")
#define CLOSE_STOPPED POLICY_STEP("offline", "online", "true")

/* The region of the recorded machine is there, the driver is bound: as it was. With another start: no such dax device. */
#define CARD_STEP_OF(dax, start, region_start)                                                                  \
        "{\"name\": \"disable-dax\", \"args\": {\"dax\": \"" dax "\", \"driver\": \"kmem\", \"start\": " start ","      \
        "\"size\": 536870912, \"region\": {\"name\": \"region0\", \"start\": " region_start ", \"size\": 536870912," \
        "\"targets\": [{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}}}"
#define CARD_STEP(start) CARD_STEP_OF("dax0.0", start, "19595788288")
#define OTHER_STEP(start) CARD_STEP_OF("dax1.0", start, "19595788288")
/* Planned where another card's region stands by now. */
#define ELSEWHERE_STEP(start) CARD_STEP_OF("dax0.0", start, "19058917376")

#define CARD "{\"bdf\": \"0000:0d:00.0\", \"vendor\": \"0x8086\", \"device\": \"0x0d93\", \"memdev\": \"mem1\", \"serial\": \"0x1\"}"

static void case_new(Case *c, const char *steps) {
        case_begin(c, make_plan("restore", CARD, steps));
}

static void test_rebuilt(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, OPEN "," PUT_BACK "," CARD_STEP("19595788288") "," CLOSE);
        CHECK_INT(engine_restore(&c.engine), 0);
        check_policy("online");
        check_kinds(&c, "start do note done do done done do done");
        CHECK_INT(json_len(c.journal->lost), 0);
        CHECK_STR(json_str(json_at(journal_notes(c.journal, 1), 0), "unit"), "a.service");
        CHECK_INT(json_len(journal_notes(c.journal, 1)), 1);
}

/* What is there already is not touched, and the frame alone is no reason to begin. */
static void test_needed(void) {
        _cleanup_(case_done) Case c, d;

        case_new(&c, OPEN "," CARD_STEP("19595788288") "," CLOSE);
        CHECK(!engine_restore_needed(&c.engine));
        case_new(&d, OPEN "," CARD_STEP("4096") "," CLOSE);
        CHECK(engine_restore_needed(&d.engine));
        check_kinds(&d, "start");
}

/* The region has come back at another address: what belongs to it is looked for there, by its place in the region. */
static void test_elsewhere(void) {
        _cleanup_(case_done) Case c, d, e;

        case_new(&c, OPEN "," ELSEWHERE_STEP("19058917376") "," CLOSE);
        CHECK(!engine_restore_needed(&c.engine));
        CHECK_INT(json_u64(c.engine.args, "start"), 19595788288);
        case_new(&d, OPEN "," ELSEWHERE_STEP("19058917376") "," CLOSE_STOPPED);
        CHECK_INT(engine_restore(&d.engine), 0);
        check_kinds(&d, "start do note done done do done");
        CHECK(d.engine.run.moves && d.engine.run.moves->n == 1);
        case_new(&e, OPEN "," ELSEWHERE_STEP("19058917377") "," CLOSE_STOPPED);
        CHECK_INT(engine_restore(&e.engine), -ENODEV);
        CHECK_STR(e.engine.stuck_why, "step disable-dax: no dax device begins at 0x490000001 any more");
}

/* What stands after a step that failed is not tried, but for the end of the frame; what was not done is told. */
static void test_failure_stops(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, OPEN "," CARD_STEP("4096") "," OTHER_STEP("8192") "," CLOSE_STOPPED);
        CHECK_INT(engine_restore(&c.engine), -ENODEV);
        CHECK_STR(c.engine.stuck_why, "step disable-dax: no dax device begins at 0x1000 any more");
        check_policy("online");
        check_kinds(&c, "start do note done do failed back do done lost lost");
        CHECK_STR(json_object_get_string(json_at(c.journal->lost, 0)), "disable-dax (write dax0.0 to /sys/bus/dax/drivers/kmem/bind)");
        CHECK_STR(json_object_get_string(json_at(c.journal->lost, 1)), "disable-dax (write dax1.0 to /sys/bus/dax/drivers/kmem/bind)");
}

/* Another card at the same address: nothing is written to it. */
static void test_other_card(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, OPEN "," CARD_STEP("4096") "," CLOSE_STOPPED);
        json_set_str(json_get(c.plan->doc, "card"), "serial", "0x77");
        CHECK_INT(engine_restore(&c.engine), -ESTALE);
        check_policy("online");
        check_kinds(&c, "start do note done failed back do done lost");
}

static void test_cancel(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, OPEN "," CARD_STEP("4096") "," CLOSE_STOPPED);
        cancel_after = 0;
        CHECK_INT(engine_restore(&c.engine), -ECANCELED);
        cancel_after = -1;
        check_policy("online");
        check_kinds(&c, "start do note done back do done lost");
        CHECK_STR(c.engine.stuck_why, "cancelled before step disable-dax");
}

static void resume(Case *c) {
        case_reopen(c);
        CHECK(plan_is_restoration(c->plan));
}

/* Died after each record, with the write after that record made or not made: another worker brings it to its end. */
static void test_crash_at_every_record(void) {
        static const char *const worlds[][2] = {
                { "online_movable", "online_movable" }, /* start */
                { "online_movable", "online_movable" }, /* do 0 */
                { "online_movable", "offline" },        /* note 0 */
                { "offline", "offline" },               /* done 0 */
                { "offline", "online_kernel" },         /* do 1 */
                { "online_kernel", "online_kernel" },   /* done 1 */
                { "online_kernel", "online" },          /* do 2 */
                { "online", "online" },                 /* done 2 */
        };

        for (size_t records = 1; records <= ELEMENTSOF(worlds); records++)
                for (size_t made = 0; made < 2; made++) {
                        _cleanup_(case_done) Case c;
                        case_new(&c, OPEN "," PUT_BACK "," CLOSE);
                        CHECK_INT(engine_restore(&c.engine), 0);
                        _cleanup_free_ char *text = journal_text(&c);
                        journal_cut(&c, text, records);
                        policy_write(worlds[records - 1][made]);
                        resume(&c);
                        CHECK_INT(engine_restore(&c.engine), 0);
                        check_policy("online");
                        CHECK_STR(json_str(json_at(c.engine.run.notes, 0), "unit"), "a.service");
                }
}

/* One that had turned away does not go on with the card, whoever takes it over. */
static void test_crash_behind_failure(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, OPEN "," CARD_STEP("4096") "," OTHER_STEP("8192") "," CLOSE_STOPPED);
        CHECK_INT(engine_restore(&c.engine), -ENODEV);
        _cleanup_free_ char *text = journal_text(&c);
        journal_cut(&c, text, 7);
        policy_write("offline");
        resume(&c);
        CHECK_INT(engine_restore(&c.engine), -EIO);
        CHECK_STR(c.engine.stuck_why, "step disable-dax: no dax device begins at 0x1000 any more");
        check_policy("online");
        CHECK_INT(json_len(c.journal->lost), 2);
}

static bool any(const Record *r, void *userdata) {
        return true;
}

/* finishes: the number of the removal that it finishes; NULL: it is one itself. */
static void write_record(const char *finishes, const char *outcome) {
        _cleanup_(plan_freep) Plan *p = make_plan("removal", CARD, OPEN);
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_free_ char *id = strf("%u", next_id++);

        if (finishes) {
                json_set_str(p->doc, "kind", "finish");
                json_set_str(p->doc, "of", finishes);
        }
        CHECK_INT(journal_create(id, p, json_object_new_object(), &j), 0);
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        if (streq(outcome, "restored"))
                CHECK_INT(journal_back(j, "cancelled", "test"), 0);
        if (*outcome)
                CHECK_INT(journal_end(j, outcome, "done", "test", NULL), 0);
}

static void write_removal(const char *outcome) {
        write_record(NULL, outcome);
}

/* The newest that took everything down: none that runs, was called off, refused, or is a restoration itself. */
static void test_record(void) {
        _cleanup_(record_freep) Record *r = NULL, *none = NULL;

        CHECK_INT(record_find(&(RecordQuestion) { .fits = any }, &none, NULL), -ENOENT);
        write_removal("safe");
        write_removal("safe");
        _cleanup_free_ char *wanted = strf("%u", next_id - 1);
        write_removal("restored");
        write_removal("refused");
        write_removal("stuck");
        write_removal("");
        CHECK_INT(record_find(&(RecordQuestion) { .fits = any }, &r, NULL), 0);
        CHECK_STR(r->id, wanted);
}

/* One that got stuck on its way back has left down what it has not put back. */
static void test_left_down(void) {
        _cleanup_(record_freep) Record *r = NULL;
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *p = make_plan("removal", CARD, OPEN);
        _cleanup_free_ char *id = strf("%u", next_id++);

        CHECK_INT(journal_create(id, p, json_object_new_object(), &j), 0);
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        CHECK_INT(journal_back(j, "failed", "test"), 0);
        CHECK_INT(journal_step(j, "undone", 0, NULL), 0);
        CHECK_INT(journal_end(j, "stuck", "stuck", "test", NULL), 0);
        CHECK_INT(record_find(&(RecordQuestion) { .fits = any }, &r, NULL), 0);
        CHECK_STR(r->id, id);
        CHECK(record_is_left_down(r) && json_flag(r->journal->undone, "0"));
}

static bool is_its_end(const Record *later, void *userdata) {
        return record_finishes(later, userdata);
}

/* Only a finishing of that very removal that ended safe is its end. */
static void test_finished(void) {
        _cleanup_(record_freep) Record *r = NULL;

        CHECK_INT(record_find(&(RecordQuestion) { .fits = any }, &r, NULL), 0);
        write_record("4711", "safe");
        write_record(r->id, "stuck");
        write_record(r->id, "");
        CHECK_INT(record_find_later(r, &(RecordQuestion) { .fits = is_its_end, .userdata = r }, NULL), 0);
        write_record(r->id, "safe");
        write_record(r->id, "stuck");
        CHECK_INT(record_find_later(r, &(RecordQuestion) { .fits = is_its_end, .userdata = r }, NULL), 1);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder();

        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        test_rebuilt();
        test_needed();
        test_elsewhere();
        test_failure_stops();
        test_other_card();
        test_cancel();
        test_crash_at_every_record();
        test_crash_behind_failure();
        test_record();
        test_finished();
        test_left_down();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
