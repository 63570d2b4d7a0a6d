/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel's log tells of cards that are gone, who may say it, and what outlives the log. */
#include "base/fileio.h"
#include "kernel/log/boot-log.h"
#include "tests/unit/test.h"

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
        say(&l, "6,4,1,-;pci 0000:0d:00.0: [8086:0d93] type 00 class 0x050210 CXL Endpoint\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0d:00.0\n");
        CHECK_INT(l.n_items, 2);
        CHECK_STR(l.items[0].bdf, "0000:0d:00.0");
        CHECK_INT(l.items[0].class, 0x050210);
        CHECK_INT(l.items[0].sequence, 4);
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

/* Whoever may write to the log is not the kernel; and what a user's device calls itself stands after its driver's name. */
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

#define DISK "pci 0000:0d:00.0: [1b36:0010] type 00 class 0x010802\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0d:00.0\n"
#define OTHER "pci 0000:0e:00.0: [1b36:0010] type 00 class 0x010802\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0e:00.0\n"

static void say_at(BootLog *l, uint64_t sequence, const char *text) {
        _cleanup_free_ char *record = strf("6,%ju,1,-;%s", (uintmax_t) sequence, text);

        say(l, record);
}

/* What a missing record has said nobody knows, and one that was heard is no news. */
static void test_gap(void) {
        _cleanup_boot_log_ BootLog l = { 0 };

        say_at(&l, 5, DISK);
        say_at(&l, 6, "quiet");
        say_at(&l, 5, OTHER);
        say_at(&l, 6, OTHER);
        CHECK_INT(l.n_items, 1);
        CHECK_INT(l.first, 5);
        CHECK_INT(l.last, 6);
        CHECK_INT(l.changed, 5);
        say_at(&l, 7, OTHER);
        CHECK_INT(l.changed, 7);
        say_at(&l, 8, DISK);
        CHECK_INT(l.changed, 8);
        CHECK_INT(l.n_items, 2);
        say_at(&l, 10, OTHER);
        CHECK_INT(l.n_items, 1);
        CHECK_STR(l.items[0].bdf, "0000:0e:00.0");
        CHECK_INT(l.first, 10);
        say_at(&l, UINT64_MAX, "the end");
        CHECK_INT(l.n_items, 0);
        CHECK(l.first == UINT64_MAX);
        say_at(&l, 0, DISK);
        CHECK_INT(l.n_items, 0);
}

/* However many addresses there are, and however often each is found. */
static void test_many(void) {
        _cleanup_boot_log_ BootLog l = { 0 }, kept = { 0 };
        size_t most = 0;

        for (unsigned i = 0; i < 20000; i++) {
                _cleanup_free_ char *text = strf("pci %04x:%02x:%02x.0: [8086:1572] type 00 class 0x020000\n SUBSYSTEM=pci\n DEVICE=+pci:x\n", i >> 13, (i >> 5) & 255, i & 31);
                say_at(&l, i, text);
                most = l.n_items > most ? l.n_items : most;
        }
        CHECK(most > 4096 && most < 10000);
        CHECK(l.first > 0 && l.n_items == l.last + 1 - l.first);
        for (uint64_t i = 0; i < 1000; i++)
                say_at(&l, l.last + 1, DISK);
        CHECK_INT(l.n_items, l.last + 1 - l.first - 999);
        CHECK_INT(boot_log_keep(&l), 0);
        CHECK_INT(boot_log_kept(&kept), 0);
        CHECK_INT(kept.n_items, l.n_items);
        CHECK_INT(kept.first, l.first);
}

/* The log has these records from `first` on: each is what one read() gets. */
static void log_has(uint64_t first, const char *const *texts) {
        _cleanup_fclose_ FILE *f = fopen(getenv("SAFE_REMOVE_KMSG"), "we");

        CHECK(f);
        for (; *texts; texts++, first++) {
                _cleanup_free_ char *record = strf("6,%ju,1,-;%s", (uintmax_t) first, *texts);
                CHECK_INT(fprintf(f, "%-8192s", record), 8192);
        }
}

static void keep(uint64_t first, const char *const *texts) {
        _cleanup_boot_log_ BootLog l = { 0 };

        for (; *texts; texts++, first++)
                say_at(&l, first, *texts);
        CHECK_INT(boot_log_keep(&l), 0);
}

static void expect(uint64_t first, size_t n_items) {
        _cleanup_boot_log_ BootLog l = { 0 };

        CHECK_INT(boot_log_load(&l), 0);
        CHECK(l.begun);
        CHECK_INT(l.first, first);
        CHECK_INT(l.n_items, n_items);
}

static void expect_nothing(int error) {
        _cleanup_boot_log_ BootLog l = { 0 };

        CHECK_INT(boot_log_load(&l), error);
        CHECK(!l.begun && l.n_items == 0);
}

static const char *const two[] = { DISK, "nvme nvme0: pci function 0000:0d:00.0\n SUBSYSTEM=nvme\n DEVICE=c241:0\n", "quiet", NULL };
static const char *const later[] = { "quiet", OTHER, "quiet", NULL };

static void test_wrapped(void) {
        _cleanup_boot_log_ BootLog l = { 0 };

        keep(0, two);
        log_has(0, two);
        expect(0, 2);
        log_has(2, later);
        expect(0, 3);
        log_has(3, later);
        expect(0, 3);
        CHECK_INT(boot_log_load(&l), 0);
        CHECK_STR(place(&l, "nvme0"), "0000:0d:00.0");
        CHECK_INT(l.last, 5);
        /* One record is missing between what is kept and what is there; and within that. */
        log_has(4, later);
        expect(4, 1);
        log_has(3, (const char *const[]) { "quiet", OTHER, NULL });
        expect(0, 3);
        log_has(3, (const char *const[]) { "quiet\n", NULL });
        expect(0, 2);
}

/* What is in the file is not of this log, or cannot be: nobody knows, and the log alone tells. */
static void test_kept_of_another(void) {
        keep(0, (const char *const[]) { DISK, "a", "b", "c", "d", "e", "f", "g", NULL });
        log_has(3, later);
        expect_nothing(-EBADMSG);
        log_has(3, (const char *const[]) { NULL });
        expect_nothing(-EBADMSG);
}

static void put_kept(const char *boot, const char *rest) {
        _cleanup_free_ char *path = strf("%s/kernel-log", getenv("SAFE_REMOVE_RUN_DIR")), *text = strf("{\"boot\":\"%s\",%s", boot, rest);

        test_put(path, text);
}

#define SAID(what) "\"first\":0,\"last\":2,\"said\":[" what "]}"

static void test_not_to_be_understood(void) {
        static const char *const rests[] = {
                "", "}", "\"first\":0,\"last\":2}", "\"first\":0,\"said\":[]}", "\"last\":2,\"said\":[]}", "\"first\":3,\"last\":2,\"said\":[]}",
                "\"first\":-1,\"last\":2,\"said\":[]}", "\"first\":\"0\",\"last\":2,\"said\":[]}", "\"first\":null,\"last\":2,\"said\":[]}",
                "\"first\":0.0,\"last\":2,\"said\":[]}", "\"first\":0,\"last\":2,\"said\":{}}", "\"first\":0,\"last\":2,\"said\":[]", SAID("1"), SAID("{}"),
                SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":null,\"sequence\":3}"),
                SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":7,\"sequence\":1}"),
                SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":4294967296,\"controller\":null,\"sequence\":1}"),
                SAID("{\"bdf\":13,\"class\":67586,\"controller\":null,\"sequence\":1}"),
                SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":null,\"sequence\":-1}"),
                "\"first\":1,\"last\":2,\"said\":[{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":null,\"sequence\":0}]}",
                SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":null,\"sequence\":1},"),
        };
        char boot[33];

        CHECK_INT(boot_id_read(boot), 0);
        log_has(3, later);
        put_kept(boot, SAID("{\"bdf\":\"0000:0d:00.0\",\"class\":67586,\"controller\":null,\"sequence\":1}"));
        expect(0, 2);
        for (size_t i = 0; i < ELEMENTSOF(rests); i++) {
                put_kept(boot, rests[i]);
                expect(3, 1);
        }
        put_kept("0123456789abcdef0123456789abcdef", SAID(""));
        expect(3, 1);
        put_kept("", SAID(""));
        expect(3, 1);
}

/* Neither is waited for, nor read without end. */
static void test_no_such_file(void) {
        _cleanup_free_ char *path = strf("%s/kernel-log", getenv("SAFE_REMOVE_RUN_DIR"));

        CHECK_INT(unlink(path), 0);
        expect(3, 1);
        CHECK_INT(mkfifo(path, 0600), 0);
        expect(3, 1);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(symlink("/dev/zero", path), 0);
        expect(3, 1);
        CHECK_INT(unlink(path), 0);
        test_put(path, "");
        CHECK_INT(truncate(path, INT64_C(1) << 40), 0);
        expect(3, 1);
        CHECK_INT(unlink(path), 0);
}

static void test_unreadable(void) {
        keep(0, two);
        CHECK_INT(unlink(getenv("SAFE_REMOVE_KMSG")), 0);
        expect_nothing(-ENOENT);
}

int main(void) {
        _cleanup_free_ char *folder = test_folder(), *kmsg = strf("%s/kmsg", folder);

        CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, 1), 0);
        CHECK_INT(setenv("SAFE_REMOVE_KMSG", kmsg, 1), 0);
        test_functions();
        test_controllers();
        test_next_card();
        test_forged();
        test_gap();
        test_many();
        test_wrapped();
        test_kept_of_another();
        test_not_to_be_understood();
        test_no_such_file();
        test_unreadable();
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
