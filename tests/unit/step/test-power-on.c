/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a self-test gives slots of the recorded machine "ram2" their power back, where attributes and registers are files: no light says "safe to pull" over
 * one whose power may come. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"
#define CARD "/sys/bus/pci/devices/0000:0d:00.0"
#define AWAY "/sys/bus/pci/away"
#define SLOTS "/sys/bus/pci/slots/"

enum {
        CAP = 0x74,
};

static const StepLimits limits = { .write_timeout_usec = 300 * USEC_PER_MSEC };

static json_object *slot_new(const char *slot, const char *port, const char *address) {
        json_object *o = json_object_new_object();

        json_set_str(o, "slot", slot);
        json_set_str(o, "port", port);
        json_set_str(o, "address", address);
        return o;
}

/* Slot 2 is the first of two that get their power. */
static json_object *args_new(void) {
        json_object *o = json_object_new_object(), *slots = json_object_new_array(), *scope = slot_new("2", PORT, "0000:0d:00");

        json_object_array_add(slots, slot_new("2", PORT, "0000:0d:00"));
        json_object_array_add(slots, slot_new("3", "0000:0c:01.0", "0000:0e:00"));
        json_set(scope, "functions", json_object_new_array());
        json_append_str(json_array(scope, "functions"), "0000:0d:00.0");
        json_set_bool(scope, "power_indicator", true);
        json_set_bool(scope, "attention_indicator", true);
        json_set(o, "scope", scope);
        json_set(o, "slots", slots);
        return o;
}

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static void check_file(const char *path, const char *want) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(attr_read(path, &text), 0);
        CHECK_STR(text, want);
}

static void put_lights(Indicator power, Indicator attention) {
        _cleanup_close_ int fd = open(CONFIG, O_RDWR | O_CLOEXEC);
        uint16_t control;

        CHECK(fd >= 0 && pread(fd, &control, 2, CAP + PCI_EXP_SLTCTL) == 2);
        control = (uint16_t) ((control & ~(PCI_EXP_SLTCTL_AIC | PCI_EXP_SLTCTL_PIC)) | power << 8 | attention << 6);
        CHECK(pwrite(fd, &control, 2, CAP + PCI_EXP_SLTCTL) == 2);
}

/* As show-safe leaves it. */
static void shown_safe(void) {
        put(SLOTS "2/power", "0\n");
        put(SLOTS "3/power", "0\n");
        put(SLOTS "2/attention", "0\n");
        put(SLOTS "3/attention", "0\n");
        put_lights(INDICATOR_OFF, INDICATOR_OFF);
}

static int power_on(char **ret_why) {
        _cleanup_json_ json_object *args = args_new(), *card = json_object_new_object();
        StepRun run = { .limits = &limits, .note = keep_notes, .card = card };

        json_set_str(card, "bdf", "0000:0d:00.0");
        int r = step_power_on_ops.apply(args, &run);
        *ret_why = run.why ? strdup(run.why) : NULL;
        step_run_done(&run);
        json_object_put(run.notes);
        return r;
}

static int verify(void) {
        _cleanup_json_ json_object *args = args_new(), *card = json_object_new_object();
        StepRun run = { .limits = &limits, .card = card };

        json_set_str(card, "bdf", "0000:0d:00.0");
        int r = step_power_on_ops.verify(args, &run);
        step_run_done(&run);
        return r;
}

/* A slot that cannot say it, be it one whose turn comes later, keeps all of them without power. */
static void test_veil_comes_first(void) {
        static const char *const lights[] = { SLOTS "2/attention", SLOTS "3/attention" };

        for (size_t i = 0; i < ELEMENTSOF(lights); i++) {
                _cleanup_free_ char *why = NULL;

                shown_safe();
                CHECK_INT(unlink(lights[i]), 0);
                CHECK_INT(mkdir(lights[i], 0755), 0);
                CHECK(power_on(&why) < 0);
                CHECK(why && strstr(why, "attention LED"));
                check_file(SLOTS "2/power", "0");
                CHECK_INT(rmdir(lights[i]), 0);
        }
}

/* Neither the slot that waits for its card nor the one whose turn comes later says "safe". */
static void test_veil_stays(void) {
        _cleanup_free_ char *why = NULL, *dark = NULL;

        shown_safe();
        CHECK_INT(rename(CARD, AWAY), 0);
        CHECK_INT(power_on(&why), -ETIME);
        check_file(SLOTS "2/power", "1");
        check_file(SLOTS "2/attention", "1");
        check_file(SLOTS "3/attention", "1");
        check_file(SLOTS "3/power", "0");
        CHECK_INT(verify(), STEP_PARTLY_APPLIED);
        CHECK_INT(rename(AWAY, CARD), 0);

        /* The card is there, and the power LED says nothing yet. */
        put_lights(INDICATOR_OFF, INDICATOR_ON);
        CHECK_INT(power_on(&dark), -ETIME);
        CHECK(dark && strstr(dark, "power LED"));
        check_file(SLOTS "2/attention", "1");
        CHECK_INT(verify(), STEP_PARTLY_APPLIED);
}

static void test_light_is_as_before(void) {
        _cleanup_free_ char *why = NULL;

        shown_safe();
        put_lights(INDICATOR_BLINK, INDICATOR_ON);
        CHECK_INT(power_on(&why), 0);
        check_file(SLOTS "2/power", "1");
        check_file(SLOTS "2/attention", "0");
        check_file(SLOTS "3/attention", "1");

        /* Whoever dies before the light is back leaves the next one something to do. */
        CHECK_INT(verify(), STEP_PARTLY_APPLIED);
        put_lights(INDICATOR_ON, INDICATOR_OFF);
        CHECK_INT(verify(), STEP_APPLIED);
}

/* The attribute of a slot without a power controller never reads 0. */
static void test_functions_decide(void) {
        _cleanup_free_ char *why = NULL;

        shown_safe();
        put(SLOTS "2/power", "7\n");
        CHECK_INT(rename(CARD, AWAY), 0);
        CHECK_INT(power_on(&why), -ETIME);
        check_file(SLOTS "2/power", "1");
        CHECK_INT(rename(AWAY, CARD), 0);
}

int main(void) {
        test_veil_comes_first();
        test_veil_stays();
        test_light_is_as_before();
        test_functions_decide();
        return 0;
}
