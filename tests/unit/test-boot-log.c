/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's log tells of cards that are gone, and who may say it. */
#include "kernel/boot-log.h"
#include "test.h"

static void say(BootLog *l, const char *record) {
        _cleanup_(kmsg_record_done) KmsgRecord r = { 0 };

        CHECK_INT(kmsg_parse(record, strlen(record), &r), 0);
        CHECK_INT(boot_log_take(l, &r), 0);
}

/* Where the controller is; "": nobody knows. */
static const char *place(const BootLog *l, const char *controller) {
        const LogEntry *e = boot_log_controller(l, controller);

        return e ? e->bdf : "";
}

static void test_functions(void) {
        _cleanup_boot_log_ BootLog l = { 0 };

        say(&l, "6,1,1,-;pci 0000:0d:00.0: [8086:0d93] type 00 class 0x050210 CXL Endpoint\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0d:00.0\n");
        say(&l, "6,2,1,-;pci 0000:0e:00.0: [1b36:0010] type 00 class 0x010802\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0e:00.0\n");
        say(&l, "6,3,1,-;pci 0000:0e:00.0: BAR 0 [mem 0xfe800000-0xfe803fff 64bit]\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0e:00.0\n");
        say(&l, "6,9,1,-;pci 0000:0d:00.0: [8086:0d93] type 00 class 0x050210 CXL Endpoint\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0d:00.0\n");
        CHECK_INT(l.n_items, 2);
        CHECK_STR(l.items[0].bdf, "0000:0d:00.0");
        CHECK_INT(l.items[0].class, 0x050210);
        CHECK_INT(l.items[0].sequence, 9);
        CHECK_INT(l.items[1].class, 0x010802);
}

static void test_controllers(void) {
        _cleanup_boot_log_ BootLog l = { 0 };

        say(&l, "6,1,1,-;nvme nvme0: pci function 0000:0d:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:0\n");
        say(&l, "6,2,1,-;nvme nvme1: pci function 0000:0e:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:1\n");
        CHECK_STR(place(&l, "nvme0"), "0000:0d:00.0");
        CHECK_STR(place(&l, "nvme2"), "");
        /* The number is given out anew: to another card, and to one over a network. */
        say(&l, "6,3,1,-;nvme nvme0: pci function 0000:0f:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:0\n");
        say(&l, "6,4,1,-;nvme nvme1: new ctrl: NQN \"nqn.x\", addr 10.0.0.1:4420, hostnqn: y\n SUBSYSTEM=nvme\n DEVICE=c241:1\n");
        say(&l, "6,5,1,-;nvme nvme0: 2/0/0 default/read/poll queues\n SUBSYSTEM=nvme\n DEVICE=c241:0\n");
        CHECK_STR(place(&l, "nvme0"), "0000:0f:00.0");
        CHECK_STR(place(&l, "nvme1"), "");
        CHECK_INT(l.n_items, 1);
}

/* A slot may have another card by now, of which the former one's disk is none. */
static void test_next_card(void) {
        _cleanup_boot_log_ BootLog l = { 0 };

        say(&l, "6,1,1,-;nvme nvme0: pci function 0000:0d:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:0\n");
        say(&l, "6,2,1,-;nvme nvme1: pci function 0000:0d:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:1\n");
        CHECK_STR(place(&l, "nvme0"), "0000:0d:00.0");
        CHECK_STR(place(&l, "nvme1"), "0000:0d:00.0");
}

/* Whoever may write to the log is not the kernel; and what a user's device calls itself stands behind its driver's name. */
static void test_forged(void) {
        static const char *const lines[] = {
                "14,1,1,-;nvme nvme0: pci function 0000:0d:00.0\n",
                "6,1,1,-;nvme nvme0: pci function 0000:0d:00.0\n",
                "14,1,1,-;nvme nvme0: pci function 0000:0d:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:0\n",
                "6,1,1,-;usb 1-1: Product: nvme nvme0: pci function 0000:0d:00.0\n SUBSYSTEM=usb\n DEVICE=c189:1\n",
                "6,1,1,-;pci 0000:0d:00.0: [8086:0d93] type 00 class 0x050210\n SUBSYSTEM=usb\n DEVICE=c189:1\n",
                "6,1,1,-;pci 0000:0d:00.0: [8086:0d93] type 00\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0d:00.0\n",
                "6,1,1,-;nvme nvme0: pci function \n SUBSYSTEM=nvme\n DEVICE=c241:0\n",
        };
        _cleanup_boot_log_ BootLog l = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                say(&l, lines[i]);
        CHECK_INT(l.n_items, 0);
}

int main(void) {
        test_functions();
        test_controllers();
        test_next_card();
        test_forged();
        return EXIT_SUCCESS;
}
