/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who pins a card's pages is looked for in tests/vm/scenarios/80-pins.py. */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "holders/pins/pin-holder.h"
#include "tests/unit/test.h"

/* 6.12, as it stands. */
static const char ring[] =
        "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t829\nSqMask:\t0x3\nSqHead:\t0\nSQEs:\t0\nCQEs:\t0\nSqThread:\t-1\nSqTotalTime:\t0\n"
        "UserFiles:\t1\n    0: /dev/null\nUserBufs:\t3\n    0: 0x7f8b5de00000/4194304\n    1: 0x0/0\n   12: 0x7f8b5de00000/4096\n"
        "PollList:\nCqOverflowList:\nNAPI:\tdisabled\n";

static const char status[] =
        "Name:\tpinner\nUmask:\t0022\nVmSize:\t    2540 kB\nVmLck:\t       8 kB\nVmPin:\t    4096 kB\nVmHWM:\t    1100 kB\nThreads:\t1\n";

static void check_ring(const char *text, uint64_t n, uint64_t bytes) {
        RingBuffers b;

        CHECK_INT(ring_buffers_parse(text, &b), 0);
        CHECK_INT(b.n, n);
        CHECK_INT(b.bytes, bytes);
}

static void test_ring(void) {
        RingBuffers b;

        check_ring(ring, 3, 4194304 + 4096);
        check_ring("UserBufs:\t0\nPollList:\n", 0, 0);
        check_ring("UserBufs:\t2\n", 2, 0);                            /* the ring was busy: how many, not which */
        check_ring("UserBufs:\t2\n    0: <none>\n    1: 0x1000/512\n", 2, 512);
        CHECK_INT(ring_buffers_parse("pos:\t0\nflags:\t02000002\n", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\t", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\tx\n", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\t1\n    0: 0x1000/4096", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\t1\n    0: 0x1000\n", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\t1\n    0 0x1000/1\n", &b), -EBADMSG);
        CHECK_INT(ring_buffers_parse("UserBufs:\t2\n 0: 0x0/18446744073709551615\n 1: 0x0/1\n", &b), -EBADMSG);
}

static void test_status(void) {
        uint64_t bytes;

        CHECK_INT(status_bytes(status, "VmPin", &bytes), 0);
        CHECK_INT(bytes, 4096 * 1024);
        CHECK_INT(status_bytes(status, "VmLck", &bytes), 0);
        CHECK_INT(bytes, 8 * 1024);
        CHECK_INT(status_bytes("Name:\tkthreadd\nThreads:\t1\n", "VmPin", &bytes), -ENOENT);
        CHECK_INT(status_bytes("Name:\tVmPin:\t1 kB\n", "VmPin", &bytes), -ENOENT);
        CHECK_INT(status_bytes("VmPin:\t 12 MB\n", "VmPin", &bytes), -EBADMSG);
        CHECK_INT(status_bytes("VmPin:\t 18446744073709551615 kB\n", "VmPin", &bytes), -EBADMSG);
        CHECK_INT(status_bytes("VmPin:\t", "VmPin", &bytes), -EBADMSG);
}

static Pin make(int pid, PinKind kind, PinGrade grade) {
        return (Pin) {
                .kind = kind, .grade = grade, .bytes = 4096, .found = (char *) "/proc/12/fd/4",
                .who = { .pid = pid, .start_time = 7, .comm = (char *) "dd", .unit = (char *) "x.service", .uid = 3 },
        };
}

static void test_json(void) {
        const Pin certain = make(12, PIN_RING, PIN_CERTAIN), suspected = make(13, PIN_VFIO, PIN_SUSPECTED);
        _cleanup_json_ json_object *o = pin_to_json(&certain);
        _cleanup_free_ char *one = pin_text(&certain), *other = pin_text(&suspected);

        CHECK_STR(json_str(o, "kind"), "pin");
        CHECK_STR(json_str(o, "what"), "io_uring");
        CHECK_STR(json_str(o, "grade"), "certain");
        CHECK_INT(json_u64(o, "pid"), 12);
        CHECK_STR(json_str(o, "found"), "/proc/12/fd/4");
        CHECK_STR(one, "process 12 (dd, x.service) has memory of the card pinned by io_uring");
        CHECK_STR(other, "process 13 (dd, x.service) is suspected: it has memory pinned for a device by vfio");
}

/* Whoever is only suspected is no holder; whoever is one already gets another hold. */
static void test_add_to_holders(void) {
        Pin items[] = { make(12, PIN_RING, PIN_CERTAIN), make(12, PIN_PIPE, PIN_CERTAIN), make(13, PIN_RDMA, PIN_SUSPECTED),
                        make(14, PIN_XDP, PIN_CERTAIN) };
        const Pins pins = { .items = items, .n_items = ELEMENTSOF(items) };
        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        static const HoldTargets none = { 0 };

        CHECK(holders);
        holders->items = calloc(1, sizeof(Holder));
        CHECK(holders->items);
        holders->items[0] = (Holder) { .pid = 14, .start_time = 7 };
        holders->n_items = holders->n_allocated = 1;

        CHECK_INT(pins_add_to_holders(&pins, holders), 0);
        CHECK_INT(holders->n_items, 2);
        CHECK_INT(holders->items[0].n_holds, 1);
        CHECK_INT(holders->items[1].pid, 12);
        CHECK_INT(holders->items[1].n_holds, 2);
        CHECK_STR(holders->items[1].unit, "x.service");
        CHECK_STR(hold_way_to_string(holders->items[1].holds[0].way), "pin");

        _cleanup_json_ json_object *o = holder_to_json(&holders->items[1], &none);
        json_object *hold = json_at(json_get(o, "holds"), 0);
        CHECK_STR(json_str(hold, "way"), "pin");
        CHECK(!json_str(hold, "target"));
        CHECK_STR(json_str(hold, "found"), "/proc/12/fd/4");
}

static int ring_with_buffer(void) {
        static char buffer[8192] __attribute__((aligned(4096)));
        struct io_uring_params params = { 0 };
        struct iovec v = { .iov_base = buffer, .iov_len = sizeof(buffer) };

        int fd = (int) syscall(SYS_io_uring_setup, 1, &params);
        if (fd < 0 || syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &v, 1) < 0)
                return -1;
        return fd;
}

/* A child with a ring: suspected where only /proc may be looked at; where the kernel's own lists are followed, it is certain what it
 * has, and it is not of that card. */
static void test_scan(void) {
        const CardMemory nowhere = { .start = UINT64_C(1) << 50, .size = 4096, .kind = CENSUS_DEVICE_DAX };
        _cleanup_(pins_freep) Pins *pins = NULL;
        int ready[2];
        char word = '-';

        CHECK_INT(pipe(ready), 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                word = ring_with_buffer() < 0 ? 'n' : 'y';
                _exit(write(ready[1], &word, 1) == 1 && pause() == 0);
        }
        CHECK_INT(read(ready[0], &word, 1), 1);
        CHECK_INT(pins_scan(&nowhere, 1, NULL, NULL, 0, &pins), 0);
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);

        size_t found = 0;
        for (size_t i = 0; i < pins->n_items; i++) {
                CHECK(!pins->exact || pins->items[i].grade == PIN_SUSPECTED);
                found += pins->items[i].who.pid == child && pins->items[i].kind == PIN_RING;
        }
        CHECK(pins->exact || pins->why_inexact);
        CHECK_INT(found, word == 'y' && !pins->exact);
}

int main(void) {
        test_ring();
        test_status();
        test_json();
        test_add_to_holders();
        test_scan();
        return 0;
}
