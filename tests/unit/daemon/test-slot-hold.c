/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who takes a slot from the kernel, and gives it back, is on record before each write, those to the port's registers included. The kernel is ours:
 * a lease of a file keeps whoever opens it for a write waiting in the real one, until that is let go. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>

#include "base/clock.h"
#include "daemon/guard/hands.h"
#include "daemon/worker/press.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "step/evict/hotplug-service.h"
#include "tests/unit/own-processes.h"

#define PORT "0000:0c:00.0"
#define SERVICE PORT ":pcie004"
#define CONFIG "/sys/bus/pci/devices/" PORT "/config"
#define DEVICE "/sys/bus/pci_express/devices/" SERVICE
#define DRIVER "/sys/bus/pci_express/drivers/pciehp"

enum {
        CANNOT_RUN = 77,
        CAP = 0x40,
        CONTROL = CAP + PCI_EXP_SLTCTL,
        STATUS = CAP + PCI_EXP_SLTSTA,
        PATIENCE_SEC = 60,
};

static uint8_t config_byte(unsigned at) {
        _cleanup_close_ int fd = open(CONFIG, O_RDONLY | O_CLOEXEC);
        uint8_t b;

        CHECK(fd >= 0 && pread(fd, &b, 1, at) == 1);
        return b;
}

/* A slot with everything, whose button was pressed: its power LED blinks. */
static void make_config(void) {
        static const uint32_t caps = PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_NCCS;
        uint8_t config[256] = { [PCI_STATUS] = PCI_STATUS_CAP_LIST, [PCI_CAPABILITY_LIST] = CAP, [CAP] = PCI_CAP_ID_EXP,
                                [CAP + PCI_EXP_FLAGS + 1] = PCI_EXP_FLAGS_SLOT >> 8, [CONTROL] = INDICATOR_OFF << 6, [CONTROL + 1] = INDICATOR_BLINK,
                                [STATUS] = PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_ABP };

        memcpy(config + CAP + PCI_EXP_SLTCAP, &caps, sizeof(caps));
        _cleanup_close_ int fd = open(CONFIG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && write(fd, config, sizeof(config)) == sizeof(config));
}

static void bind_driver(void) {
        CHECK_INT(symlink(DRIVER, DEVICE "/driver"), 0);
}

static void make_machine(void) {
        test_make_folders("/sys/bus/pci/devices/" PORT "/" SERVICE);
        test_make_folders(DEVICE);
        test_make_folders(DRIVER);
}

static void begin(void) {
        make_config();
        test_put(DRIVER "/bind", "");
        test_put(DRIVER "/unbind", "");
        (void) unlink(DEVICE "/driver");
        bind_driver();
        held_forget(PORT);
        CHECK_INT(held_prepare(PORT), 0);
        CHECK_INT(held_note_writer(PORT, 0, 0), 0);
}

/* Whoever opens it for a write waits from here on. */
static int lease(const char *path) {
        sigset_t set;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        sigemptyset(&set);
        sigaddset(&set, SIGIO);
        CHECK_INT(sigprocmask(SIG_BLOCK, &set, NULL), 0);
        CHECK(fd >= 0);
        while (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) { /* somebody has it open still */
                CHECK_INT(errno, EAGAIN);
                (void) poll(NULL, 0, 10);
        }
        return fd;
}

/* Somebody is at it, and noted. */
static void wait_for_writer(void) {
        const struct timespec patience = { .tv_sec = PATIENCE_SEC };
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGIO);
        CHECK_INT(sigtimedwait(&set, NULL, &patience), SIGIO);
        CHECK(held_is_being_written(PORT));
}

static void let_go(int fd, const char *path, const char *want) {
        CHECK_INT(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
        CHECK_INT(close(fd), 0);
        for (unsigned i = 0; want && i < PATIENCE_SEC * 100; i++, (void) poll(NULL, 0, 10)) {
                _cleanup_free_ char *text = NULL;
                CHECK_INT(read_file(path, &text, NULL), 0);
                if (streq(text, want))
                        return;
        }
        CHECK(!want);
}

/* The kernel's side of an unbind, and where `back` of the bind after it, in a process of its own. It ends well when both were written by somebody
 * who was noted. */
static void kernel_main(bool back, int ready) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        int unbind = lease(DRIVER "/unbind"), bind = back ? lease(DRIVER "/bind") : -EBADF;
        CHECK_INT(write(ready, "", 1), 1);
        wait_for_writer();
        CHECK_INT(unlink(DEVICE "/driver"), 0);
        let_go(unbind, DRIVER "/unbind", SERVICE);
        if (back) {
                wait_for_writer();
                CHECK(access(DEVICE "/driver", F_OK) < 0 && held_is_marked(PORT));
                CHECK_INT(config_byte(CONTROL + 1), INDICATOR_ON); /* the lights come first: then nobody else writes there */
                bind_driver();
                let_go(bind, DRIVER "/bind", SERVICE);
        }
        _exit(EXIT_SUCCESS);
}

static pid_t kernel_start(bool back) {
        int ready[2];
        char c;

        CHECK_INT(pipe2(ready, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                kernel_main(back, ready[1]);
        CHECK_INT(close(ready[1]), 0);
        CHECK_INT(read(ready[0], &c, 1), 1);
        CHECK_INT(close(ready[0]), 0);
        return pid;
}

static void kernel_end(pid_t pid) {
        int status;

        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

static json_object *args_of_port(void) {
        SlotRegisters registers;

        CHECK_INT(slot_registers_read(PORT, &registers), 0);
        return hotplug_service_args(PORT, SERVICE, &registers);
}

/* A press that nobody can answer: its power-off is called off by taking the slot and giving it back. */
static void test_call_off(void) {
        const StepLimits limits = { .write_timeout_usec = PATIENCE_SEC * USEC_PER_SEC };

        begin();
        _cleanup_json_ json_object *args = args_of_port();
        const Step hold = { .type = STEP_HOLD, .args = args };
        pid_t kernel = kernel_start(true);
        press_call_off(&hold, &limits);
        kernel_end(kernel);
        CHECK(held_is_driven(PORT) && !held_is_marked(PORT) && !apart_has_witness());
        CHECK_INT(config_byte(CONTROL), INDICATOR_OFF << 6);
        CHECK_INT(config_byte(CONTROL + 1), INDICATOR_ON);
        CHECK(held_noted(PORT, HELD_WRITER) > 0 && !held_is_being_written(PORT));
}

/* The driver's link is gone, and the unbind does not come back: nothing is written after it. */
static void test_call_off_hangs(void) {
        const StepLimits limits = { .write_timeout_usec = 3 * USEC_PER_SEC };

        begin();
        _cleanup_json_ json_object *args = args_of_port();
        const Step hold = { .type = STEP_HOLD, .args = args };
        int unbind = lease(DRIVER "/unbind");
        pid_t caller = fork();
        CHECK(caller >= 0);
        if (caller == 0) {
                press_call_off(&hold, &limits);
                _exit(EXIT_SUCCESS);
        }
        wait_for_writer();
        CHECK_INT(unlink(DEVICE "/driver"), 0);
        kernel_end(caller);
        CHECK(held_is_being_written(PORT));
        CHECK(held_is_marked(PORT));
        CHECK_INT(config_byte(CONTROL + 1), INDICATOR_BLINK);
        let_go(unbind, DRIVER "/unbind", SERVICE);
        _cleanup_free_ char *text = NULL;
        CHECK_INT(read_file(DRIVER "/bind", &text, NULL), 0);
        CHECK_STR(text, "");
}

static char *why_not;
static bool is_done;

static void on_done(HandWork work, const char *port, const char *why, void *userdata) {
        free(why_not);
        why_not = why ? strdup(why) : NULL;
        is_done = true;
}

static void wait_for_hand(sd_event *event) {
        for (is_done = false; !is_done;)
                CHECK(sd_event_run(event, PATIENCE_SEC * USEC_PER_SEC) > 0);
}

/* A hand's write to the registers that does not come back: it is noted, and nobody goes on before it has. */
static void test_registers_hang(void) {
        static const uint8_t on = INDICATOR_ON;
        sd_event *event = NULL;
        Hands *hands = NULL;

        begin();
        CHECK_INT(sd_event_new(&event), 0);
        CHECK_INT(hands_new(event, on_done, NULL, &hands), 0);
        (void) signal(SIGCHLD, SIG_DFL);
        _cleanup_close_ int fd = open(CONFIG, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, &on, 1, CONTROL + 1) == 1);
        CHECK_INT(close(TAKE_FD(fd)), 0);

        pid_t kernel = kernel_start(false);
        int config = lease(CONFIG);
        CHECK_INT(hands_work(hands, HAND_HOLD, PORT, (HandPress) { 0 }), 0);
        wait_for_hand(event);
        kernel_end(kernel);
        CHECK_STR(why_not, "a write to the registers of port " PORT " has not come back");
        wait_for_writer();
        CHECK(held_is_marked(PORT) && held_is_undriven(PORT));
        CHECK_INT(config_byte(CONTROL + 1), INDICATOR_ON);
        let_go(config, CONFIG, NULL);
        for (unsigned i = 0; i < PATIENCE_SEC * 100 && held_is_being_written(PORT); i++)
                (void) poll(NULL, 0, 10);
        CHECK(!held_is_being_written(PORT));
        CHECK_INT(config_byte(CONTROL + 1), INDICATOR_ON); /* nobody waits for it any more: it is not made */
        hands_free(hands);
        sd_event_unref(event);
        free(why_not);
}

int main(void) {
        char folder[] = "/tmp/slot-hold.XXXXXX";

        if (!see_own_processes() || mount("test", "/sys", "tmpfs", 0, "mode=755") < 0)
                return CANNOT_RUN;
        CHECK(mkdtemp(folder));
        CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, 1), 0);
        make_machine();
        test_call_off();
        test_call_off_hangs();
        test_registers_hang();
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
