/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "dax-ranges": dax0.0 is kmem's and has two ranges, dax0.1 is a device of its own with the block between them. Nothing
 * there does anything with what is written, so what the kernel was asked for can be read afterwards. */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "step/undo/dax-shape.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define DAX "/sys/bus/dax/devices/dax0."
#define CREATE "/sys/bus/cxl/devices/dax_region0/dax_region/create"
#define SIZE_OF_0 "402653184"
#define FIRST "{\"id\": 0, \"driver\": \"kmem\", \"memmap_on_memory\": true, \"ranges\": [{\"start\": 19595788288, \"size\": 134217728}, "    \
              "{\"start\": 19864223744, \"size\": 268435456}]}"
#define SECOND "{\"id\": 1, \"driver\": \"device_dax\", \"memmap_on_memory\": false, \"ranges\": [{\"start\": 19730006016, \"size\": 134217728}]}"

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC };

static json_object *shape(const char *devices) {
        _cleanup_free_ char *text = strf("[%s]", devices);
        json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        return o;
}

static int fits(const char *devices) {
        _cleanup_json_ json_object *daxes = shape(devices);

        return dax_shape_fits(daxes, "region0");
}

/* What making them ends with, and why. */
static int make(const char *devices, const char *why) {
        _cleanup_json_ json_object *daxes = shape(devices);
        StepRun run = { .limits = &limits, .note = keep_notes, .backwards = true };

        int r = dax_shape_make(daxes, "region0", &run);
        if (why && !strstr(run.why ?: "", why))
                fprintf(stderr, "%s\n", run.why ?: "no reason");
        CHECK(!why || strstr(run.why ?: "", why));
        json_object_put(run.notes);
        step_run_done(&run);
        return r;
}

static void check_file(const char *path, const char *want) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        CHECK_STR(text, want);
}

static void test_fits(void) {
        CHECK_INT(fits(FIRST ", " SECOND), 1);
        CHECK_INT(fits(SECOND ", " FIRST), 1);
        CHECK_INT(fits(FIRST), 0);                              /* one too many */
        CHECK_INT(fits(FIRST ", " SECOND ", {\"id\": 2, \"ranges\": [{\"start\": 19730006016, \"size\": 134217728}]}"), 0);
        CHECK_INT(fits("{\"id\": 0, \"ranges\": [{\"start\": 19595788288, \"size\": 134217728}]}, " SECOND), 0);
        CHECK_INT(fits("{\"id\": 0, \"ranges\": [{\"start\": 19864223744, \"size\": 268435456}, {\"start\": 19595788288, \"size\": 134217728}]}, "
                       SECOND), 0);                             /* another order is another device */
        CHECK_INT(fits("{\"id\": 0, \"align\": 4096, \"ranges\": [{\"start\": 19595788288, \"size\": 134217728}, "
                       "{\"start\": 19864223744, \"size\": 268435456}]}, " SECOND), 0);
        _cleanup_json_ json_object *daxes = shape(FIRST ", " SECOND);
        CHECK_INT(dax_shape_fits(daxes, "region7"), 0);
}

/* What cannot be read is no yes, and nothing is written then. */
static void test_unread(void) {
        CHECK_INT(rename(DAX "0/mapping1/end", DAX "0/mapping1/was"), 0);
        CHECK_INT(fits(FIRST ", " SECOND), -ENODATA);
        CHECK_INT(make(FIRST ", " SECOND, "the memory of dax0.0 cannot be read"), -ENODATA);
        CHECK_INT(rename(DAX "0/mapping1/was", DAX "0/mapping1/end"), 0);
        CHECK_INT(rename("/dev/dax0.1", "/dev/was"), 0);
        CHECK_INT(fits(FIRST ", " SECOND), -ENODATA);
        CHECK_INT(rename("/dev/was", "/dev/dax0.1"), 0);
        check_file(DAX "0/size", SIZE_OF_0);
}

/* Whoever uses it has made it. */
static void test_in_use(void) {
        CHECK_INT(make(FIRST ", {\"id\": 1, \"ranges\": [{\"start\": 19730006016, \"size\": 67108864}]}", "dax0.1 is driven by device_dax"), -EBUSY);
        CHECK_INT(make(SECOND, "memory146 of dax0.0 is online again"), -EBUSY);
        check_file(DAX "0/size", SIZE_OF_0);
        check_file(DAX "1/size", "134217728");
}

/* What is right is left as it is. */
static void test_as_it_is(void) {
        CHECK_INT(make(FIRST ", " SECOND, NULL), 0);
        check_file(DAX "0/size", SIZE_OF_0);
        check_file(CREATE, "dax0.1");
}

/* The kernel's one device gives its memory back, and the ranges are asked for in their order. */
static void test_asks(void) {
        CHECK_INT(unlink(DAX "0/driver"), 0);
        test_put(DAX "0/mapping", "");
        CHECK(make("{\"id\": 0, \"align\": 4096, \"ranges\": [{\"start\": 19864223744, \"size\": 268435456}]}, " SECOND, "not what they were") < 0);
        check_file(DAX "0/size", "0");
        check_file(DAX "0/align", "4096");
        check_file(DAX "0/mapping", "4a0000000-4afffffff");
        test_put(DAX "0/size", SIZE_OF_0 "\n");
        CHECK_INT(make(SECOND ", {\"id\": 2, \"ranges\": []}", "no dax device with the number 2"), -EIO);
        check_file(CREATE, "1");
}

/* Each range counts: that of the first has no block here. */
static void test_offline(void) {
        _cleanup_json_ json_object *ranges = NULL;
        const char *text = "[{\"start\": 19730006016, \"size\": 134217728}, {\"start\": 19998441472, \"size\": 134217728}]";
        StepRun run = { .limits = &limits };

        CHECK_INT(json_parse(text, strlen(text), &ranges), 0);
        CHECK_INT(dax_offline_check(&run, NULL, 19730006016, 134217728, "dax0.0"), 0);
        CHECK_INT(dax_offline_check(&run, ranges, 19730006016, 134217728, "dax0.0"), -EBUSY);
        CHECK(strstr(run.why, "memory149 of dax0.0"));
        step_run_done(&run);
}

/* On the way back the region is what it was when its devices are. */
static void check_region(const char *devices, bool backwards, int state) {
        _cleanup_free_ char *text = strf("{\"region\": {\"name\": \"region0\", \"start\": 19595788288, \"size\": 536870912, \"targets\": "
                                         "[{\"position\": 0, \"memdev\": \"mem1\", \"index\": 0}]}, \"daxes\": [%s]}", devices);
        _cleanup_json_ json_object *args = NULL;
        StepRun run = { .limits = &limits, .backwards = backwards };

        CHECK_INT(json_parse(text, strlen(text), &args), 0);
        CHECK_INT(step_disable_region_ops.verify(args, &run), state);
        step_run_done(&run);
}

static void test_region(void) {
        check_region(FIRST ", " SECOND, true, STEP_NOT_APPLIED);
        check_region(FIRST, true, STEP_PARTLY_APPLIED);
        check_region(FIRST, false, STEP_NOT_APPLIED);
}

int main(void) {
        test_fits();
        test_offline();
        test_region();
        test_unread();
        test_in_use();
        test_as_it_is();
        test_asks();
        return 0;
}
