/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "storage": what the libraries are heard to see, and that none of their ways to go wrong is ours. What udev says of its queue
 * is scripted here, in front of libudev. */
#include <fcntl.h>
#include <libudev.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/cxl/libraries.h"
#include "kernel/cxl/library.h"
#include "kernel/cxl/testimony.h"
#include "plan/planner.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "tests/unit/test.h"

#define BUS "/sys/devices/platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus0"
#define REGION "/sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0"

static bool busy; /* udev's queue is */

int udev_queue_get_queue_is_empty(struct udev_queue *queue) {
        return !busy;
}

int access(const char *path, int mode) {
        if (streq(path, "/run/udev/queue"))
                return busy ? 0 : -1;
        return (int) syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

static json_object *answer_of(json_object *seen, const char *library) {
        for (size_t i = 0; i < json_len(seen); i++)
                if (streq_ptr(json_str(json_at(seen, i), "library"), library))
                        return json_at(seen, i);
        CHECK(!"the library is in the document");
        return NULL;
}

static json_object *named(json_object *answer, const char *list, const char *name) {
        for (size_t i = 0; i < json_len(json_array(answer, list)); i++)
                if (streq_ptr(json_str(json_at(json_array(answer, list), i), "name"), name))
                        return json_at(json_array(answer, list), i);
        return NULL;
}

/* All of them answer. */
static json_object *ask(void) {
        _cleanup_(libraries_freep) Libraries *l = NULL;

        CHECK_INT(libraries_ask(NULL, &l), 0);
        CHECK(libraries_hear_unless_busy(l));
        json_object *seen = libraries_seen(l);
        for (size_t i = 0; i < json_len(seen); i++)
                CHECK_STR(json_str(json_at(seen, i), "silent"), NULL);
        return seen;
}

static void test_all(void) {
        _cleanup_json_ json_object *seen = ask();
        json_object *cxl = answer_of(seen, "libcxl"), *region = named(cxl, "regions", "region0");
        json_object *target = json_at(json_array(region, "targets"), 0), *ns = named(answer_of(seen, "libndctl"), "namespaces", "namespace0.3");

        CHECK_STR(json_str(named(cxl, "memdevs", "mem1"), "serial"), "0x2");
        CHECK_STR(json_str(named(cxl, "memdevs", "mem1"), "bdf"), "0000:0e:00.0");
        CHECK_INT(json_u64(region, "start"), 0x490000000);
        CHECK_INT(json_u64(region, "size"), 0x20000000);
        CHECK_STR(json_str(target, "decoder"), "decoder3.0");
        CHECK_STR(json_str(target, "memdev"), "mem1");
        CHECK_INT(json_u64(named(answer_of(seen, "libdaxctl"), "daxes", "dax0.1"), "start"), 0x496200000);
        CHECK_STR(json_str(ns, "region"), "region0");
        CHECK_INT(json_u64(ns, "start"), 0x49b000000);
        CHECK_INT(json_u64(ns, "size"), 0x2000000);
        CHECK(!named(answer_of(seen, "libndctl"), "namespaces", "namespace0.6")); /* what the next one is made of */
        CHECK_STR(json_str(named(answer_of(seen, "libndctl"), "nmems", "nmem0"), "id"), "0x2");
        CHECK_INT(json_len(json_array(cxl, "said")), 0);
}

static char *read_all(const char *path) {
        char text[256] = "";
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
        return strdup(text);
}

/* What cannot be read is not known, and keeps nobody. Without `interleave_ways` the library's own number is four thousand million. */
static void test_unreadable(void) {
        _cleanup_free_ char *ways = read_all(REGION "/interleave_ways"), *serial = read_all("/sys/bus/cxl/devices/mem1/serial");

        CHECK_INT(unlink(REGION "/interleave_ways"), 0);
        CHECK_INT(unlink("/sys/bus/cxl/devices/mem1/serial"), 0);
        _cleanup_json_ json_object *seen = ask();
        json_object *cxl = answer_of(seen, "libcxl");
        CHECK(named(cxl, "regions", "region0") && !json_has(named(cxl, "regions", "region0"), "targets"));
        CHECK(named(cxl, "memdevs", "mem1") && !json_has(named(cxl, "memdevs", "mem1"), "serial"));
        test_put(REGION "/interleave_ways", ways);
        test_put("/sys/bus/cxl/devices/mem1/serial", serial);

        CHECK_INT(unlink("/dev/cxl/mem1"), 0);
        _cleanup_json_ json_object *less = ask();
        CHECK(!named(answer_of(less, "libcxl"), "memdevs", "mem1"));
        CHECK(json_len(json_array(answer_of(less, "libcxl"), "said")) > 0);
        test_put("/dev/cxl/mem1", "");
}

/* A number that stands for "could not be read", or nothing where a number should be, is no number. */
static const struct {
        const char *path, *library, *list, *name, *key;
        bool has_other;         /* without the file it looks elsewhere */
} sentinels[] = {
        { REGION "/resource", "libcxl", "regions", "region0", "start", false },
        { REGION "/size", "libcxl", "regions", "region0", "size", false },
        { REGION "/interleave_ways", "libcxl", "regions", "region0", "targets", false },
        { "/sys/bus/cxl/devices/mem1/serial", "libcxl", "memdevs", "mem1", "serial", false },
        { "/sys/bus/dax/devices/dax0.1/resource", "libdaxctl", "daxes", "dax0.1", "start", true },
        { "/sys/bus/nd/devices/namespace0.3/resource", "libndctl", "namespaces", "namespace0.3", "start", false },
        { "/sys/bus/nd/devices/nmem0/cxl/id", "libndctl", "nmems", "nmem0", "id", false },
};

static void test_sentinels(void) {
        static const char *const instead[] = { NULL, "", "0x0\n", "odd\n" };
        char *texts[ELEMENTSOF(sentinels)];

        for (size_t i = 0; i < ELEMENTSOF(sentinels); i++)
                texts[i] = read_all(sentinels[i].path);
        for (size_t k = 0; k < ELEMENTSOF(instead); k++) {
                for (size_t i = 0; i < ELEMENTSOF(sentinels); i++)
                        if (instead[k])
                                test_put(sentinels[i].path, instead[k]);
                        else
                                CHECK_INT(unlink(sentinels[i].path), 0);
                _cleanup_json_ json_object *seen = ask();
                for (size_t i = 0; i < ELEMENTSOF(sentinels); i++) {
                        json_object *o = named(answer_of(seen, sentinels[i].library), sentinels[i].list, sentinels[i].name);
                        CHECK(o && (!json_has(o, sentinels[i].key) || (!instead[k] && sentinels[i].has_other)));
                        test_put(sentinels[i].path, texts[i]);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(sentinels); i++)
                free(texts[i]);
}

static bool has_heard_the_first(Libraries *l) {
        (void) libraries_hear(l, 0);
        _cleanup_json_ json_object *seen = libraries_seen(l);

        return !json_has(json_at(seen, 0), "silent");
}

/* libdaxctl does not wait for udev. */
static void test_busy(void) {
        _cleanup_(libraries_freep) Libraries *l = NULL;
        uint64_t begin = now_monotonic();

        /* They look at the queue where the kernel can tell them that it is through itself. */
        test_put("/sys/bus/cxl/flush", "");
        test_put(BUS "/wait_probe", "1\n");
        busy = true;
        CHECK_INT(libraries_ask(NULL, &l), 0);
        WAIT_FOR(has_heard_the_first(l));
        CHECK(!libraries_hear_unless_busy(l));
        _cleanup_json_ json_object *seen = libraries_seen(l);
        CHECK(named(answer_of(seen, "libdaxctl"), "daxes", "dax0.1"));
        CHECK_STR(json_str(answer_of(seen, "libcxl"), "silent"), "has not answered yet: udev's queue is busy");
        CHECK_STR(json_str(answer_of(seen, "libndctl"), "silent"), "has not answered yet: udev's queue is busy");

        /* Whoever waits for them waits for 2 s at most: a list alone would take them 5 s. */
        CHECK(libraries_hear(l, UINT64_MAX / 2));
        _cleanup_json_ json_object *late = libraries_seen(l);
        CHECK_STR(json_str(answer_of(late, "libcxl"), "silent"), "has not answered within 2 s: udev's queue is busy");
        CHECK(now_monotonic() - begin >= 2 * USEC_PER_SEC);
        busy = false;
}

/* After the lights of several cards: all of them are waited for together. */
static void test_late(void) {
        enum { CARDS = 16 };
        _cleanup_json_ json_object *scopes = json_object_new_array();
        uint64_t begin = now_monotonic();

        for (size_t i = 0; i < CARDS; i++) {
                json_object *scope = json_tokener_parse("{\"memdevs\": [{}]}");
                json_set_strf(scope, "slot", "%zu", i + 1);
                json_object_array_add(scopes, scope);
        }
        busy = true;
        _cleanup_json_ json_object *late = libraries_late(scopes);
        busy = false;
        CHECK(now_monotonic() - begin < CARDS * LIBRARY_USEC);
        for (size_t i = 0; i < CARDS; i++)
                CHECK(strstr(json_str(json_at(late, i), "text"), "libcxl has not answered within 2 s: udev's queue is busy; "
                                                                 "libndctl has not answered within 2 s: udev's queue is busy"));
}

/* They look when the card is gone, and not before. */
static void test_gone(void) {
        _cleanup_(libraries_freep) Libraries *l = NULL;
        _cleanup_json_ json_object *gone = json_object_new_array(), *seen = NULL;

        json_append_str(gone, "0000:0e:00.0");
        CHECK_INT(libraries_ask(gone, &l), 0);
        CHECK(!libraries_hear(l, 50 * USEC_PER_MSEC));
        CHECK_INT(rename("/sys/bus/cxl/devices/mem1", "/sys/bus/cxl/mem1"), 0);
        CHECK_INT(rename("/sys/bus/pci/devices/0000:0e:00.0", "/sys/bus/pci/0000:0e:00.0"), 0);
        CHECK(libraries_hear(l, UINT64_MAX / 2));
        seen = libraries_seen(l);
        CHECK(named(answer_of(seen, "libcxl"), "memdevs", "mem0") && !named(answer_of(seen, "libcxl"), "memdevs", "mem1"));
        CHECK(json_has(named(answer_of(seen, "libdaxctl"), "daxes", "dax0.1"), "driven"));
}

static size_t count(const Plan *p, const char *list) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(json_array(p->doc, list)); i++)
                n += streq(json_str(json_at(json_array(p->doc, list), i), "code"), "LIBRARIES_DISAGREE");
        return n;
}

static Plan *plan_by(json_object *seen, json_object *said_before) {
        _cleanup_(topology_freep) Topology *t = NULL;
        Policy policy = policy_default();
        const PlanRequest request = { .target = "2", .trigger = "command", .policy = &policy, .libraries = seen, .said_before = said_before };
        const Slot *slot = NULL;
        Plan *p = NULL;

        CHECK_INT(topology_load(&t), 0);
        for (size_t i = 0; i < t->n_functions; i++)
                if (streq(t->functions[i].bdf, "0000:0e:00.0"))
                        slot = topology_slot(t, t->functions[i].slot);
        CHECK(slot);
        CHECK_INT(plan_removal(t, slot, &request, &p), 0);
        policy_done(&policy);
        return p;
}

/* Each contradiction is in the way, however much else there is, and so is one of an earlier look that nobody has taken back. What has not been
 * said is told up to a number. */
static void test_plan(void) {
        _cleanup_json_ json_object *seen = ask(), *before = json_tokener_parse("[{\"library\": \"libcxl\", \"contradicts\": true, \"text\": \"x\"}]");
        json_object *memdevs = json_array(answer_of(seen, "libcxl"), "memdevs");

        _cleanup_(plan_freep) Plan *none = plan_by(seen, NULL), *taken_back = plan_by(seen, before);
        CHECK_INT(count(none, "blockers") + count(none, "warnings"), 0);
        CHECK_INT(count(taken_back, "blockers"), 0);

        json_object *module = named(answer_of(seen, "libndctl"), "nmems", "nmem0");
        json_set_str(module, "id", "0x7");
        _cleanup_(plan_freep) Plan *other_module = plan_by(seen, NULL);
        CHECK_INT(count(other_module, "blockers"), 1);
        json_set_str(module, "id", "0x2");

        json_append_str(json_array(answer_of(seen, "libcxl"), "said"), "mem9: odd");
        _cleanup_(plan_freep) Plan *stands = plan_by(seen, before);
        CHECK_INT(count(stands, "blockers"), 1);

        for (size_t i = 0; i < 20; i++) {
                json_object *memdev = json_object_new_object(), *silent = json_object_new_object();
                json_set_strf(memdev, "name", "mem%zu", 100 + i);
                json_set_str(memdev, "bdf", "0000:0e:00.0");
                json_object_array_add(memdevs, memdev);
                json_set_str(silent, "library", "libndctl");
                json_set_str(silent, "silent", "has not answered yet");
                json_object_array_add(seen, silent);
        }
        _cleanup_(plan_freep) Plan *many = plan_by(seen, NULL);
        CHECK_INT(count(many, "blockers"), 20);
        CHECK_INT(count(many, "warnings"), 17);
        json_object *warnings = json_array(many->doc, "warnings");
        CHECK_STR(json_str(json_at(warnings, json_len(warnings) - 1), "what"), "5 more things that the libraries do not see of the card, or have not said");
}

static size_t n_looks;

static json_object *ours(void *topology) {
        _cleanup_(scope_done) Scope s = { 0 };
        const Slot *slot = NULL;
        Topology *t = topology;

        n_looks++;
        for (size_t i = 0; i < t->n_functions; i++)
                if (streq(t->functions[i].bdf, "0000:0e:00.0"))
                        slot = topology_slot(t, t->functions[i].slot);
        CHECK_INT(scope_find(t, slot, &s), 0);
        return scope_witness_json(&s, t);
}

static json_object *nothing(void *userdata) {
        return NULL;
}

/* After a way back: they are asked twice where one has something against it. */
static void test_back(void) {
        _cleanup_(topology_freep) Topology *t = NULL;
        char *region;

        CHECK_INT(topology_load(&t), 0);
        _cleanup_json_ json_object *agree = libraries_against(ours, t);
        CHECK_INT(json_len(agree), 0);
        CHECK_INT(n_looks, 1);

        region = t->regions[0].name;
        t->regions[0].name = strdup("region9");
        _cleanup_json_ json_object *against = libraries_against(ours, t);
        CHECK(testimony_contradiction(against));
        CHECK_INT(n_looks, 3);
        free(t->regions[0].name);
        t->regions[0].name = region;
        _cleanup_json_ json_object *blind = libraries_against(nothing, NULL);
        CHECK_INT(json_len(blind), 0);
}

int main(void) {
        test_all();
        test_back();
        test_plan();
        test_unreadable();
        test_sentinels();
        test_busy();
        test_late();
        test_gone();
        return EXIT_SUCCESS;
}
