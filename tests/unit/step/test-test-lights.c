/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test's lights on the recorded machine "ram2", where a port's registers are a file: no state of them says "safe to pull". */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>

#include "base/clock.h"
#include "kernel/pci/pcie-slot.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define SERVICE PORT ":pcie004"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"

enum {
        CAP = 0x74,
};

static json_object *args_with(bool power, bool attention) {
        json_object *o = json_object_new_object();

        json_set_str(o, "port", PORT);
        json_set_str(o, "service", SERVICE);
        json_set_bool(o, "power_indicator", power);
        json_set_bool(o, "attention_indicator", attention);
        json_set_str(o, "attention_led", "off");
        return o;
}

static StepRun run_new(const StepLimits *limits) {
        return (StepRun) { .limits = limits, .note = keep_notes };
}

/* pciehp is away, and the slot's lights are a held one's. */
static void hold(void) {
        (void) unlink("/sys/bus/pci_express/devices/" SERVICE "/driver");
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_BLINK, INDICATOR_OFF), 0);
}

static void check_shown(Indicator power, Indicator attention) {
        SlotRegisters s;

        CHECK_INT(slot_registers_read(PORT, &s), 0);
        CHECK_INT(s.power, power);
        CHECK_INT(s.attention, attention);
}

/* How many notes have this state of a light, each of which was read as it was asked for. */
static size_t count(const StepRun *run, const char *which, const char *state) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(run->notes); i++) {
                json_object *asked = json_get(json_at(run->notes, i), "asked"), *read = json_get(json_at(run->notes, i), "read");
                if (!asked)
                        continue;
                CHECK_STR(json_str(read, which), json_str(asked, which));
                CHECK(!streq_ptr(json_str(read, "power"), "off") || !streq_ptr(json_str(read, "attention"), "off"));
                n += streq_ptr(json_str(read, which), state);
        }
        return n;
}

static void test_all(const StepLimits *limits) {
        _cleanup_json_ json_object *args = args_with(true, true);
        StepRun run = run_new(limits);

        hold();
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(step_test_lights_ops.apply(args, &run), 0);
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_APPLIED);
        static const char *const states[] = { "on", "off", "blink" };
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                CHECK(count(&run, "power", states[i]) > 0 && count(&run, "attention", states[i]) > 0);
        check_shown(INDICATOR_BLINK, INDICATOR_OFF);
        run.backwards = true;
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_NOT_APPLIED);

        /* Whoever dies between two states leaves the next one something to do. */
        CHECK_INT(slot_indicators_write(PORT, INDICATOR_OFF, INDICATOR_ON), 0);
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_PARTLY_APPLIED);
        CHECK_INT(step_test_lights_ops.revert(args, &run), 0);
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_NOT_APPLIED);
        check_shown(INDICATOR_BLINK, INDICATOR_OFF);
        step_run_done(&run);
        json_object_put(run.notes);
}

static bool always(void *userdata) {
        (void) userdata;
        return true;
}

static void test_cancel(const StepLimits *limits) {
        _cleanup_json_ json_object *args = args_with(true, true);
        StepRun run = run_new(limits);

        run.cancelled = always;
        hold();
        CHECK_INT(step_test_lights_ops.apply(args, &run), -ECANCELED);
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_NOT_APPLIED);
        run.backwards = true;
        CHECK_INT(step_test_lights_ops.revert(args, &run), 0);
        CHECK_INT(step_test_lights_ops.verify(args, &run), STEP_NOT_APPLIED);
        step_run_done(&run);
        json_object_put(run.notes);
}

/* A dark power light alone would say that the card can be pulled. And what the slot has not got cannot be set. */
static void test_without_attention(const StepLimits *limits) {
        _cleanup_json_ json_object *args = args_with(true, false), *both = args_with(true, true);
        uint32_t caps;

        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && pread(fd, &caps, 4, CAP + PCI_EXP_SLTCAP) == 4);
        caps &= ~(uint32_t) PCI_EXP_SLTCAP_AIP;
        hold();
        CHECK(pwrite(fd, &caps, 4, CAP + PCI_EXP_SLTCAP) == 4);

        StepRun run = run_new(limits);
        CHECK_INT(step_test_lights_ops.apply(args, &run), 0);
        CHECK_INT(count(&run, "power", "off"), 0);
        CHECK(count(&run, "power", "on") > 0);
        step_run_done(&run);
        json_object_put(run.notes);

        StepRun wrong = run_new(limits);
        CHECK_INT(step_test_lights_ops.apply(both, &wrong), -EOPNOTSUPP);
        CHECK(strstr(wrong.why, PORT));
        step_run_done(&wrong);
        json_object_put(wrong.notes);
}

int main(void) {
        const StepLimits limits = { .write_timeout_usec = 5 * USEC_PER_SEC };

        test_all(&limits);
        test_cancel(&limits);
        test_without_attention(&limits);
        return 0;
}
