/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "ram2", whose card in slot 2 is in use: each probe finds what its name says, by itself, and nothing once that
 * is gone. Against the real kernel: tests/vm/scenarios/85-proof.py. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/holder.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"
#include "step/undo/prove.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define CXL "/sys/bus/cxl/devices/"
#define DAX "/sys/bus/dax/devices/"
#define MEMORY "/sys/devices/system/memory/"

static json_object *scope, *counted;
static const char *loop_answer; /* the number of what a loop device is bound to, or NULL: it is not told */

static bool no_process; /* no more can be made */
static unsigned n_processes; /* that were made */

pid_t fork(void) {
        pid_t (*next)(void) = (pid_t (*)(void)) dlsym(RTLD_NEXT, "fork");

        CHECK(next);
        errno = EAGAIN;
        n_processes += !no_process;
        return no_process ? -1 : next();
}

static const char *goes_with; /* what is no longer there after the first look at this device's link */
static const char *goes;

/* In front of the C library's. */
ssize_t readlinkat(int dir, const char *path, char *buffer, size_t size) {
        ssize_t n = syscall(SYS_readlinkat, dir, path, buffer, size);

        int error = errno;

        if (goes_with && streq(path, goes_with)) {
                goes_with = NULL;
                test_remove_tree(goes);
        }
        errno = error;
        return n;
}

int ioctl(int fd, unsigned long request, ...) {
        struct loop_info64 *info;
        va_list args;
        dev_t node;

        va_start(args, request);
        info = va_arg(args, struct loop_info64 *);
        va_end(args);
        if (request != LOOP_GET_STATUS64)
                return (int) syscall(SYS_ioctl, fd, request, info);
        if (!loop_answer || dev_parse(loop_answer, &node) < 0) {
                errno = ENXIO;
                return -1;
        }
        *info = (struct loop_info64) { .lo_rdevice = node };
        return 0;
}

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static int ask(const char *name, char **ret_answer) {
        for (const Probe *const *p = probes; *p; p++)
                if (streq((*p)->name, name))
                        return (*p)->ask(scope, ret_answer);
        fprintf(stderr, "there is no probe %s\n", name);
        exit(EXIT_FAILURE);
}

/* Those that ask what only the power takes away. */
static bool is_about_power(const char *name) {
        static const char *const names[] = { "functions", "memdevs", "power", "link", "indicators", "libraries" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* A no counts for the light, and for the power too unless it is about that. Tried with the first no of each. */
static void check_counts(const char *name) {
        if (json_get(counted, name))
                return;
        json_set(counted, name, json_object_new_boolean(true));
        for (int before = 0; before < 2; before++) {
                _cleanup_json_ json_object *report = NULL;
                size_t n = 0;

                CHECK(!probes_report(scope, before, &report) || (before && is_about_power(name)));
                for (size_t i = 0; i < json_len(report); i++)
                        n += streq(json_str(json_at(report, i), "name"), name) && !json_flag(json_at(report, i), "holds");
                CHECK_INT(n, !before || !is_about_power(name));
        }
}

static void check_no(const char *name, const char *expected) {
        _cleanup_free_ char *answer = NULL;

        CHECK_INT(ask(name, &answer), 0);
        CHECK_STR(answer, expected);
        check_counts(name);
}

static void check_yes(const char *name) {
        _cleanup_free_ char *answer = NULL;

        int r = ask(name, &answer);
        if (r != 1)
                fprintf(stderr, "%s: %s\n", name, answer ?: "");
        CHECK_INT(r, 1);
}

/* Of a recorded device: its folder's links go too. */
static void drop(const char *link) {
        CHECK_INT(unlink(link), 0);
}

/* Without addresses there is no answer about addresses; and what a function has itself it may have until it goes, but not the kernel as
 * memory. */
static void test_ranges(void) {
        static const char *const about_addresses[] = { "memory-blocks", "iomem", "regions", "decoders", "drivers" };
        _cleanup_json_ json_object *ranges = json_ref(json_get(scope, "ranges")), *bar = NULL;

        json_set(scope, "ranges", json_object_new_array());
        for (size_t i = 0; i < ELEMENTSOF(about_addresses); i++)
                check_no(about_addresses[i], "where the card's memory was is not known");

        bar = json_tokener_parse("[{\"start\": 4267704320, \"size\": 65536, \"why\": \"BAR 0\", \"goes_with_power\": true}]");
        json_set(scope, "ranges", json_ref(bar));
        put("/proc/iomem", "fe600000-fe60ffff : PCI Bus 0000:0d\n  fe600000-fe60ffff : 0000:0d:00.0\n");
        check_yes("iomem");
        put("/proc/iomem", "fe600000-fe60ffff : 0000:0d:00.0\n  fe608000-fe60ffff : System RAM (virtio_mem)\n");
        check_no("iomem", "0xfe608000-0xfe60ffff is still \"System RAM (virtio_mem)\"");
        json_set_bool(scope, "memory_unknown", true);
        for (size_t i = 0; i < ELEMENTSOF(about_addresses); i++)
                check_no(about_addresses[i], "where the card's memory was is not known");
        json_object_object_del(scope, "memory_unknown");
        put("/proc/iomem", "490000000-58fffffff : CXL Window 0\n  490000000-4afffffff : region0\n");
        json_set(scope, "ranges", json_ref(ranges));
}

static void test_memory(void) {
        check_no("memory-blocks", "memory146 is online");
        put(MEMORY "memory146/state", "offline\n");
        check_no("memory-blocks", "memory146 is still there");
        for (int i = 146; i < 150; i++) {
                _cleanup_free_ char *path = strf(MEMORY "memory%d", i);
                test_remove_tree(path);
        }
        check_yes("memory-blocks");

        check_no("iomem", "0x490000000-0x4afffffff is still \"region0\"");
        put("/proc/iomem", "00000000-00000fff : Reserved\n490000000-58fffffff : CXL Window 0\n");
        check_yes("iomem");
        put("/proc/iomem", "00000000-00000fff : Reserved\n490000000-58fffffff : CXL Window 0\n  4aff00000-4afffffff : dax0.0\n");
        check_no("iomem", "0x4aff00000-0x4afffffff is still \"dax0.0\"");
        put("/proc/iomem", "490000000-58fffffff : CXL Window 0\n  4b0000000-4b0ffffff : region1\n");
        check_yes("iomem"); /* another card's, right after */
}

static void check_unknown(const char *name) {
        _cleanup_free_ char *answer = NULL;

        CHECK(ask(name, &answer) < 0);
}

/* Of what is driven and does not tell its addresses nobody knows whether they are the card's; unless the plan has said so. */
static void test_unread_addresses(void) {
        static const char path[] = "/sys/bus/nd/devices/namespace7.0/resource";
        json_object *known = json_object_new_array();

        put(path, "odd\n");
        check_unknown("drivers");
        put(path, "");
        check_yes("drivers");
        CHECK_INT(unlink(path), 0);
        check_yes("drivers");
        CHECK_INT(mkdir(path, 0755), 0); /* any other error */
        check_unknown("drivers");
        json_append_str(known, path);
        json_set(scope, "not_understood", known);
        check_yes("drivers");
        json_object_object_del(scope, "not_understood");
        CHECK_INT(rmdir(path), 0);
        put(path, "odd\n");
        drop("/sys/bus/nd/devices/namespace7.0/driver");
        check_yes("drivers"); /* nobody uses it */
}

/* Of two cards, the other of which has nothing to say. */
static void check_late(bool contradicts, const char *expected) {
        _cleanup_json_ json_object *scopes = json_object_new_array(), *late = NULL;

        json_object_array_add(scopes, json_tokener_parse("{\"slot\": \"other\"}"));
        json_object_array_add(scopes, json_ref(scope));
        late = libraries_late(scopes);
        CHECK_INT(json_len(late), 2);
        CHECK_INT(json_flag(json_at(late, 1), "contradicts"), contradicts);
        CHECK(!expected || strstr(json_str(json_at(late, 1), "text"), expected));
        CHECK(expected || !json_at(late, 1));
}

static size_t n_standing(void) {
        _cleanup_json_ json_object *standing = libraries_standing(scope);

        return json_len(standing);
}

/* What the libraries say in any look at the light is noted once, and stands for another worker when none of them answers him. */
static void test_noted(void) {
        _cleanup_json_ json_object *args = json_object_new_object();
        json_object *mine = scope;
        _cleanup_free_ char *early = NULL, *why = NULL, *still = NULL, *silent = NULL;
        StepRun run = { .note = keep_notes };

        json_set(args, "scope", json_ref(scope));
        CHECK(!prove_all(args, &run, &early));
        CHECK(!run.notes); /* the step is on no record yet */
        run.notes = json_tokener_parse("[{\"probes\": [], \"libraries_against\": []}]");
        CHECK(!prove_all(args, &run, &why) && !prove_all(args, &run, &still));
        CHECK_INT(json_len(run.notes), 2);
        CHECK_INT(json_len(json_array(json_at(run.notes, 1), "libraries_against")), 2);
        CHECK_INT(prove_note(args, &run), -EBUSY);
        CHECK_INT(json_len(json_array(json_at(run.notes, 2), "libraries_against")), 2);

        scope = json_tokener_parse(json_object_to_json_string(mine));
        json_set_str(scope, "slot", "another worker's");
        json_set(args, "scope", json_ref(scope));
        CHECK_INT(n_standing(), 0);
        no_process = true;
        CHECK(!prove_all(args, &run, &silent));
        no_process = false;
        CHECK_INT(n_standing(), 2);
        json_object_put(scope);
        scope = mine;
        json_object_put(run.notes);
        step_run_done(&run);
}

/* They find their way to it over other files than we do. What they have once said in favour counts until the light. */
static void test_libraries(void) {
        _cleanup_json_ json_object *functions = json_ref(json_get(scope, "functions"));
        _cleanup_free_ char *answer = NULL;

        check_no("libraries", "libcxl sees mem1 with serial 0x1; libcxl sees region0 at 0x490000000; libdaxctl sees dax0.0 at 0x490000000");
        json_set(scope, "functions", json_tokener_parse("[\"0000:99:00.0\"]"));
        /* Something is at the slot's address. */
        check_no("libraries", "libcxl sees mem1 with serial 0x1; libcxl sees region0 at 0x490000000; libdaxctl sees dax0.0 at 0x490000000");
        json_set_str(scope, "address", NULL);
        check_no("libraries", "libcxl sees region0 at 0x490000000; libdaxctl sees dax0.0 at 0x490000000");
        test_noted();
        put(CXL "region0/resource", "0x4b0000000\n");
        check_no("libraries", "libdaxctl sees dax0.0 at 0x490000000");
        put(DAX "dax0.0/resource", "0x4b0000000\n");

        /* Without it libdaxctl complains of the device each time, and has never said all. */
        test_make_folders("/sys/dev/char/0:0");
        CHECK_INT(symlink("../../../bus/dax", "/sys/dev/char/0:0/subsystem"), 0);

        /* However often it is asked: one that does not answer takes nothing back. */
        no_process = true;
        check_no("libraries", "libdaxctl sees dax0.0 at 0x490000000; asked again it could not be asked: Resource temporarily unavailable");
        check_no("libraries", "libdaxctl sees dax0.0 at 0x490000000; asked again it could not be asked: Resource temporarily unavailable");
        no_process = false;

        CHECK_INT(unlink("/dev/cxl/mem0"), 0);
        CHECK_INT(ask("libraries", &answer), 1);
        CHECK(strstr(answer, "libcxl may have left something out: libcxl: mem0"));
        put("/dev/cxl/mem0", "");
        put(DAX "dax0.0/resource", "0x490000000\n");
        check_yes("libraries");
        check_late(false, NULL);

        /* What one has said in the removal that is being finished stands likewise. */
        _cleanup_json_ json_object *mine = TAKE_PTR(scope);
        scope = json_tokener_parse(json_object_to_json_string(mine));
        json_set_str(scope, "slot", "finished");
        json_set(scope, "libraries_against", json_tokener_parse("[{\"library\": \"libdaxctl\", \"contradicts\": true, \"text\": \"libdaxctl sees dax9.0\"}]"));
        no_process = true;
        check_no("libraries", "libdaxctl sees dax9.0; asked again it could not be asked: Resource temporarily unavailable");
        no_process = false;
        put(DAX "dax0.0/resource", "0x4b0000000\n");
        check_yes("libraries");
        check_yes("libraries"); /* it is taken back for good */
        put(DAX "dax0.0/resource", "0x490000000\n");
        json_object_put(scope);
        scope = TAKE_PTR(mine);

        /* Asked early they look when the card is gone, and nobody waits for them. */
        _cleanup_json_ json_object *there = json_object_new_array();
        json_append_str(there, json_str(scope, "port"));
        json_set(scope, "functions", json_ref(there));
        put(DAX "dax0.0/resource", "0x4b0000000\n");
        libraries_begin(scope);
        check_yes("libraries");
        check_late(false, "libcxl has answered late, and agrees; libndctl has answered late, and agrees");

        libraries_begin(scope);
        check_yes("libraries");
        no_process = true;
        check_late(false, "libdaxctl could not be asked: Resource temporarily unavailable; libcxl could not be asked: Resource temporarily "
                          "unavailable; libndctl could not be asked: Resource temporarily unavailable");
        no_process = false;
        put(DAX "dax0.0/resource", "0x490000000\n");

        json_set(scope, "functions", json_ref(functions));
        json_set_str(scope, "address", "0000:0d:00");
        libraries_begin(scope);
        check_yes("libraries"); /* nobody waits for them */
        CHECK_INT(rename("/sys/bus/pci/devices/0000:0d:00.0", "/sys/bus/pci/0000:0d:00.0"), 0);
        free(TAKE_PTR(answer));
        check_late(true, "libcxl sees mem1 with serial 0x1");
        CHECK_INT(rename("/sys/bus/pci/0000:0d:00.0", "/sys/bus/pci/devices/0000:0d:00.0"), 0);
        put(CXL "region0/resource", "0x490000000\n");
}

static void test_cxl(void) {
        check_no("drivers", "dax0.0 is driven by kmem");
        drop("/sys/bus/dax/devices/dax0.0/driver");
        check_yes("drivers");
        test_make_folders("/sys/bus/nd/devices/namespace7.0");
        put("/sys/bus/nd/devices/namespace7.0/resource", "0x4a0000000\n");
        put("/sys/bus/nd/devices/namespace7.0/size", "4096\n");
        check_yes("drivers");
        CHECK_INT(symlink("../../drivers/nd_pmem", "/sys/bus/nd/devices/namespace7.0/driver"), 0);
        check_no("drivers", "namespace7.0 is driven by nd_pmem");
        test_unread_addresses();
        test_remove_tree("/sys/bus/nd/devices/namespace7.0");

        check_no("decoders", "decoder1.0 decodes 0x490000000-0x4afffffff for region0");
        put(CXL "decoder1.0/region", "region9\n");
        put(CXL "decoder1.0/start", "0x4b0000000\n");
        check_yes("decoders"); /* it decodes for another card by now */

        check_no("regions", "region0 is there at 0x490000000");
        put(CXL "region0/size", "0x10000000\n");
        check_no("regions", "region0 is there at 0x490000000");
        put(CXL "region0/resource", "odd\n");
        check_unknown("regions");
        put(CXL "region0/size", "0x0\n");
        check_yes("regions"); /* it has no addresses yet */
        put(CXL "region0/size", "0x10000000\n");
        put(CXL "region0/resource", "0x4b0000000\n");
        check_yes("regions");

        check_no("memdevs", "mem1 with serial 0x1 is there");
        put(CXL "mem1/serial", "0x7\n");
        check_yes("memdevs"); /* another card has its name */
        json_set_str(json_at(json_array(scope, "memdevs"), 0), "serial", "0x0");
        put(CXL "mem1/serial", "0x0\n");
        check_no("memdevs", "mem1 with serial 0x0 is there");
        json_set_str(json_at(json_array(scope, "memdevs"), 0), "name", "mem0");
        put(CXL "mem0/serial", "0x0\n");
        check_yes("memdevs"); /* so has one in another slot, which has no number either */
}

/* An empty slot says nothing about a card of which nobody knows what it had. */
static void test_nothing_known(void) {
        _cleanup_json_ json_object *functions = json_ref(json_get(scope, "functions"));
        _cleanup_free_ char *answer = NULL;

        json_set(scope, "functions", json_object_new_array());
        CHECK_INT(ask("functions", &answer), -ENODATA);
        json_set(scope, "functions", json_ref(functions));
}

static void test_slot(void) {
        check_no("functions", "0000:0d:00.0 is there, driven by cxl_pci");
        drop("/sys/bus/pci/devices/0000:0d:00.0/driver");
        json_set_str(scope, "address", NULL);
        check_no("functions", "0000:0d:00.0 is there");
        json_set_str(scope, "address", "0000:0d:00");
        drop("/sys/bus/pci/devices/0000:0d:00.0");
        CHECK_INT(mkdir("/sys/bus/pci/devices/0000:0d:00.1", 0755), 0);
        check_no("functions", "0000:0d:00.1 is there");
        CHECK_INT(rmdir("/sys/bus/pci/devices/0000:0d:00.1"), 0);
        check_yes("functions");
        test_nothing_known();

        check_no("power", "slot 2 reads power 1");
        put("/sys/bus/pci/slots/2/power", "0\n");
        check_yes("power");
        check_no("link", "the link of port 0000:0c:00.0 is active");
        check_no("indicators", "the power LED is on");

        drop("/sys/bus/pci_express/devices/0000:0c:00.0:pcie004/driver");
        check_no("drivers", "0000:0c:00.0:pcie004 has no driver: the slot is held");
}

static void set_blocks(const char *text) {
        json_object *blocks = NULL;

        CHECK_INT(json_parse(text, strlen(text), &blocks), 0);
        json_set(scope, "block_devices", blocks);
}

/* One that goes with the power is there as long as the card's functions are; and one that stays, with a path that serves nobody, nobody may
 * have. */
static void test_staying_blocks(void) {
        json_object *functions = json_object_new_array();

        test_make_folders("/sys/class/block/nvme7n1/holders");
        put("/sys/class/block/nvme7n1/dev", "259:7\n");
        set_blocks("[{\"name\": \"nvme7n1\", \"dev\": \"259:7\", \"goes_with_power\": true}]");
        check_no("block-devices", "nvme7n1 (259:7) is there");
        json_append_str(functions, "0000:99:00.0");
        json_set(scope, "functions", functions);
        check_no("block-devices", "nvme7n1 (259:7) is there"); /* that one is gone */
        json_append_str(functions, "0000:0c:00.0");
        check_yes("block-devices");
        json_set(scope, "functions", json_object_new_array());

        set_blocks("[{\"name\": \"nvme7n1\", \"dev\": \"259:7\", \"stays\": true}]");
        check_yes("block-devices");
        test_make_folders("/sys/class/block/nvme7n1/holders/dm-7");
        check_no("block-devices", "dm-7 stands on nvme7n1, which has no path that serves any more");
        test_remove_tree("/sys/class/block/nvme7n1");
}

/* The number tells, where another device has the name by now; a loop device stays when it is detached. */
static void test_blocks(void) {
        static const char text[] = "[{\"name\": \"pmem0\", \"dev\": \"259:3\"}, {\"name\": \"loop9\", \"dev\": \"7:9\"}]";
        json_object *blocks = NULL;

        CHECK_INT(json_parse(text, strlen(text), &blocks), 0);
        json_set(scope, "block_devices", blocks);
        json_set(scope, "functions", json_object_new_array());
        check_yes("block-devices");
        CHECK(mkdir("/sys/class", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir("/sys/class/block", 0755) == 0 || errno == EEXIST);
        CHECK(mkdir("/sys/class/block/pmem0", 0755) == 0 && mkdir("/sys/class/block/loop9", 0755) == 0 &&
              mkdir("/sys/class/block/loop9/loop", 0755) == 0);
        put("/sys/class/block/pmem0/dev", "259:3\n");
        check_no("block-devices", "pmem0 (259:3) is there");
        put("/sys/class/block/pmem0/dev", "259:4\n");
        check_yes("block-devices");
        put("/sys/class/block/loop9/dev", "7:9\n");
        check_yes("block-devices");
        put("/sys/class/block/loop9/loop/backing_file", "/x\n");
        check_no("block-devices", "loop9 (7:9) is there");
        drop("/sys/class/block/loop9/loop/backing_file");
        test_staying_blocks();
        set_blocks(text);
}

#define NAMESPACE "/sys/kernel/config/nvmet/subsystems/a b/namespaces/1"

#define LIO "/sys/kernel/config/target/core/iblock_0/a"

/* Where a target tells the number, its path says nothing. */
static void test_target_number(void) {
        test_make_folders(LIO);
        put(LIO "/enable", "1\n");
        put(LIO "/udev_path", "/dev/pmem0\n");
        put(LIO "/info", "Status: ACTIVATED\n        Major: 259 Minor: 4  CLAIMED: IBLOCK\n");
        check_yes("kernel-users");
        put(LIO "/udev_path", "/dev/other\n");
        put(LIO "/info", "Status: ACTIVATED\n        Major: 259 Minor: 3  CLAIMED: IBLOCK\n");
        check_no("kernel-users", "LIO iblock_0/a has it: " LIO "/info: /dev/other");
        test_remove_tree("/sys/kernel/config/target");
}

#define PASSTHRU "/sys/kernel/config/nvmet/subsystems/p/passthru"

/* Commands are passed through to a controller: of the card's functions, of another card's, or of one that is gone. */
static void test_controller(void) {
        json_object *functions = json_object_new_array();

        json_append_str(functions, "0000:0d:00.0");
        json_set(scope, "functions", functions);
        test_make_folders(PASSTHRU);
        put(PASSTHRU "/enable", "1\n");
        put(PASSTHRU "/device_path", "/dev/nvme5\n");
        check_no("kernel-users", "nvmet p, passthru has it: " PASSTHRU "/device_path: /dev/nvme5");
        test_make_folders("/sys/class/nvme/nvme5");
        CHECK_INT(symlink("../../../bus/pci/devices/0000:77:00.0", "/sys/class/nvme/nvme5/device"), 0);
        check_yes("kernel-users");
        drop("/sys/class/nvme/nvme5/device");
        CHECK_INT(symlink("../../../bus/pci/devices/0000:0d:00.0", "/sys/class/nvme/nvme5/device"), 0);
        check_no("kernel-users", "nvmet p, passthru has it: " PASSTHRU "/device_path: /dev/nvme5");
        test_remove_tree(PASSTHRU);
        test_remove_tree("/sys/class/nvme/nvme5");
        json_set(scope, "functions", json_object_new_array());
}

/* One that is whole has lost nothing. Of one that is not nobody here can tell which devices it has. */
static void test_pool(void) {
        test_make_folders("/proc/spl/kstat/zfs/tank");
        put("/proc/spl/kstat/zfs/tank/state", "ONLINE\n");
        check_yes("kernel-users");
        put("/proc/spl/kstat/zfs/tank/state", "SUSPENDED\n");
        check_no("kernel-users", "tank has it: /proc/spl/kstat/zfs/tank/state");
        test_remove_tree("/proc/spl");
}

/* Given by a link, which is followed; one that leads nowhere any more may have led to the card's. */
static void test_link(void) {
        test_make_folders("/dev/disk/by-id");
        put("/dev/pmem0", "");
        put("/dev/pmem1", "");
        put(NAMESPACE "/device_path", "/dev/disk/by-id/x\n");
        CHECK_INT(symlink("../../pmem1", "/dev/disk/by-id/x"), 0);
        check_yes("kernel-users");
        drop("/dev/disk/by-id/x");
        check_no("kernel-users", "nvmet a b, namespace 1 has it: " NAMESPACE "/device_path: /dev/disk/by-id/x");
        CHECK_INT(symlink("../../pmem0", "/dev/disk/by-id/x"), 0);
        check_no("kernel-users", "nvmet a b, namespace 1 has it: " NAMESPACE "/device_path: /dev/disk/by-id/x");
        put(NAMESPACE "/device_path", "/dev/pmem1\n");
}

/* Whether nobody has what is in a module's socket, which has neither port nor functions. */
static void check_socket(const char *slot, int want) {
        _cleanup_json_ json_object *socket = json_object_new_object();
        _cleanup_free_ char *answer = NULL;

        json_set_str(socket, "slot", slot);
        CHECK_INT(probe_kernel_users.ask(socket, &answer), want);
        CHECK(want || strstr(answer, "a firmware activation that is armed"));
}

/* New firmware for a card that stays is none of this one's; its own keeps the power on. */
static void test_work(void) {
        json_object *functions = json_object_new_array();

        json_append_str(functions, "0000:0d:00.0");
        json_set(scope, "functions", functions);
        test_make_folders("/sys/bus/cxl/devices/mem0/firmware/mem0");
        put("/sys/bus/cxl/devices/mem0/firmware/mem0/status", "programming\n");
        check_yes("kernel-users");
        put("/sys/bus/cxl/devices/mem0/firmware/mem0/status", "idle\n");
        test_make_folders("/sys/bus/cxl/devices/mem1/security");
        put("/sys/bus/cxl/devices/mem1/security/state", "sanitize\n");
        check_no("kernel-users", "an erasure has it: /sys/bus/cxl/devices/mem1/security/state: /sys/bus/cxl/devices/mem1");
        test_make_folders("/sys/bus/cxl/devices/mem0/security");
        put("/sys/bus/cxl/devices/mem0/security/state", "sanitize\n");
        unsigned before = n_processes;
        check_no("kernel-users", "an erasure has it: /sys/bus/cxl/devices/mem1/security/state: /sys/bus/cxl/devices/mem1");
        CHECK_INT(n_processes - before, 1); /* nobody waits for the other card's answer */
        put("/sys/bus/cxl/devices/mem1/security/state", "disabled\n");
        check_yes("kernel-users");
        json_set(scope, "functions", json_object_new_array());
        test_make_folders("/sys/devices/odd/ndbus7/nmem7/firmware");
        CHECK_INT(symlink("../../../devices/odd/ndbus7/nmem7", "/sys/bus/nd/devices/nmem7"), 0);
        put("/sys/bus/nd/devices/nmem7/firmware/activate", "armed\n");
        check_yes("kernel-users");
        check_socket("nmem8", 1);
        check_socket("nmem7", 0);
        drop("/sys/bus/nd/devices/nmem7");
}

/* A use outlives the device, by its name; another device's that has the name by now is none of the card's. */
static void test_kernel_users(void) {
        check_yes("kernel-users");
        test_make_folders(NAMESPACE);
        put(NAMESPACE "/device_path", "/dev/pmem0\n");
        put(NAMESPACE "/enable", "0\n");
        check_yes("kernel-users");
        put(NAMESPACE "/enable", "1\n");
        check_yes("kernel-users");
        put("/sys/class/block/pmem0/dev", "259:3\n");
        check_no("kernel-users", "nvmet a b, namespace 1 has it: " NAMESPACE "/device_path: /dev/pmem0");
        test_remove_tree("/sys/class/block/pmem0");
        check_no("kernel-users", "nvmet a b, namespace 1 has it: " NAMESPACE "/device_path: /dev/pmem0");
        put(NAMESPACE "/device_path", "/dev/pmem1\n");
        check_yes("kernel-users");
        test_link();

        test_target_number();
        test_controller();
        test_work();
        test_pool();

        /* What a loaded module has cannot be seen. */
        test_make_folders("/sys/module/ocfs2_nodemanager");
        check_no("kernel-users", "ocfs2_nodemanager has it: /sys/kernel/config/cluster");
        test_make_folders("/sys/kernel/config/cluster/ocfs2/heartbeat/A");
        put("/sys/kernel/config/cluster/ocfs2/heartbeat/A/dev", "\n");
        check_yes("kernel-users");
        put("/sys/kernel/config/cluster/ocfs2/heartbeat/A/dev", "pmem0\n");
        check_no("kernel-users", "heartbeat A of cluster ocfs2 has it: /sys/kernel/config/cluster/ocfs2/heartbeat/A/dev: pmem0");
        test_remove_tree("/sys/kernel/config");
        test_remove_tree("/sys/module/ocfs2_nodemanager");
}

#define PORT "/sys/devices/pci0000:0c/0000:0c:00.0/"

static void bind_function(const char *driver) {
        _cleanup_free_ char *target = strf("../../../../bus/pci/drivers/%s", driver);

        test_make_folders(PORT "0000:0d:00.0");
        (void) symlink("../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0", "/sys/bus/pci/devices/0000:0d:00.0");
        (void) unlink(PORT "0000:0d:00.0/driver");
        CHECK_INT(symlink(target, PORT "0000:0d:00.0/driver"), 0);
}

/* What is below the port and not in the scope, on whatever bus and however deep. */
static void test_below_port(void) {
        json_object *functions = json_object_new_array();

        json_append_str(functions, "0000:0d:00.0");
        json_set(scope, "functions", functions);
        check_yes("below-port");

        test_make_folders(PORT "0000:0d:00.0/0000:0e:01.0");
        CHECK_INT(symlink("../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/0000:0e:01.0", "/sys/bus/pci/devices/0000:0e:01.0"), 0);
        check_no("below-port", "0000:0e:01.0 is there, and was not when the plan was made");
        check_no("functions", "0000:0e:01.0 is there");
        drop("/sys/bus/pci/devices/0000:0e:01.0");

        test_make_folders("/sys/bus/odd/devices");
        CHECK_INT(symlink("../../../devices/pci0000:0c/0000:0c:00.0/thing0", "/sys/bus/odd/devices/thing0"), 0);
        check_no("below-port", "thing0 is there, and was not when the plan was made");
        drop("/sys/bus/odd/devices/thing0");
        CHECK_INT(symlink("../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/thing1", "/sys/bus/odd/devices/thing1"), 0);
        check_yes("below-port"); /* on a function that is known, and goes with it */

        bind_function("vfio-pci");
        check_no("below-port", "0000:0d:00.0 is driven by vfio-pci, and was not when the plan was made");
        bind_function("mlx5_core");
        check_no("below-port", "0000:0d:00.0 is driven by mlx5_core, and was not when the plan was made");
        bind_function("pci-stub");
        check_yes("below-port");
        drop(PORT "0000:0d:00.0/driver");
        drop("/sys/bus/pci/devices/0000:0d:00.0");

        test_make_folders(PORT "0000:0d:00.0/nvme/nvme0/nvme0n1");
        put(PORT "0000:0d:00.0/nvme/nvme0/nvme0n1/dev", "259:9\n");
        CHECK_INT(symlink("../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/nvme/nvme0/nvme0n1", "/sys/class/block/nvme0n1"), 0);
        check_no("below-port", "nvme0n1 is there, and was not when the plan was made");
        set_blocks("[{\"name\": \"nvme0n1\", \"dev\": \"259:8\"}]");
        check_no("below-port", "nvme0n1 is there, and was not when the plan was made");
        set_blocks("[{\"name\": \"nvme0n1\", \"dev\": \"259:9\"}]");
        check_yes("below-port");
}

/* Each place that names a device which is gone, as the kernel writes it. */
static void test_places(void) {
        static const struct {
                const char *folder, *who;
        } places[] = {
                { "/sys/fs/ext4/nvme0n1", "a super block of ext4 is on it" },
                { "/sys/fs/xfs/nvme0n1", "a super block of xfs is on it" },
                { "/sys/fs/f2fs/nvme0n1", "a super block of f2fs is on it" },
                { "/sys/fs/nilfs2/nvme0n1", "a super block of nilfs2 is on it" },
                { "/proc/fs/jbd2/nvme0n1", "a journal, nvme0n1, is on it" },
                { "/proc/fs/jbd2/nvme0n1-8", "a journal, nvme0n1-8, is on it" },
                { "/sys/class/block/md0/md/dev-nvme0n1", "md0 has it as a member" },
                { "/sys/fs/btrfs/uuid/devices/nvme0n1", "btrfs uuid has it" },
        };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *expected = strf("nvme0n1 is gone, and in use: %s", places[i].who);

                test_make_folders(places[i].folder);
                check_no("references", expected);
                test_remove_tree(places[i].folder);
                check_yes("references");
        }

        test_make_folders("/sys/fs/bcachefs/uuid/dev-0");
        CHECK_INT(symlink("../../../../devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/nvme/nvme0/nvme0n1", "/sys/fs/bcachefs/uuid/dev-0/block"), 0);
        check_no("references", "nvme0n1 is gone, and in use: bcachefs uuid has it");
        drop("/sys/fs/bcachefs/uuid/dev-0/block");
        test_make_folders("/sys/class/block/loop3/loop");
        put("/sys/class/block/loop3/loop/backing_file", "/dev/nvme0n1 (deleted)\n");
        check_no("references", "nvme0n1 is gone, and in use: loop3 lies on it");
        put("/dev/loop3", "");
        loop_answer = "0:0"; /* a file in a /dev of anybody's */
        check_yes("references");
        loop_answer = "259:0";
        check_no("references", "259:0 is gone, and in use: loop3 lies on it");
        loop_answer = NULL;
        check_no("references", "nvme0n1 is gone, and in use: loop3 lies on it");
        drop("/dev/loop3");
        put("/sys/class/block/loop3/loop/backing_file", "/dev/shm/nvme0n1 (deleted)\n"); /* a file that anybody may have made */
        check_yes("references");
        test_remove_tree("/sys/class/block/loop3");

        /* What is there and cannot be looked into has not said no. */
        test_remove_tree("/sys/fs/btrfs");
        test_make_folders("/sys/fs/btrfs/uuid");
        CHECK_INT(symlink("devices", "/sys/fs/btrfs/uuid/devices"), 0);
        _cleanup_free_ char *answer = NULL;
        CHECK_INT(ask("references", &answer), -EIO);
        test_remove_tree("/sys/fs/btrfs");
}

static const char lost[] = "/sys/fs/btrfs/uuid is in use, and had a device of the card's";

/* The disk is still there, then it is gone: whoever refers to it is named either way. */
static void test_references(void) {
        check_yes("references");
        test_make_folders("/sys/class/block/dm-8/slaves");
        put("/sys/class/block/dm-8/slaves/dm-9", "");
        goes_with = "/sys/class/block/dm-9"; /* both went while they were looked at */
        goes = "/sys/class/block/dm-8";
        check_yes("references");
        CHECK(!goes_with);
        test_make_folders("/sys/class/block/dm-7/slaves");
        put("/sys/class/block/dm-7/slaves/nvme0n1", "");
        check_no("references", "nvme0n1 is the card's, and in use: dm-7 stands on it");
        drop("/sys/class/block/nvme0n1");
        check_no("references", "nvme0n1 is gone, and in use: dm-7 stands on it");
        set_blocks("[]");
        check_no("references", "nvme0n1 is gone, and in use: dm-7 stands on it"); /* it was not gone when the plan was made */
        json_object *gone = json_object_new_array();
        json_append_str(gone, "nvme0n1");
        json_set(scope, "gone_before", gone);
        check_yes("references");

        set_blocks("[{\"name\": \"nvme0n1\", \"dev\": \"259:9\"}]");
        json_set(scope, "gone_before", NULL);
        test_remove_tree("/sys/class/block/dm-7");
        test_make_folders("/sys/fs/xfs/stats");
        test_places();
        test_make_folders("/sys/fs/btrfs/uuid/devices/nvme0n1");
        check_no("references", "nvme0n1 is gone, and in use: btrfs uuid has it");
        json_object *volumes = json_object_new_array();
        json_append_str(volumes, "/sys/fs/btrfs/uuid");
        json_set(scope, "volumes", volumes);
        test_remove_tree("/sys/fs/btrfs/uuid/devices/nvme0n1");
        check_no("references", lost);

        /* An image with the same UUID is another volume: it has all of its members, and none is the card's. */
        test_make_folders("/sys/fs/btrfs/uuid/devices/loop3");
        test_make_folders("/sys/fs/btrfs/uuid/devinfo/1");
        test_make_folders("/sys/class/block");
        put("/sys/fs/btrfs/uuid/devinfo/1/missing", "0\n");
        CHECK_INT(symlink("../../devices/virtual/block/loop3", "/sys/class/block/loop3"), 0);
        check_yes("references");
        put("/sys/fs/btrfs/uuid/devinfo/1/missing", "1\n");
        check_no("references", lost);
        drop("/sys/fs/btrfs/uuid/devinfo/1/missing");
        check_no("references", lost);
        put("/sys/fs/btrfs/uuid/devinfo/1/missing", "0\n");
        test_make_folders("/sys/fs/btrfs/uuid/devinfo/2");
        put("/sys/fs/btrfs/uuid/devinfo/2/missing", "0\n"); /* of one that is not listed */
        check_no("references", lost);
        test_remove_tree("/sys/fs/btrfs/uuid/devinfo");
        check_no("references", lost);
        drop("/sys/class/block/loop3");
        test_remove_tree("/sys/fs/btrfs");
        put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/nvme0n1\\040(deleted) partition\t4\t\t0\t\t-2\n");
        check_no("references", "nvme0n1 is gone, and in use: it is swap");
        put("/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        check_yes("references");
}

/* Nothing that is gone can have been on a card that is memory and bridges: nobody's mounts are asked about. */
static void check_card_without_disks(const char *mounted) {
        json_object *blocks = json_ref(json_get(scope, "block_devices")), *functions = json_ref(json_get(scope, "functions"));
        json_object *bridges = json_object_new_array();

        json_append_str(bridges, "0000:0d:00.0");
        json_append_str(bridges, "0000:0e:00.0");
        json_append_str(bridges, "0000:0f:00.0");
        json_set(scope, "block_devices", json_object_new_array());
        json_set(scope, "functions", bridges);
        put("/proc/1/mountinfo", mounted);
        check_no("references", "259:9 is gone, and in use: it is mounted on /srv (namespace 4026531841)");
        json_set_bool(scope, "without_disks", true);
        check_yes("references");
        json_set_bool(scope, "with_disks", true); /* another one that was in the slot may have had some */
        check_no("references", "259:9 is gone, and in use: it is mounted on /srv (namespace 4026531841)");
        json_object_object_del(scope, "with_disks");
        json_object_object_del(scope, "without_disks");
        json_set(scope, "block_devices", blocks);
        json_set(scope, "functions", functions);
}

/* In any namespace; the number has no name any more. */
static void test_mounts(void) {
        static const char text[] = "[{\"dev\": \"259:9\", \"type\": \"ext4\"}]", none[] = "20 1 0:2 / / rw - rootfs rootfs rw\n";
        static const char mounted[] = "20 1 0:2 / / rw - rootfs rootfs rw\n21 20 259:9 / /srv rw - ext4 /dev/nvme0n1 rw\n";
        json_object *file_systems = NULL;

        test_make_folders("/proc/1/ns");
        (void) unlink("/proc/1/root");
        (void) unlink("/proc/1/ns/mnt");
        CHECK(symlink("/", "/proc/1/root") == 0 && symlink("mnt:[4026531841]", "/proc/1/ns/mnt") == 0);
        put("/proc/1/mountinfo", none);
        CHECK_INT(json_parse(text, strlen(text), &file_systems), 0);
        json_set(scope, "file_systems", file_systems);
        check_yes("mounts");
        check_yes("references");
        put("/proc/1/mountinfo", mounted);
        check_no("mounts", "/dev/nvme0n1 is mounted on /srv (namespace 4026531841)");
        check_no("references", "259:9 is gone, and in use: it is mounted on /srv (namespace 4026531841)");
        put("/proc/1/mountinfo", none);
        check_yes("mounts");
        check_card_without_disks(mounted);
        put("/proc/1/mountinfo", none);
}

/* This process once more, with a file in its memory that is on the card's disk: the disk is gone, the file system is not. */
static void test_mapped_file(const char *real) {
        _cleanup_free_ char *answer = NULL;

        test_make_folders("/proc/77");
        CHECK_INT(mount(real, "/proc/77", NULL, MS_BIND, NULL), 0);
        put("/proc/maps-of-77", "7f0000000000-7f0000001000 r--p 00000000 103:09 12                        /srv/file\n");
        CHECK_INT(mount("/proc/maps-of-77", "/proc/77/maps", NULL, MS_BIND, NULL), 0);
        CHECK_INT(ask("processes", &answer), 0);
        CHECK_STR(answer, "process 77 (test-probes) has mapping nvme0n1: /proc/77/maps r--p");
        check_counts("processes");
        CHECK_INT(umount2("/proc/77/maps", MNT_DETACH), 0);
        CHECK_INT(umount2("/proc/77", MNT_DETACH), 0);
        CHECK_INT(rmdir("/proc/77"), 0);
        check_yes("processes");
}

/* One that cannot be looked at may have anything, also where the kernel says that the card's device is gone: its word stands only for what
 * there was no time for, and for files that do not say what they are. */
static void test_unread_process(void) {
        static const char gone[] = "[{\"name\": \"dax9.0\", \"dev\": \"240:7\"}]";
        json_object *devices = NULL, *blocks = json_ref(json_get(scope, "block_devices"));
        _cleanup_free_ char *answer = NULL, *again = NULL, *file = NULL;

        test_make_folders("/proc/78");
        CHECK_INT(symlink("fd", "/proc/78/fd"), 0);
        CHECK_INT(ask("processes", &answer), -EAGAIN);
        CHECK(startswith(answer, "not every process could be looked at: process "));
        CHECK_INT(json_parse(gone, strlen(gone), &devices), 0);
        json_set(scope, "dax_devices", devices);
        json_set(scope, "block_devices", NULL);
        CHECK_INT(ask("processes", &again), -EAGAIN);

        CHECK(unlink("/proc/78/fd") == 0 && mkdir("/proc/78/fd", 0755) == 0 && symlink("3", "/proc/78/fd/3") == 0);
        check_yes("processes");
        json_set(scope, "block_devices", blocks);
        CHECK_INT(ask("processes", &file), -EAGAIN);
        CHECK_STR(file, "not every process could be looked at: process 78 has an open file that cannot be looked up");
        json_set(scope, "dax_devices", NULL);
        test_remove_tree("/proc/78");
        check_yes("processes");
}

/* All questions of before the power-off, of a card that has had nothing but that device: the look at the processes goes on meanwhile, and counts. */
static void check_all(const char *expected) {
        static const char text[] = "{\"slot\": \"2\", \"address\": \"0000:0d:00\", \"functions\": [\"0000:99:00.0\"], \"without_disks\": true,"
                                   " \"dax_devices\": [{\"name\": \"null\", \"dev\": \"1:3\"}]}";
        _cleanup_json_ json_object *about = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(json_parse(text, strlen(text), &about), 0);
        CHECK_INT(probes_ask(about, true, &why), !expected);
        CHECK(!expected || (why && startswith(why, expected)));
}

static bool slow; /* there are that many processes */

int __real_holders_scan_end(HoldersScan *scan, Holders **ret);
int __wrap_holders_scan_end(HoldersScan *scan, Holders **ret);

/* Meanwhile somebody makes a region at the card's addresses. */
int __wrap_holders_scan_end(HoldersScan *scan, Holders **ret) {
        if (slow) {
                test_make_folders(CXL "region8");
                put(CXL "region8/size", "4096\n");
                put(CXL "region8/resource", "0x900000000\n");
                (void) usleep(300 * 1000);
        }
        return __real_holders_scan_end(scan, ret);
}

/* Whoever has so many processes that the look at them takes long does not keep the other answers from being those of now. */
static void test_slow_look(void) {
        static const char text[] = "{\"slot\": \"2\", \"address\": \"0000:0d:00\", \"functions\": [\"0000:99:00.0\"], \"without_disks\": true,"
                                   " \"ranges\": [{\"start\": 38654705664, \"size\": 4096}], \"dax_devices\": [{\"name\": \"null\", \"dev\": \"1:3\"}]}";
        _cleanup_json_ json_object *about = NULL;
        _cleanup_free_ char *why = NULL;

        CHECK_INT(json_parse(text, strlen(text), &about), 0);
        CHECK_INT(probes_ask(about, true, &why), 1);
        slow = true;
        CHECK_INT(probes_ask(about, true, &why), 0);
        slow = false;
        CHECK(why && startswith(why, "regions ("));
        test_remove_tree(CXL "region8");
}

/* This process, as the only one of the recorded machine: it has a character device open. */
static void test_processes(void) {
        static const char text[] = "[{\"name\": \"null\", \"dev\": \"1:3\"}]", odd[] = "[{\"name\": \"null\", \"dev\": \"odd\"}]";
        _cleanup_free_ char *self = NULL, *real = NULL, *answer = NULL, *unknown = NULL;
        json_object *devices = NULL, *no_devices = NULL;

        CHECK_INT(json_parse(text, strlen(text), &devices), 0);
        json_set(scope, "dax_devices", devices);
        test_make_folders("/sys/dev/char");
        CHECK_INT(symlink("../../devices/virtual/mem/null", "/sys/dev/char/1:3"), 0);
        check_yes("processes");
        check_all(NULL);
        test_slow_look();

        _cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && link_readf(&self, "/proc/.real/self") >= 0);
        real = strf("/proc/.real/%s", self);
        test_make_folders("/proc/77");
        CHECK_INT(mount(real, "/proc/77", NULL, MS_BIND, NULL), 0);
        CHECK_INT(ask("processes", &answer), 0);
        CHECK(answer && startswith(answer, "process 77 (test-probes) has descriptor null: /proc/77/fd/"));
        check_all("processes (");
        CHECK_INT(umount2("/proc/77", MNT_DETACH), 0);
        CHECK_INT(rmdir("/proc/77"), 0);

        CHECK_INT(json_parse(odd, strlen(odd), &no_devices), 0);
        json_set(scope, "dax_devices", no_devices);
        CHECK(ask("processes", &unknown) < 0);
        json_set(scope, "dax_devices", NULL);
        test_mapped_file(real);
        test_unread_process();
}

static void set_since(uint64_t sequence) {
        json_object *since = json_object_new_object();

        json_set_u64(since, "sequence", sequence);
        json_set_u64(since, "taint", 0);
        json_set(scope, "since", since);
}

/* A file has one record, as a read of the real one gives. */
static void test_kernel_log(void) {
        _cleanup_json_ json_object *behind = NULL;
        _cleanup_free_ char *line = NULL;

        CHECK_INT(setenv("SAFE_REMOVE_KMSG", "/proc/kernel-log", 1), 0);
        put("/proc/kernel-log", "4,12,99,-;WARNING: CPU: 0 PID: 1 at fs/odd.c:1 odd+0x1/0x2\n");
        set_since(12);
        check_no("kernel-log", "it says: WARNING: CPU: 0 PID: 1 at fs/odd.c:1 odd+0x1/0x2");
        set_since(13);
        check_yes("kernel-log");
        put("/proc/kernel-log", "12,12,99,-;WARNING: said by somebody\n");
        set_since(12);
        check_yes("kernel-log"); /* not in the kernel's name */
        json_set_str(json_get(scope, "since"), "unread", "Operation not permitted");
        check_unknown("kernel-log");
        CHECK_INT(kernel_log_acknowledge(scope, &behind, &line), -ENODATA);
        json_set(scope, "since", NULL);
}

/* What has been said so far may be put aside, and what comes then counts; but not what is about the card. */
static void test_acknowledge(void) {
        _cleanup_json_ json_object *since = NULL, *again = NULL;
        _cleanup_free_ char *line = NULL, *answer = NULL;

        put("/proc/kernel-log", "4,12,99,-;WARNING: CPU: 0 PID: 1 at fs/odd.c:1 odd+0x1/0x2\n");
        set_since(12);
        CHECK_INT(kernel_log_acknowledge(scope, &since, &line), 1);
        CHECK_STR(json_object_get_string(json_at(json_array(since, "acknowledged"), 0)), "WARNING: CPU: 0 PID: 1 at fs/odd.c:1 odd+0x1/0x2");
        json_set(scope, "since", json_ref(since));
        CHECK_INT(ask("kernel-log", &answer), 1);
        CHECK_STR(answer, "no other error than the acknowledged one: WARNING: CPU: 0 PID: 1 at fs/odd.c:1 odd+0x1/0x2");
        put("/proc/kernel-log", "4,13,99,-;WARNING: CPU: 0 PID: 1 at fs/odd.c:2 odd+0x1/0x2\n");
        check_no("kernel-log", "it says: WARNING: CPU: 0 PID: 1 at fs/odd.c:2 odd+0x1/0x2");

        put("/proc/kernel-log", "4,13,99,-;WARNING: CPU: 0 PID: 1 at fs/odd.c:2 odd+0x1/0x2 [0000:0d:00.0]\n");
        CHECK_INT(kernel_log_acknowledge(scope, &again, &line), 0);
        CHECK_STR(line, "WARNING: CPU: 0 PID: 1 at fs/odd.c:2 odd+0x1/0x2 [0000:0d:00.0]");
        json_set(scope, "since", NULL);
        CHECK(kernel_log_acknowledge(scope, &again, &line) < 0);
}

static bool reported(json_object **ret) {
        json_object *report = NULL;

        bool all = probes_report(scope, false, &report);
        *ret = report;
        return all;
}

/* One that cannot be found out is a no of all, also when every other says yes. */
static void test_unknown(void) {
        static const char text[] = "{\"slot\": \"2\", \"address\": \"0000:0d:00\", \"power_controller\": true, \"functions\": [\"0000:99:00.0\"]}";
        _cleanup_json_ json_object *report = NULL, *again = NULL;
        _cleanup_free_ char *answer = NULL, *why = NULL, *first = NULL;

        json_object_put(TAKE_PTR(scope));
        CHECK_INT(json_parse(text, strlen(text), &scope), 0);
        drop(CXL "mem1");
        CHECK(reported(&again));
        CHECK_INT(probes_ask(scope, false, &why), 1);

        drop("/sys/bus/pci/slots/2/power");
        CHECK(ask("power", &answer) < 0);
        CHECK(!reported(&report));
        for (size_t i = 0; i < json_len(report); i++) {
                json_object *o = json_at(report, i);
                if (streq(json_str(o, "name"), "power"))
                        CHECK(!json_get(o, "holds") && json_str(o, "answer"));
                else
                        CHECK(json_flag(o, "holds"));
        }
        first = probes_why(report);
        CHECK_INT(probes_ask(scope, false, &why), 0);
        CHECK_STR(why, first);
}

/* What the note says of a proof that was kept before: from when its answers are. */
static uint64_t noted_after(json_object *about, uint64_t until) {
        StepRun run = { .note = keep_notes, .proof = { .scope = json_ref(about), .report = json_object_new_array(), .asked_usec = 7, .until = until } };
        _cleanup_json_ json_object *args = json_object_new_object();

        json_set(args, "scope", json_ref(scope));
        int r = prove_note(args, &run);
        uint64_t asked = json_u64(json_at(run.notes, 0), "asked_usec");
        CHECK_INT(r, asked == 7 ? 0 : -EBUSY); /* the card is there */
        CHECK(!run.proof.report);
        json_object_put(run.notes);
        step_run_done(&run);
        return asked;
}

/* The light relies on answers of the same breath and about the same card, or asks itself; and on none twice. */
static void test_breath(void) {
        _cleanup_json_ json_object *other = json_object_new_object();
        uint64_t later = now_monotonic() + 3600 * USEC_PER_SEC;

        CHECK_INT(noted_after(scope, later), 7);
        CHECK(noted_after(scope, now_monotonic()) != 7);
        CHECK(noted_after(other, later) != 7);
}

/* The step that asks them says so of each, in fewer words than the question has. */
static void test_described(void) {
        _cleanup_free_ char *does = NULL, *undo = NULL;
        size_t n_probes = 0, n_said = 1;

        step_ops(STEP_PROVE_SAFE)->describe(NULL, &does, &undo);
        for (const Probe *const *p = probes; *p; p++, n_probes++)
                CHECK(!strstr(does, (*p)->question));
        for (const char *c = does; *c; c++)
                n_said += *c == ',';
        CHECK_INT(n_said, n_probes);
}

/* Each step that is about the light or the power asks for itself: none relies on that the one before it has. */
static void test_steps_ask(void) {
        static const StepLimits limits = { .write_timeout_usec = USEC_PER_SEC };
        StepRun run = { .limits = &limits, .note = keep_notes, .notes = json_object_new_array(), .resumed = true };
        _cleanup_json_ json_object *args = json_object_new_object();

        json_set(args, "scope", json_ref(scope));
        CHECK_INT(step_ops(STEP_POWER_OFF)->check(args, &run), -EBUSY);
        CHECK(run.why && startswith(run.why, "not ready to lose power: "));
        CHECK_INT(step_ops(STEP_PROVE_SAFE)->apply(args, &run), -EBUSY);
        CHECK_INT(json_len(run.notes), 1);
        CHECK_INT(step_ops(STEP_PROVE_SAFE)->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(step_ops(STEP_SHOW_SAFE)->apply(args, &run), -EBUSY);
        CHECK(step_ops(STEP_SHOW_SAFE)->verify(args, &run) != STEP_APPLIED);
        json_object_put(run.notes);
        step_run_done(&run);
}

int main(void) {
        static const char text[] =
                "{\"slot\": \"2\", \"port\": \"0000:0c:00.0\", \"service\": \"0000:0c:00.0:pcie004\", \"address\": \"0000:0d:00\","
                "\"power_controller\": true, \"power_indicator\": true, \"attention_indicator\": true, \"functions\": [\"0000:0d:00.0\"],"
                "\"memdevs\": [{\"name\": \"mem1\", \"serial\": \"0x1\"}], \"ranges\": [{\"start\": 19595788288, \"size\": 536870912}]}";

        CHECK_INT(json_parse(text, strlen(text), &scope), 0);
        counted = json_object_new_object();
        test_described();
        test_steps_ask();
        test_ranges();
        test_memory();
        test_libraries();
        test_cxl();
        test_slot();
        test_blocks();
        test_kernel_users();
        test_below_port();
        test_references();
        test_processes();
        test_mounts();
        test_kernel_log();
        test_acknowledge();
        test_unknown();
        test_breath();
        CHECK_INT(json_object_object_length(counted), 18); /* all but goes-on, which has a test of its own */
        json_object_put(counted);
        json_object_put(scope);
        return EXIT_SUCCESS;
}
