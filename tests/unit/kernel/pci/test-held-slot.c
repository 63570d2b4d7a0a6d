/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2": pciehp drives the services of the ports 0000:0c:00.0 and 0000:0c:01.0. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "kernel/pci/held-slot.h"
#include "kernel/process/process-stat.h"
#include "step/evict/hotplug-service.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define UNBOUND "0000:0c:01.0" /* by test_take() */
#define SERVICE PORT ":pcie004"
#define DEVICE "/sys/devices/pci0000:0c/" PORT "/" SERVICE

static json_object *args_of(const char *port) {
        _cleanup_free_ char *service = strf("%s:pcie004", port);

        return hotplug_service_args(port, service, &(SlotRegisters) { .has_power_indicator = true, .power_on = true });
}

static size_t n_marks(void) {
        _cleanup_json_ json_object *list = NULL;

        CHECK_INT(held_list(&list), 0);
        return json_len(list);
}

static char *mark_path(const char *port) {
        return strf("%s/held/%s", run_dir(), port);
}

static void test_services(void) {
        _cleanup_free_ char *service = NULL, *port = hotplug_port_of_service(SERVICE), *switch_port = hotplug_port_of_service(PORT ":pcie204");

        CHECK_STR(port, PORT);
        CHECK_STR(switch_port, PORT);
        CHECK(!hotplug_port_of_service(PORT ":pcie001"));
        CHECK(!hotplug_port_of_service(PORT));
        CHECK_INT(hotplug_service_of_port(PORT, &service), 0);
        CHECK_STR(service, SERVICE);
        CHECK_INT(hotplug_is_driven(SERVICE), 1);
        CHECK(!held_is_undriven(PORT));
        CHECK(!held_is_undriven("0000:77:00.0"));
}

static void test_mark(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *list = NULL;

        CHECK_INT(n_marks(), 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT));
        CHECK(!held_is_marked("0000:0c:01.0"));
        CHECK_INT(held_list(&list), 0);
        CHECK_INT(json_len(list), 1);
        CHECK_STR(json_str(json_at(list, 0), "service"), SERVICE);
        CHECK_STR(json_str(json_at(list, 0), "power_led"), "on");
        held_forget(PORT);
        CHECK(!held_is_marked(PORT));
}

/* None of them may be taken for a slot of ours, and none of them is kept. */
static void test_no_marks(void) {
        _cleanup_json_ json_object *args = args_of(PORT);
        _cleanup_free_ char *path = mark_path(PORT), *other = mark_path("0000:0c:01.0");
        char boot[33];

        CHECK_INT(boot_id_read(boot), 0);
        static const char *const rubbish[] = { "", "{", "[]", "{\"boot\":\"another\",\"args\":{\"port\":\"" PORT "\",\"service\":\"" SERVICE "\"}}" };
        for (size_t i = 0; i < ELEMENTSOF(rubbish); i++) {
                test_put(path, rubbish[i]);
                CHECK(!held_is_marked(PORT));
                CHECK_INT(n_marks(), 0);
                CHECK(access(path, F_OK) < 0);
        }
        /* Of one port under the name of another. */
        CHECK_INT(held_mark(args), 0);
        CHECK_INT(rename(path, other), 0);
        CHECK_INT(n_marks(), 0);
        /* Of a port that is gone, and of the one that came in its place. */
        CHECK_INT(held_mark(args), 0);
        CHECK_INT(rename(DEVICE, DEVICE ".old"), 0);
        CHECK(!held_is_marked(PORT));
        CHECK_INT(mkdir(DEVICE, 0755), 0);
        CHECK(!held_is_marked(PORT));
        CHECK_INT(rmdir(DEVICE), 0);
        CHECK_INT(rename(DEVICE ".old", DEVICE), 0);
        CHECK(held_is_marked(PORT));
        held_forget(PORT);
}

/* The guard reads marks: it waits at no FIFO. */
static void test_no_mark(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *list = NULL;
        _cleanup_free_ char *path = NULL;

        CHECK_INT(held_mark(args), 0);
        path = strf("%s/held/%s", run_dir(), PORT);
        CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
        CHECK(!held_is_marked(PORT));
        CHECK_INT(held_list(&list), 0);
        CHECK_INT(json_len(list), 0);
        CHECK(unlink(path) == 0);
}

static ino_t inode_of(const char *folder, const char *port) {
        _cleanup_free_ char *path = strf("%s/%s/%s", run_dir(), folder, port);
        struct stat st;

        return stat(path, &st) < 0 ? 0 : st.st_ino;
}

/* One file is the mark of a slot, held or not: to hold it needs no room. */
static void test_prepared(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *list = NULL;

        held_prepare_all();
        ino_t mark = inode_of("ready", PORT);
        CHECK(mark != 0 && inode_of("ready", "0000:0c:01.0") != 0);
        CHECK_INT(n_marks(), 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT));
        CHECK(inode_of("held", PORT) == mark && inode_of("ready", PORT) == 0);
        CHECK_INT(held_list(&list), 0);
        CHECK_STR(json_str(json_at(list, 0), "port"), PORT);
        CHECK_INT(held_prepare(PORT), 0); /* while it is held there is no second one */
        CHECK_INT(inode_of("ready", PORT), 0);
        held_forget(PORT);
        CHECK(!held_is_marked(PORT) && inode_of("ready", PORT) == mark);
        CHECK_INT(held_prepare(PORT), 0);
        CHECK(inode_of("ready", PORT) == mark);

        /* Of a port that came in the place of another it is made anew, where there is room. */
        CHECK_INT(rename(DEVICE, DEVICE ".old"), 0);
        CHECK_INT(mkdir(DEVICE, 0755), 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT) && inode_of("held", PORT) != mark);
        CHECK_INT(rmdir(DEVICE), 0);
        CHECK_INT(rename(DEVICE ".old", DEVICE), 0);
        CHECK_INT(n_marks(), 0);
        CHECK_INT(held_prepare(PORT), 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT));
        held_forget(PORT);
        CHECK_INT(held_prepare("../x"), -ENOENT);
}

static void make_newer(const char *path) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        char *schema = strstr(text, "safe-remove/held/1");
        CHECK(schema);
        schema[strlen("safe-remove/held/")] = '2';
        test_put(path, text);
}

/* A newer version's mark stays where it is when the slot is given back, and ours goes where that one's place is taken. */
static void test_newer_stays(void) {
        _cleanup_json_ json_object *args = args_of(PORT);
        _cleanup_free_ char *held = mark_path(PORT), *ready = strf("%s/ready/%s", run_dir(), PORT);

        CHECK_INT(held_prepare(PORT), 0);
        CHECK_INT(held_mark(args), 0);
        make_newer(held);
        ino_t mark = inode_of("held", PORT);
        held_forget(PORT);
        CHECK(inode_of("held", PORT) == mark && inode_of("ready", PORT) == 0);
        CHECK_INT(n_marks(), 0); /* which is nobody's: the slot is driven */
        CHECK(rename(held, ready) == 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT));
        held_forget(PORT);
        CHECK(inode_of("held", PORT) == 0 && inode_of("ready", PORT) == mark);
        CHECK(unlink(ready) == 0);
}

/* With the mark of a slot, whatever it is called, and in its place. */
static void test_notes(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *writers = NULL;
        _cleanup_free_ char *path = mark_path(PORT), *text = NULL;

        CHECK_INT(held_prepare(PORT), 0);
        CHECK_INT(held_noted(PORT, HELD_SERVED), 0);
        CHECK_INT(held_note(PORT, HELD_PRESS, 7), 0);
        held_serve(PORT, 12);
        held_serve(PORT, 11);
        CHECK_INT(held_note(PORT, HELD_YIELDED, UINT64_MAX), 0);
        CHECK(held_noted(PORT, HELD_YIELDED) == UINT64_MAX);
        CHECK_INT(held_note(PORT, HELD_UNCLAIMED, 6), 0);
        CHECK_INT(held_mark(args), 0);
        CHECK(held_is_marked(PORT));
        CHECK_INT(held_noted(PORT, HELD_PRESS), 7);
        CHECK_INT(held_noted(PORT, HELD_SERVED), 12);
        CHECK_INT(held_noted(PORT, HELD_YIELDED), 0); /* whoever takes it back */
        CHECK_INT(held_noted(PORT, HELD_UNCLAIMED), 0); /* that was another hold */
        CHECK_INT(held_note(PORT, HELD_UNCLAIMED, 8), 0);
        CHECK_INT(held_mark(args), 0); /* two at once */
        CHECK_INT(held_noted(PORT, HELD_SERVED), 12);
        CHECK_INT(held_noted(PORT, HELD_UNCLAIMED), 8);

        CHECK(!held_is_being_written(PORT));
        ProcessStat st;
        CHECK_INT(read_file("/proc/self/stat", &text, NULL), 0);
        CHECK_INT(stat_parse(text, &st), 0);
        int pid = atoi(text); /* as /proc has it, which is a recorded one and shows no process whole */
        _cleanup_free_ char *own = strf("/proc/%d/stat", pid);
        CHECK_INT(symlink("/proc/self/stat", own), 0);
        CHECK_INT(held_note_writer(PORT, pid, st.start_time + 1), 0); /* another process of that number */
        CHECK(!held_is_being_written(PORT));
        CHECK_INT(held_note_writer(PORT, pid, st.start_time), 0);
        CHECK(held_is_being_written(PORT));
        struct rlimit was, none;
        CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
        none = (struct rlimit) { .rlim_cur = 0, .rlim_max = was.rlim_max };
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0); /* who cannot be looked for may be there */
        bool written = held_is_being_written(PORT), error = held_writers(&writers) < 0;
        CHECK(setrlimit(RLIMIT_NOFILE, &was) == 0);
        CHECK(written && error);
        CHECK_INT(held_writers(&writers), 0);
        CHECK_INT(json_len(writers), 1);
        CHECK_STR(json_str(json_at(json_get(json_at(writers, 0), "slots"), 0), "port"), PORT);
        CHECK_INT(json_u64(json_at(writers, 0), "pid"), pid);
        CHECK_INT(unlink(own), 0);
        CHECK_INT(held_noted(PORT, HELD_SERVED), 12);
        held_forget(PORT);
        CHECK_INT(held_noted(PORT, HELD_SERVED), 12);

        /* One that a version before has left has none, and is a mark all the same. */
        char boot[33];
        struct stat service;
        CHECK_INT(boot_id_read(boot), 0);
        CHECK_INT(stat("/sys/bus/pci_express/devices/" SERVICE, &service), 0);
        _cleanup_free_ char *old = strf("{\"boot\":\"%s\",\"inode\":%ju,\"args\":{\"port\":\"" PORT "\",\"service\":\"" SERVICE "\"}}", boot,
                                        (uintmax_t) service.st_ino);
        test_put(path, old);
        CHECK(held_is_marked(PORT));
        CHECK_INT(held_note(PORT, HELD_PRESS, 7), -ENOENT);
        CHECK(held_is_marked(PORT));
        /* Or fewer, which are not read. */
        _cleanup_free_ char *fewer = strf("%020d %020d %020d %020d %020d\n%s", 7, 7, 7, 7, 7, old);
        test_put(path, fewer);
        CHECK(held_is_marked(PORT));
        CHECK_INT(n_marks(), 1);
        CHECK_INT(held_noted(PORT, HELD_PRESS), 0);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(held_note("0000:77:00.0", HELD_PRESS, 7), -ENOENT);
        CHECK_INT(held_noted("../x", HELD_PRESS), 0);
}

/* A newer version's mark is one that cannot be read: whoever holds the slot may still be at it, and its file stays as it is. */
static void test_newer(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *writers = NULL;
        _cleanup_free_ char *path = mark_path(PORT), *text = NULL, *newer = NULL, *after = NULL;

        CHECK_INT(held_mark(args), 0);
        CHECK_INT(read_file(path, &text, NULL), 0);
        char *number = strstr(text, "safe-remove/held/1");
        CHECK(number);
        number[strlen("safe-remove/held/")] = '2';
        newer = TAKE_PTR(text);
        CHECK_INT(write_file_durably(path, newer), 0);
        CHECK(!held_is_marked(PORT) && held_is_being_written(PORT));
        CHECK_INT(held_writers(&writers), 0);
        CHECK(strstr(json_str(json_at(writers, 0), "what"), "newer version"));
        CHECK_INT(n_marks(), 0); /* the kernel drives it */
        CHECK_INT(held_mark(args), 0);
        CHECK_INT(read_file(path, &after, NULL), 0);
        CHECK_STR(after, newer);
        CHECK_INT(unlink(path), 0);
}

/* A port's name leads nowhere else. */
static void test_names(void) {
        _cleanup_json_ json_object *args = args_of("../held/x");

        json_set_str(args, "service", SERVICE);
        CHECK_INT(held_mark(args), -EINVAL);
        CHECK(!held_is_marked(".."));
        CHECK(!held_is_marked(""));
}

/* What somebody else unbound is not marked as ours; a hold that the kernel refuses leaves no mark. */
static void test_take(void) {
        _cleanup_json_ json_object *args = args_of(PORT), *others = args_of(UNBOUND);
        const StepLimits limits = { .write_timeout_usec = USEC_PER_SEC };
        StepRun run = { .limits = &limits };

        CHECK_INT(unlink("/sys/devices/pci0000:0c/" UNBOUND "/" UNBOUND ":pcie004/driver"), 0);
        (void) hotplug_service_take(others, &run);
        CHECK(!held_is_marked(UNBOUND));
        CHECK(hotplug_service_take(args, &run) < 0); /* a recorded kernel does not obey */
        CHECK(!held_is_marked(PORT));
        step_run_done(&run);
}

/* A mark that cannot be read: somebody may be at it, and a slot that is held is not taken for an administrator's. What is no port's is nobody's
 * slot, and one that the kernel drives is held by nobody. */
static void test_unread(void) {
        static const char *const names[] = { PORT, UNBOUND, "none" };
        _cleanup_json_ json_object *list = NULL, *writers = NULL;
        _cleanup_free_ char *folder = strf("%s/held", run_dir());

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, names[i]);
                CHECK(mkdir(path, 0700) == 0);
                CHECK(held_is_being_written(names[i]));
        }
        CHECK_INT(held_list(&list), 0);
        CHECK_INT(json_len(list), 1);
        CHECK_STR(json_str(json_at(list, 0), "port"), UNBOUND);
        CHECK_INT(held_writers(&writers), 0);
        CHECK_INT(json_len(writers), ELEMENTSOF(names));
        for (size_t i = 0; i < json_len(writers); i++) {
                json_object *writer = json_at(writers, i);
                _cleanup_free_ char *path = strf("%s/%s", folder, json_str(json_at(json_get(writer, "slots"), 0), "port"));
                CHECK_STR(json_str(writer, "unread"), path);
                CHECK(startswith(json_str(writer, "what"), path));
                CHECK(rmdir(path) == 0);
        }
}

int main(void) {
        _cleanup_free_ char *folder = test_folder();

        CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, 1), 0);
        test_services();
        test_mark();
        test_no_marks();
        test_no_mark();
        test_prepared();
        test_newer_stays();
        test_notes();
        test_newer();
        test_names();
        test_take();
        test_unread();
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
