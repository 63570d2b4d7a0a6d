/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>

#include "kernel/users/rdma-regions.h"
#include "tests/unit/test.h"

/* Messages as the kernel writes them: a length in front that is known at the end. */
typedef struct Datagram {
        char bytes[2048] __attribute__((aligned(4)));
        size_t size;
} Datagram;

static size_t message(Datagram *d, uint16_t type) {
        const struct nlmsghdr h = { .nlmsg_type = type };
        size_t at = d->size;

        memcpy(d->bytes + at, &h, sizeof(h));
        d->size += sizeof(h);
        return at;
}

static void message_end(Datagram *d, size_t at) {
        const uint32_t length = (uint32_t) (d->size - at);

        memcpy(d->bytes + at, &length, sizeof(length));
}

static size_t attribute(Datagram *d, uint16_t type, const void *data, size_t size) {
        const struct nlattr a = { .nla_len = (uint16_t) (sizeof(a) + size), .nla_type = type };
        size_t at = d->size;

        memcpy(d->bytes + at, &a, sizeof(a));
        if (size > 0)
                memcpy(d->bytes + at + sizeof(a), data, size);
        d->size += (sizeof(a) + size + 3) / 4 * 4;
        return at;
}

static void attribute_end(Datagram *d, size_t at) {
        const uint16_t length = (uint16_t) (d->size - at);

        memcpy(d->bytes + at, &length, sizeof(length));
}

static void region(Datagram *d, const uint32_t *pid, uint64_t bytes) {
        const uint32_t number = 3;

        size_t entry = attribute(d, RDMA_NLDEV_ATTR_RES_MR_ENTRY | NLA_F_NESTED, NULL, 0);
        (void) attribute(d, RDMA_NLDEV_ATTR_RES_MRN, &number, sizeof(number));
        (void) attribute(d, RDMA_NLDEV_ATTR_RES_MRLEN, &bytes, sizeof(bytes));
        if (pid)
                (void) attribute(d, RDMA_NLDEV_ATTR_RES_PID, pid, sizeof(*pid));
        else
                (void) attribute(d, RDMA_NLDEV_ATTR_RES_KERN_NAME, "ib_core", sizeof("ib_core"));
        attribute_end(d, entry);
}

static void regions(Datagram *d) {
        const uint32_t device = 1, pid = 4711, other = 12;

        *d = (Datagram) { 0 };
        size_t m = message(d, RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_RES_MR_GET));
        (void) attribute(d, RDMA_NLDEV_ATTR_DEV_INDEX, &device, sizeof(device));
        (void) attribute(d, RDMA_NLDEV_ATTR_DEV_NAME, "rxe0", sizeof("rxe0"));
        size_t table = attribute(d, RDMA_NLDEV_ATTR_RES_MR | NLA_F_NESTED, NULL, 0);
        region(d, &pid, 4096);
        region(d, NULL, 100);
        region(d, &other, UINT64_C(1) << 33);
        attribute_end(d, table);
        message_end(d, m);
}

static void test_regions(void) {
        _cleanup_(rdma_regions_done) RdmaRegions r = { 0 };
        Datagram d;

        regions(&d);
        CHECK_INT(rdma_regions_parse(d.bytes, d.size, &r), 0);
        CHECK_INT(r.n_items, 2);
        CHECK_INT(r.items[0].pid, 4711);
        CHECK_INT(r.items[0].bytes, 4096);
        CHECK_INT(r.items[1].pid, 12);
        CHECK_INT(r.items[1].bytes, UINT64_C(1) << 33);
}

static void test_end_and_error(void) {
        _cleanup_(rdma_regions_done) RdmaRegions r = { 0 };
        struct { int32_t error; struct nlmsghdr about; } no = { .error = -EPERM };
        Datagram d = { 0 };

        size_t m = message(&d, NLMSG_DONE);
        message_end(&d, m);
        CHECK_INT(rdma_regions_parse(d.bytes, d.size, &r), 1);

        d = (Datagram) { 0 };
        m = message(&d, NLMSG_ERROR);
        memcpy(d.bytes + d.size, &no, sizeof(no));
        d.size += sizeof(no);
        message_end(&d, m);
        CHECK_INT(rdma_regions_parse(d.bytes, d.size, &r), -EPERM);
        CHECK_INT(r.n_items, 0);
}

static void test_devices(void) {
        _cleanup_free_ uint32_t *ids = NULL;
        size_t n = 0;
        Datagram d = { 0 };

        for (uint32_t id = 0; id < 2; id++) {
                size_t m = message(&d, RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_GET));
                (void) attribute(&d, RDMA_NLDEV_ATTR_DEV_INDEX, &id, sizeof(id));
                (void) attribute(&d, RDMA_NLDEV_ATTR_DEV_NAME, "rxe0", sizeof("rxe0"));
                message_end(&d, m);
        }
        CHECK_INT(rdma_devices_parse(d.bytes, d.size, &ids, &n), 0);
        CHECK_INT(n, 2);
        CHECK_INT(ids[1], 1);
}

/* Cut anywhere it is noticed, but for where a message ends. */
static void test_cut(void) {
        Datagram d;

        regions(&d);
        for (size_t size = 1; size < d.size; size++) {
                _cleanup_(rdma_regions_done) RdmaRegions r = { 0 };
                _cleanup_free_ char *copy = malloc(size);
                CHECK(copy);
                memcpy(copy, d.bytes, size);
                CHECK_INT(rdma_regions_parse(copy, size, &r), -EBADMSG);
        }
}

static void test_none(void) {
        _cleanup_(rdma_regions_done) RdmaRegions r = { 0 };

        if (access("/sys/class/infiniband", F_OK) < 0) {
                CHECK_INT(rdma_regions_load(1000, &r), 0);
                CHECK_INT(r.n_items, 0);
        }
}

int main(void) {
        test_regions();
        test_end_and_error();
        test_devices();
        test_cut();
        test_none();
        return 0;
}
