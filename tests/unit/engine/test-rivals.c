/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Somebody else at the same things: what he undoes is done once more, and he is not fought for ever; what he has done is done. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/run-dir.h"
#include "engine/identity.h"
#include "tests/unit/engine/engine-world.h"

#define POLICY_STEP "{\"name\": \"auto-online\", \"args\": {\"value\": \"online\", \"was\": \"online_movable\"}}"
#define HOLD_STEP                                                                                               \
        "{\"name\": \"hold\", \"args\": {\"port\": \"0000:0c:00.0\", \"service\": \"0000:0c:00.0:pcie004\","           \
        "\"power_led\": \"on\", \"attention_led\": \"off\"}}"
#define RELEASE_STEP "{\"name\": \"release\", \"args\": {\"port\": \"0000:0c:00.0\", \"service\": \"0000:0c:00.0:pcie004\"}}"
#define ANNOUNCE_STEP "{\"name\": \"announce\", \"args\": {\"grace_sec\": 0}}"
#define DAX_STEP                                                                                                \
        "{\"name\": \"disable-dax\", \"args\": {\"dax\": \"dax0.0\", \"driver\": \"kmem\", \"start\": 19595788288,"    \
        "\"size\": 536870912, \"region\": {\"name\": \"region0\", \"start\": 19595788288, \"targets\":"           \
        "[{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}}}"
#define POWER_STEP                                                                                              \
        "{\"name\": \"power-off\", \"args\": {\"scope\": {\"slot\": \"2\", \"port\": \"0000:0c:00.0\", \"address\": \"0000:0d:00\"," \
        "\"power_controller\": true, \"attention_indicator\": true, \"power_indicator\": true, \"functions\": [\"0000:0d:00.0\"]}}}"
#define PROVE_STEP "{\"name\": \"prove-safe\", \"args\": {\"scope\": {\"slot\": \"2\", \"port\": \"0000:0c:00.0\", \"power_controller\": true, " \
        "\"address\": \"0000:0d:00\", \"functions\": [\"0000:0d:00.0\"]}}}"
#define CARD "{\"bdf\": \"0000:0d:00.0\", \"vendor\": \"0x8086\", \"device\": \"0x0d93\", \"memdev\": \"mem1\", \"serial\": \"0x1\"}"

#define DRIVER "/sys/bus/pci_express/devices/0000:0c:00.0:pcie004/driver"
#define FUNCTION "/sys/bus/pci/devices/0000:0d:00.0"
#define AWAY "/sys/bus/pci/away"
#define POWER "/sys/bus/pci/slots/2/power"
#define ATTENTION "/sys/bus/pci/slots/2/attention"

static const StepLimits with_pauses = { .offline_timeout_usec = 1000000, .write_timeout_usec = 5000000, .step_delay_usec = 100000 };
static Case *now_running;
static void (*meddle)(void);
static unsigned times, meddled;

static bool in_pause(void *userdata) {
        if (meddled < times)
                meddle();
        return false;
}

/* Somebody comes in whenever the engine asks whether it is called off, so often. */
static void meddle_with(Case *c, void (*what)(void), unsigned n) {
        c->engine.run.limits = &with_pauses;
        c->engine.run.cancelled = in_pause;
        now_running = c;
        meddle = what;
        times = n;
        meddled = 0;
}

static void file_write(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static bool policy_is(const char *value) {
        _cleanup_free_ char *now = NULL;

        CHECK_INT(auto_online_policy_read(&now), 0);
        return streq(now, value);
}

static void set_back(void) {
        if (!policy_is("online"))
                return;
        policy_write("online_movable");
        meddled++;
}

static size_t n_disturbed(const Case *c, const char *line) {
        _cleanup_json_ json_object *all = journal_disturbed(c->journal);

        if (line)
                CHECK_STR(json_object_get_string(json_at(all, 0)), line);
        return json_len(all);
}

/* He comes once, or as often as is borne: what was wanted is reached in the end, and the ending says that he was there. */
static void test_undone_and_done_again(unsigned n) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY_STEP));
        meddle_with(&c, set_back, n);
        CHECK_INT(engine_forward(&c.engine), 0);
        CHECK_INT(meddled, n);
        CHECK_INT(c.engine.n_again, n);
        CHECK(!c.engine.interfered);
        check_policy("online");
        CHECK_INT(n_disturbed(&c, "somebody else: step auto-online: the policy for new memory blocks was set to another one"), 1);

        /* Another worker finds the same in the record. */
        case_reopen(&c);
        CHECK_INT(n_disturbed(&c, NULL), 1);
}

/* He comes each time: nobody fights him, and the reason and the remedy say what it is about. */
static void test_never_for_ever(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY_STEP));
        meddle_with(&c, set_back, 1000);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_INT(c.engine.n_again, 3);
        CHECK(c.engine.interfered);
        CHECK(strstr(c.engine.run.why, "the policy for new memory blocks was set to another one by somebody else or by the kernel itself, each of 3 times"));
        CHECK(startswith(c.engine.run.remedy, "safe-remove remove 2  # once whoever does that"));
        CHECK(engine_can_go_back(&c.engine));
        times = 0;
        CHECK_INT(engine_back(&c.engine, "interfered", "test"), 0);
        check_policy("online_movable");
}

static void set_back_later(void) {
        if (now_running->journal->last_do != SIZE_MAX && now_running->engine.step == 1)
                set_back();
}

/* What an earlier step did is undone, and a later one finds out by failing: the earlier one is done once more. (The later one has a reason of its own
 * here as well, and keeps that.) */
static void test_earlier_step(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", CARD, POLICY_STEP "," DAX_STEP));
        meddle_with(&c, set_back_later, 1);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_INT(meddled, 1);
        CHECK_INT(c.engine.n_again, 1);
        check_policy("online");
        CHECK_INT(c.engine.failed_step, 1);
        CHECK(startswith(c.engine.run.why, "memory146 of dax0.0 is online again: somebody else onlines memory on this machine"));
        CHECK(c.engine.interfered && c.engine.run.remedy);
}

static void lose_policy(void *userdata, uint64_t done, uint64_t of, const char *text) {
        if (strstr(text, "once more"))
                CHECK_INT(unlink(AUTO_ONLINE_PATH), 0);
}

/* What was undone has gone when it is to be done once more: there is nobody to be named for that, and the later step keeps its own reason. */
static void test_earlier_step_gone(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", CARD, POLICY_STEP "," DAX_STEP));
        meddle_with(&c, set_back_later, 1);
        c.engine.run.progress = lose_policy;
        CHECK(engine_forward(&c.engine) < 0);
        CHECK_INT(meddled, 1);
        CHECK_INT(c.engine.n_again, 1);
        CHECK_INT(c.engine.failed_step, 1);
        CHECK(!strstr(c.engine.run.why, "by somebody else"));
}

static bool called_off_then(void *userdata) {
        (void) in_pause(userdata);
        return meddled > 0;
}

/* A wish to go back is heard in between. */
static void test_called_off(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", "null", POLICY_STEP));
        meddle_with(&c, set_back, 1000);
        c.engine.run.cancelled = called_off_then;
        CHECK_INT(engine_forward(&c.engine), -ECANCELED);
        CHECK(!c.engine.interfered);
}

static char driver_link[256];

static void give_to_pciehp(void) {
        if (now_running->engine.step == 1 && symlink(driver_link, DRIVER) == 0)
                meddled++;
}

/* The slot was held, and somebody has given it to pciehp, which would serve the next press: the next step does not begin. */
static void test_hold_taken(void) {
        _cleanup_(case_done) Case c;

        CHECK_INT(unlink(DRIVER), 0);
        case_begin(&c, make_plan("removal", CARD, HOLD_STEP "," ANNOUNCE_STEP "," POLICY_STEP));
        meddle_with(&c, give_to_pciehp, 1);
        CHECK_INT(engine_forward(&c.engine), -EBUSY);
        CHECK_INT(meddled, 1);
        CHECK_INT(c.engine.failed_step, 2);
        CHECK(startswith(c.engine.run.why, "the slot is not held any more: somebody else has given it to pciehp"));
        CHECK(c.engine.interfered);
        check_policy("online_movable");
}

/* Behind the step that gives it back it is not ours to hold. */
static void test_hold_given_back(void) {
        _cleanup_(case_done) Case c;

        CHECK_INT(unlink(DRIVER), 0);
        case_begin(&c, make_plan("removal", CARD, HOLD_STEP "," RELEASE_STEP "," POLICY_STEP));
        for (size_t n = 0; n < 2; n++)
                CHECK_INT(journal_step(c.journal, "do", n, NULL), 0);
        CHECK_INT(symlink(driver_link, DRIVER), 0);
        case_reopen(&c);
        CHECK_INT(engine_forward(&c.engine), 0);
        CHECK_INT(c.engine.n_again, 0);
        check_policy("online");
}

static bool unwritable;

static void power_off(void) {
        if (now_running->engine.step != 1 || now_running->journal->last_do + 1 != times)
                return;
        file_write(POWER, "0\n");
        CHECK_INT(rename(FUNCTION, AWAY), 0);
        meddled = 1000;
        if (unwritable) {
                close(now_running->journal->fd);
                now_running->journal->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        }
}

static void power_on(void) {
        CHECK_INT(rename(AWAY, FUNCTION), 0);
        file_write(POWER, "1\n");
}

static bool is_lit(void) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(ATTENTION, &text, NULL), 0);
        return *text == '1';
}

/* Somebody else switches the slot off, before our step or right before its write: it is done, from then on there is no way back, also not for who calls it
 * off, and the ending says who did it. at: 1: before "do" is on record; 2: after it. */
static void test_power_off_by_others(unsigned at, bool called_off) {
        _cleanup_(case_done) Case c;

        file_write(ATTENTION, "0\n");
        case_begin(&c, make_plan("removal", CARD, ANNOUNCE_STEP "," POWER_STEP "," PROVE_STEP));
        meddle_with(&c, power_off, at);
        if (called_off)
                c.engine.run.cancelled = called_off_then;
        (void) engine_forward(&c.engine);
        CHECK_INT(meddled, 1000);
        CHECK_INT(c.engine.failed_step, 2); /* the recorded registers have power for ever, which the proof sees */
        CHECK(!engine_can_go_back(&c.engine));
        CHECK(is_lit()); /* "not yet" */
        CHECK_INT(n_disturbed(&c, "somebody else: step power-off: it was done by somebody else"), 1);
        _cleanup_free_ char *text = journal_text(&c);
        CHECK(strstr(text, "done by somebody else"));
        power_on();
}

static void power_off_inner(void) {
        if (now_running->engine.step != 1)
                return;
        times = now_running->journal->last_do == SIZE_MAX ? 0 : now_running->journal->last_do + 1;
        power_off();
        times = 1;
        CHECK_INT(symlink(driver_link, DRIVER), 0);
}

/* What was held inside of it is not asked about any more. */
static void test_hold_without_power(void) {
        _cleanup_(case_done) Case c;

        CHECK_INT(unlink(DRIVER), 0);
        case_begin(&c, make_plan("removal", CARD, HOLD_STEP "," POWER_STEP "," PROVE_STEP));
        meddle_with(&c, power_off_inner, 1);
        (void) engine_forward(&c.engine);
        CHECK_INT(c.engine.failed_step, 2);
        CHECK(startswith(c.engine.run.why, "not proven safe: link"));
        power_on();
}

/* Nor is there a way back where not even that can be written down. */
static void test_power_off_unwritable(void) {
        _cleanup_(case_done) Case c;

        case_begin(&c, make_plan("removal", CARD, ANNOUNCE_STEP "," POWER_STEP "," PROVE_STEP));
        meddle_with(&c, power_off, 1);
        unwritable = true;
        CHECK_INT(engine_forward(&c.engine), -EBADF);
        unwritable = false;
        CHECK_INT(c.engine.failed_step, 1);
        CHECK(!engine_can_go_back(&c.engine));
        power_on();
}

/* Taken off the bus by somebody: with nothing but the power left to be taken the removal goes on, before that it does not. */
static void test_taken_off_the_bus(void) {
        _cleanup_(case_done) Case release, dax;

        CHECK_INT(rename(FUNCTION, AWAY), 0);
        CHECK_INT(unlink(DRIVER), 0);
        case_begin(&release, make_plan("removal", CARD, RELEASE_STEP));
        (void) engine_forward(&release.engine);
        check_kinds(&release, "start do failed"); /* written, and the recorded machine binds nothing */

        case_begin(&dax, make_plan("removal", CARD, POLICY_STEP "," DAX_STEP));
        CHECK_INT(engine_forward(&dax.engine), -ENODEV);
        CHECK_STR(dax.engine.run.why, "the card at 0000:0d:00.0 is gone");
        CHECK(strstr(dax.engine.run.remedy, "/sys/bus/pci/rescan"));
        CHECK_INT(symlink(driver_link, DRIVER), 0);
        CHECK_INT(rename(AWAY, FUNCTION), 0);
}

#define CONFIG "/sys/bus/pci/devices/0000:0c:00.0/config"

enum {
        SLOT_CONTROL_HIGH = 0x8d, /* of the recorded port: the power's bit is the third */
        SLOT_STATUS = 0x8e,
};

static uint8_t config_swap(off_t at, uint8_t value) {
        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        uint8_t was = 0;

        CHECK(fd >= 0 && pread(fd, &was, 1, at) == 1 && pwrite(fd, &value, 1, at) == 1);
        return was;
}

static void check_remedy(const Plan *plan, const char *expected) {
        _cleanup_free_ char *remedy = card_remedy(plan, NULL);

        CHECK(expected ? remedy && startswith(remedy, expected) : !remedy);
}

/* What is to be done about a card that is not as it was is a line that can help; for one that was pulled there is none that brings it back. */
static void test_card_remedy(void) {
        static const char driver[] = FUNCTION "/driver";
        _cleanup_(plan_freep) Plan *plan = plan_of_text(
                "{\"schema\": \"safe-remove/plan/1\", \"kind\": \"removal\", \"slot\": {\"name\": \"2\", \"port\": \"0000:0c:00.0\"}, \"card\": " CARD
                ", \"steps\": [" ANNOUNCE_STEP "]}");
        char link[256] = "";

        check_remedy(plan, NULL);
        CHECK(readlink(driver, link, sizeof(link) - 1) > 0);
        CHECK_INT(unlink(driver), 0);
        check_remedy(plan, "echo 0000:0d:00.0 > /sys/bus/pci/drivers/cxl_pci/bind && safe-remove plan 2");
        CHECK_INT(symlink(link, driver), 0);
        CHECK_INT(rename(FUNCTION, AWAY), 0);
        check_remedy(plan, "echo 1 > /sys/bus/pci/rescan && safe-remove plan 2");
        uint8_t control = config_swap(SLOT_CONTROL_HIGH, 0x07);
        check_remedy(plan, "echo 1 > /sys/bus/pci/slots/2/power; safe-remove plan 2");
        uint8_t status = config_swap(SLOT_STATUS, 0);
        check_remedy(plan, "safe-remove verify 2  # the card is not in the slot any more");
        (void) config_swap(SLOT_STATUS, status);
        (void) config_swap(SLOT_CONTROL_HIGH, control);
        CHECK_INT(rename(AWAY, FUNCTION), 0);
        check_remedy(plan, NULL);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *run = strf("%s/run", dir);

        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        setenv("SAFE_REMOVE_RUN_DIR", run, 1);
        CHECK_INT(mkdir_private(run_dir()), 0);
        CHECK(readlink(DRIVER, driver_link, sizeof(driver_link) - 1) > 0);
        fclosep(&(FILE *) { fopen("/sys/bus/pci_express/drivers/pciehp/unbind", "we") });
        fclosep(&(FILE *) { fopen("/sys/bus/pci_express/drivers/pciehp/bind", "we") });
        for (unsigned n = 1; n <= 3; n++)
                test_undone_and_done_again(n);
        test_never_for_ever();
        test_earlier_step();
        test_earlier_step_gone();
        test_called_off();
        test_hold_taken();
        test_hold_given_back();
        test_power_off_by_others(1, false);
        test_power_off_by_others(2, false);
        test_power_off_by_others(1, true);
        test_power_off_unwritable();
        test_hold_without_power();
        test_taken_off_the_bus();
        test_card_remedy();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
