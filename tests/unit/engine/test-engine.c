/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "tests/unit/engine/engine-world.h"

#define POLICY_STEP "{\"name\": \"auto-online\", \"args\": {\"value\": \"online\", \"was\": \"online_movable\"}}"
#define POLICY_STEPS                                                                                            \
        POLICY_STEP ",{\"name\": \"auto-online\", \"args\": {\"value\": \"online_kernel\", \"was\": \"online\"}}"

#define STUBBORN_STEP                                                                                           \
        ",{\"name\": \"hold\", \"args\": {\"port\": \"0000:0c:00.0\", \"service\": \"0000:0c:00.0:pcie004\","          \
        "\"power_led\": \"on\", \"attention_led\": \"off\"}}"

#define CLAIM_STEP "{\"name\": \"claim-devices\", \"args\": {\"devices\": [{\"name\": \"leaf0\", \"dev\": \"259:77\"}]}},"

#define ANNOUNCE_STEP "{\"name\": \"announce\", \"args\": {\"grace_sec\": 0}}"

#define POWER_STEPS                                                                                             \
        ",{\"name\": \"power-off\", \"args\": {\"scope\": {\"slot\": \"2\", \"port\": \"0000:0c:00.0\", \"address\": \"0000:0d:00\"," \
        "\"power_controller\": true, \"functions\": [\"0000:0d:00.0\"]}}}, {\"name\": \"prove-safe\", \"args\": {\"scope\": {}}}"

#define MEMORY_POWER_STEP                                                                                       \
        ",{\"name\": \"power-off\", \"args\": {\"scope\": {\"slot\": \"2\", \"port\": \"0000:0c:00.0\", \"address\": \"0000:0d:00\"," \
        "\"power_controller\": true, \"functions\": [\"0000:0d:00.0\"], \"ranges\": [{\"start\": 19595788288, \"size\": 536870912}]}}}"

/* The memory of the recorded machine, which is online. */
#define CARD_STEP                                                                                               \
        ",{\"name\": \"disable-dax\", \"args\": {\"dax\": \"dax0.0\", \"driver\": \"kmem\", \"start\": 19595788288,"  \
        "\"size\": 536870912, \"region\": {\"name\": \"region0\", \"start\": 19595788288, \"targets\":"           \
        "[{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}}}"

#define CARD(serial) "{\"bdf\": \"0000:0d:00.0\", \"vendor\": \"0x8086\", \"device\": \"0x0d93\", \"memdev\": \"mem1\", \"serial\": \"" serial "\"}"

static void case_new(Case *c, const char *card, const char *steps) {
        case_begin(c, make_plan("removal", card, steps));
}

static void test_forward(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", POLICY_STEPS);
        CHECK_INT(engine_forward(&c.engine), 0);
        check_policy("online_kernel");
        check_kinds(&c, "start do done do done");
}

/* A write that the kernel accepted and that changed nothing is no success: the step's verify says so, and all goes back. */
static void test_failure_goes_back(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), POLICY_STEPS STUBBORN_STEP);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_INT(c.engine.failed_step, 2);
        CHECK(startswith(c.engine.run.why, "0000:0c:00.0:pcie004 is still bound to pciehp after unbind"));
        CHECK(engine_can_go_back(&c.engine));
        CHECK_INT(engine_back(&c.engine, "failed", "test"), 0);
        check_policy("online_movable");
        check_kinds(&c, "start do done do done do note do note do note do note failed back undo undone undo undone undo undone");
}

/* Somebody else acts in the pauses around a step's write, in which the engine asks whether it is called off. */
static const StepLimits with_pauses = { .offline_timeout_usec = 1000000, .write_timeout_usec = 5000000, .step_delay_usec = 200000 };
static Case *paused;
static void (*meddle)(void);

static bool in_pause(void *userdata) {
        meddle();
        return false;
}

static void pause_with(Case *c, void (*what)(void)) {
        c->engine.run.limits = &with_pauses;
        c->engine.run.cancelled = in_pause;
        paused = c;
        meddle = what;
}

static void file_write(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static void set_back(void) {
        _cleanup_free_ char *now = NULL;

        CHECK_INT(auto_online_policy_read(&now), 0);
        if (streq(now, "online"))
                policy_write("online_movable");
}

/* The kernel took the write, and shows something else: it is not done. */
static void test_only_what_shows_counts(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", POLICY_STEPS);
        pause_with(&c, set_back);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_INT(c.engine.failed_step, 0);
        CHECK(startswith(c.engine.run.why, "the kernel accepted every write, but what was asked for has not happened; "));
}

/* A drill that nobody has patience for ends when its file is there: of each half for itself. */
static void end_pauses(void) {
        _cleanup_free_ char *before = strf("%s/drill-over/before-auto-online", run_dir()), *after = strf("%s/drill-over/after-auto-online", run_dir());
        _cleanup_free_ char *now = NULL;

        CHECK_INT(auto_online_policy_read(&now), 0);
        if (streq(now, "online_movable"))
                file_write(before, "");
        else {
                CHECK(access(before, F_OK) == 0);
                file_write(after, "");
        }
}

static void test_drill_over(void) {
        static const StepLimits patient = { .offline_timeout_usec = 1000000, .write_timeout_usec = 5000000, .step_delay_usec = 600 * USEC_PER_SEC };
        _cleanup_(case_done) Case c;
        _cleanup_free_ char *folder = strf("%s/drill-over", run_dir()), *after = strf("%s/after-auto-online", folder);

        CHECK_INT(mkdir_private(run_dir()), 0);
        CHECK_INT(mkdir_private(folder), 0);
        case_new(&c, "null", POLICY_STEPS);
        pause_with(&c, end_pauses);
        c.engine.run.limits = &patient;
        CHECK_INT(engine_forward(&c.engine), 0);
        CHECK(access(after, F_OK) == 0);
        check_kinds(&c, "start do done do done");
        test_remove_tree(folder);
}

#define DRIVER "/sys/bus/pci_express/devices/0000:0c:00.0:pcie004/driver"

static void unbind_late(void) {
        if (paused->engine.run.why)
                CHECK(unlink(DRIVER) == 0 || errno == ENOENT);
}

/* The write failed, and what was wanted has come about all the same: it is done. */
static void test_what_shows_counts(void) {
        _cleanup_(case_done) Case c;
        char link[256] = "";

        CHECK(readlink(DRIVER, link, sizeof(link) - 1) > 0);
        case_new(&c, CARD("0x1"), POLICY_STEPS STUBBORN_STEP);
        pause_with(&c, unbind_late);
        CHECK_INT(engine_forward(&c.engine), 0);
        check_kinds(&c, "start do done do done do done");
        CHECK_INT(symlink(link, DRIVER), 0);
}

#define SERIAL "/sys/devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem1/serial"

static void change_card(void) {
        if (paused->journal->last_do != SIZE_MAX)
                file_write(SERIAL, "0x9\n");
}

/* The card was changed between what was asked about it and the write: that is not made. */
static void test_card_changed_meanwhile(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), ANNOUNCE_STEP);
        pause_with(&c, change_card);
        CHECK_INT(engine_forward(&c.engine), -ESTALE);
        CHECK_STR(c.engine.run.why, "the serial number of mem1 is 0x9, the plan was made for 0x1");
        CHECK_INT(c.engine.run.announced_until, 0);
        check_kinds(&c, "start do failed");
        file_write(SERIAL, "0x1\n");
}

/* After the first step that cannot be undone there is a way back only where it has left no trace, and nobody may be at it still. */
static void test_can_go_back(void) {
        _cleanup_(case_done) Case c, finish;

        case_new(&c, CARD("0x1"), ANNOUNCE_STEP POWER_STEPS);
        c.engine.failed_step = 1;
        CHECK(engine_can_go_back(&c.engine));
        c.engine.touched_tail = true;
        CHECK(engine_can_go_back(&c.engine));
        c.engine.failed_step = 2;
        CHECK(!engine_can_go_back(&c.engine));
        c.engine.failed_step = 1;
        c.engine.left_behind = true;
        CHECK(!engine_can_go_back(&c.engine));
        c.engine.left_behind = false;
        c.engine.resumed = true;
        CHECK(!engine_can_go_back(&c.engine));
        c.engine.resumed = false;
        file_write("/sys/bus/pci/slots/2/power", "0\n");
        CHECK(!engine_can_go_back(&c.engine));
        file_write("/sys/bus/pci/slots/2/power", "1\n");
        CHECK(engine_can_go_back(&c.engine));

        case_begin(&finish, make_plan("finish", CARD("0x1"), ANNOUNCE_STEP));
        CHECK(!engine_can_go_back(&finish.engine));
}

static bool always(void *userdata) {
        return true;
}

/* Its worker died at the record of the power-off, and the next one is told to go back: an error, and the kinds of records since. */
static int power_off_called_off(const char *power, bool card) {
        static const char function[] = "/sys/bus/pci/devices/0000:0d:00.0", away[] = "/sys/bus/pci/devices/away";
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), ANNOUNCE_STEP POWER_STEPS);
        CHECK_INT(journal_step(c.journal, "do", 0, NULL), 0);
        CHECK_INT(journal_step(c.journal, "done", 0, NULL), 0);
        CHECK_INT(journal_step(c.journal, "do", 1, NULL), 0);
        file_write("/sys/bus/pci/slots/2/power", power);
        CHECK(card || rename(function, away) == 0);
        case_reopen(&c);
        c.engine.run.cancelled = always;
        int r = engine_forward(&c.engine);
        CHECK(card || rename(away, function) == 0);
        file_write("/sys/bus/pci/slots/2/power", "1\n");
        return r;
}

/* A power-off that shows is on its way, whoever made it: a wish to go back comes too late. One that left no trace can be called off. */
static void test_power_off_under_way(void) {
        CHECK_INT(power_off_called_off("1\n", true), -ECANCELED);
        CHECK(power_off_called_off("0\n", true) != -ECANCELED);
        CHECK(power_off_called_off("0\n", false) != -ECANCELED);
}

/* Whether the card is ready to lose its power is asked right before that, and a no leads back. Whoever goes on for another worker would be stuck
 * after the record of it, and asks before. */
static void test_power_off_not_ready(void) {
        _cleanup_(case_done) Case c, taken_up;

        case_new(&c, CARD("0x1"), ANNOUNCE_STEP MEMORY_POWER_STEP);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK(engine_can_go_back(&c.engine));
        check_kinds(&c, "start do done do failed");

        case_new(&taken_up, CARD("0x1"), ANNOUNCE_STEP MEMORY_POWER_STEP);
        CHECK_INT(journal_step(taken_up.journal, "do", 0, NULL), 0);
        case_reopen(&taken_up);
        CHECK_INT(engine_forward(&taken_up.engine), -EBUSY);
        CHECK(startswith(taken_up.engine.run.why, "not ready to lose power: "));
        CHECK(engine_can_go_back(&taken_up.engine));
        check_kinds(&taken_up, "start do do done failed");
}

/* What a step's check finds stops it before anything is written down or touched. */
static void test_check_refuses(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), POLICY_STEPS CARD_STEP);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_STR(c.engine.run.why, "memory146 of dax0.0 is online again: somebody else onlines memory on this machine");
        check_kinds(&c, "start do done do done failed");
}

/* Somebody has taken the card's driver off: how it is bound again is said. */
static void test_driver_gone(void) {
        static const char driver[] = "/sys/bus/pci/devices/0000:0d:00.0/driver";
        _cleanup_(case_done) Case c;
        char link[256] = "";

        CHECK(readlink(driver, link, sizeof(link) - 1) > 0);
        CHECK_INT(unlink(driver), 0);
        case_new(&c, CARD("0x77"), POLICY_STEPS CARD_STEP);
        CHECK_INT(engine_forward(&c.engine), -ESTALE);
        CHECK_STR(c.engine.run.remedy, "echo 0000:0d:00.0 > /sys/bus/pci/drivers/cxl_pci/bind && safe-remove plan 2");
        CHECK_INT(symlink(link, driver), 0);
}

/* Another card at the same address: nothing is written to it. */
static void test_other_card(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x77"), POLICY_STEPS CARD_STEP);
        CHECK_INT(engine_forward(&c.engine), -ESTALE);
        CHECK_STR(c.engine.run.why, "the serial number of mem1 is 0x1, the plan was made for 0x77");
        CHECK(!c.engine.run.remedy);
        check_kinds(&c, "start do done do done failed");
}

/* A write that is under way still may take effect whatever the kernel shows: the card stays, the machine's policy comes back. */
static void test_left_behind(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), POLICY_STEPS CARD_STEP);
        for (size_t n = 0; n < 3; n++)
                CHECK_INT(journal_step(c.journal, "do", n, NULL), 0);
        policy_write("online_kernel");
        c.engine.left_behind = true;
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        CHECK_INT(c.engine.n_not_undone, 1);
        CHECK(strstr(c.engine.stuck_why, "nothing is put back in use"));
        check_policy("online_movable");
}

/* Cancelled at every moment at which it is asked: it ends as it was, or was over before. */
static void test_cancel(void) {
        for (int n = 0; n < 6; n++) {
                _cleanup_(case_done) Case c;

                case_new(&c, "null", POLICY_STEPS);
                cancel_after = n;
                int r = engine_forward(&c.engine);
                cancel_after = -1;
                CHECK(r == 0 || r == -ECANCELED);
                CHECK(r == -ECANCELED || n >= 3);
                if (r < 0)
                        CHECK_INT(engine_back(&c.engine, "cancelled", "test"), 0);
                check_policy(r < 0 ? "online_movable" : "online_kernel");
        }
}

static void resume(Case *c, bool back) {
        case_reopen(c);
        c->engine.failed_step = c->journal->last_do == SIZE_MAX ? 0 : c->journal->last_do;
        CHECK_INT(back ? engine_back(&c->engine, "cancelled", "test") : engine_forward(&c->engine), 0);
        check_policy(back ? "online_movable" : "online_kernel");
}

/* Died after each record, with the write after that record made or not made: resumed, it ends in one of the two states
 * that were promised. */
static void test_crash_at_every_record(void) {
        static const char *const worlds[][2] = {
                { "online_movable", "online_movable" }, /* start */
                { "online_movable", "online" },        /* do 0 */
                { "online", "online" },               /* done 0 */
                { "online", "online_kernel" },         /* do 1 */
                { "online_kernel", "online_kernel" },   /* done 1 */
        };

        for (size_t records = 1; records <= ELEMENTSOF(worlds); records++)
                for (size_t made = 0; made < 2; made++)
                        for (int back = 0; back < 2; back++) {
                                _cleanup_(case_done) Case c;
                                case_new(&c, "null", POLICY_STEPS);
                                CHECK_INT(engine_forward(&c.engine), 0);
                                _cleanup_free_ char *text = journal_text(&c);
                                journal_cut(&c, text, records);
                                policy_write(worlds[records - 1][made]);
                                resume(&c, back);
                        }
}

/* What a step has in its worker's process it has no more when another goes on: it is done anew, though it stands in the record as done. Here
 * that fails, for the device has come back since and has no node. */
static void test_in_process(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", CLAIM_STEP POLICY_STEPS);
        CHECK_INT(engine_forward(&c.engine), 0);
        CHECK(mkdir("/sys/dev", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir("/sys/dev/block", 0755) == 0 || errno == EEXIST);
        CHECK_INT(mkdir("/sys/devices/leaf0", 0755), 0);
        CHECK_INT(symlink("../../devices/leaf0", "/sys/dev/block/259:77"), 0);
        _cleanup_fclose_ FILE *f = fopen("/sys/devices/leaf0/uevent", "we");
        CHECK(f && fputs("DEVNAME=leaf0\n", f) >= 0 && fflush(f) == 0);
        case_reopen(&c);
        CHECK_INT(engine_forward(&c.engine), -ENOENT);
        CHECK_INT(c.engine.failed_step, 0);
}

/* What a step notes is written down under its number and found again, by it and by nobody else, also when another worker goes on;
 * what is lost stands in the record and once only. */
static void test_notes(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", POLICY_STEPS);
        CHECK_INT(engine_forward(&c.engine), 0);
        json_object *o = json_object_new_object();
        json_set_str(o, "unit", "a.service");
        CHECK_INT(step_note(&c.engine.run, o), 0);
        CHECK_INT(json_len(c.engine.run.notes), 1);
        _cleanup_free_ char *text = journal_text(&c);
        CHECK(strstr(text, "{\"ev\":\"note\",\"n\":1,\"note\":{\"unit\":\"a.service\"},"));

        resume(&c, false);
        CHECK_STR(json_str(json_at(c.engine.run.notes, 0), "unit"), "a.service");
        CHECK(!c.engine.run.backwards);
        step_lost(&c.engine.run, "process %d was ended", 12);
        CHECK_INT(engine_back(&c.engine, "cancelled", "test"), 0);
        CHECK(c.engine.run.backwards && !c.engine.run.notes);
        CHECK_INT(json_len(c.journal->lost), 1);
        check_kinds(&c, "start do done do done note done back undo lost undone undo undone");
}

/* Who went is told after the step that ended him, and a step that noted something is asked to undo it whatever the kernel shows. */
static void test_lost_and_noted(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", POLICY_STEPS);
        step_lost(&c.engine.run, "process %d was ended", 12);
        CHECK_INT(engine_forward(&c.engine), 0);
        check_kinds(&c, "start do lost done do done");
        CHECK_INT(step_note(&c.engine.run, json_object_new_object()), 0);
        policy_write("online");
        CHECK_INT(engine_back(&c.engine, "cancelled", "test"), 0);
        check_kinds(&c, "start do lost done do done note back undo undone undo undone");
}

static void never(void) {
        CHECK(false);
}

/* A step that was found done is undone like one that was begun, and nobody is asked whether the way back is called off. */
static void test_found_done(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), POLICY_STEP CARD_STEP);
        policy_write("online");
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        check_kinds(&c, "start done failed");
        pause_with(&c, never);
        CHECK_INT(engine_back(&c.engine, "failed", "test"), 0);
        check_policy("online_movable");
}

/* Where the time is over nothing is begun any more, but the slot. */
static void test_no_time_left(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, CARD("0x1"), POLICY_STEP STUBBORN_STEP);
        for (size_t n = 0; n < 2; n++)
                CHECK_INT(journal_step(c.journal, "do", n, NULL), 0);
        policy_write("online");
        c.engine.until = 1;
        CHECK_INT(engine_back(&c.engine, "failed", "test"), -EIO);
        time_set_end(0);
        CHECK_INT(c.engine.n_not_undone, 1);
        CHECK_STR(c.engine.stuck_why, "step auto-online could not be undone: there was no time left for it");
        check_policy("online");
}

/* What cannot be noted is not touched: the step fails with the journal's error. */
static void test_note_unwritable(void) {
        _cleanup_(case_done) Case c;

        case_new(&c, "null", POLICY_STEPS);
        CHECK_INT(engine_forward(&c.engine), 0);
        close(c.journal->fd);
        c.journal->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CHECK_INT(step_note(&c.engine.run, json_object_new_object()), -EBADF);
        CHECK_STR(c.engine.run.why, "the journal cannot be written: Bad file descriptor");
        CHECK(!c.engine.run.notes);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *run = strf("%s/run", dir);

        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        setenv("SAFE_REMOVE_RUN_DIR", run, 1);

        /* Files that can only be written are not in a recording. */
        fclosep(&(FILE *) { fopen("/sys/bus/pci_express/drivers/pciehp/unbind", "we") });
        test_forward();
        test_failure_goes_back();
        test_only_what_shows_counts();
        test_what_shows_counts();
        test_drill_over();
        test_card_changed_meanwhile();
        test_can_go_back();
        test_power_off_under_way();
        test_power_off_not_ready();
        test_check_refuses();
        test_other_card();
        test_driver_gone();
        test_left_behind();
        test_cancel();
        test_crash_at_every_record();
        test_in_process();
        test_notes();
        test_lost_and_noted();
        test_found_done();
        test_no_time_left();
        test_note_unwritable();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
