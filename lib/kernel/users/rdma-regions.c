/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "kernel/sysfs/listing.h"
#include "kernel/users/rdma-regions.h"

enum {
        /* The kernel fills one of its buffers at a time, NLMSG_GOODSIZE or somewhat more when ours is larger. */
        DATAGRAM_SIZE = 32 * 1024,
};

void rdma_regions_done(RdmaRegions *r) {
        free(TAKE_PTR(r->items));
        r->n_items = r->n_allocated = 0;
}

/* A stretch of attributes, or of messages: both begin with their length and are padded to 4 bytes. */
typedef struct Rest {
        const char *p;
        size_t size;
} Rest;

/* After the last one the padding may be missing. */
static void step_over(Rest *rest, size_t length) {
        size_t padded = (length + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO, step = padded < rest->size ? padded : rest->size;

        *rest = (Rest) { rest->p + step, rest->size - step };
}

/* 1 with the next attribute's type and content, 0 at the end, -EBADMSG. */
static int next_attribute(Rest *rest, uint16_t *ret_type, Rest *ret) {
        struct nlattr a;

        if (rest->size < sizeof(a))
                return rest->size == 0 ? 0 : -EBADMSG;
        memcpy(&a, rest->p, sizeof(a));
        if (a.nla_len < sizeof(a) || a.nla_len > rest->size)
                return -EBADMSG;
        *ret_type = a.nla_type & NLA_TYPE_MASK;
        *ret = (Rest) { rest->p + sizeof(a), a.nla_len - sizeof(a) };

        step_over(rest, a.nla_len);
        return 1;
}

static int take_number(const Rest *content, void *ret, size_t size) {
        if (content->size != size)
                return -EBADMSG;
        memcpy(ret, content->p, size);
        return 0;
}

typedef int (*each_t)(Rest content, void *userdata);

/* Calls for every attribute of a type. */
static int for_attributes(Rest rest, uint16_t wanted, each_t each, void *userdata) {
        uint16_t type;
        Rest content;
        int r;

        while ((r = next_attribute(&rest, &type, &content)) > 0) {
                if (type != wanted)
                        continue;
                r = each(content, userdata);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Calls for every message of the datagram that is an answer; the end of a dump is a message of its own. */
static int for_messages(const void *data, size_t size, each_t each, void *userdata) {
        for (Rest rest = { data, size }; rest.size > 0;) {
                struct nlmsghdr h;

                if (rest.size < sizeof(h))
                        return -EBADMSG;
                memcpy(&h, rest.p, sizeof(h));
                if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > rest.size)
                        return -EBADMSG;
                const Rest content = { rest.p + sizeof(h), h.nlmsg_len - sizeof(h) };
                if (h.nlmsg_type == NLMSG_DONE)
                        return 1;
                if (h.nlmsg_type == NLMSG_ERROR) {
                        int32_t error;
                        if (content.size < sizeof(error))
                                return -EBADMSG;
                        memcpy(&error, content.p, sizeof(error));
                        return error < 0 && error > -4096 ? error : -EBADMSG;
                }
                if (h.nlmsg_type != NLMSG_NOOP) {
                        int r = each(content, userdata);
                        if (r < 0)
                                return r;
                }
                step_over(&rest, h.nlmsg_len);
        }
        return 0;
}

typedef struct Ids {
        uint32_t *items;
        size_t n_items;
} Ids;

static int add_id(Rest content, void *userdata) {
        Ids *ids = userdata;
        uint32_t id;

        int r = take_number(&content, &id, sizeof(id));
        if (r < 0)
                return r;
        uint32_t *longer = reallocarray(ids->items, ids->n_items + 1, sizeof(uint32_t));
        if (!longer)
                return -ENOMEM;
        ids->items = longer;
        ids->items[ids->n_items++] = id;
        return 0;
}

static int device_message(Rest content, void *userdata) {
        return for_attributes(content, RDMA_NLDEV_ATTR_DEV_INDEX, add_id, userdata);
}

int rdma_devices_parse(const void *data, size_t size, uint32_t **ids, size_t *n_ids) {
        Ids all = { *ids, *n_ids };

        int r = for_messages(data, size, device_message, &all);
        *ids = all.items;
        *n_ids = all.n_items;
        return r;
}

/* What the kernel has for itself comes with a name (RES_KERN_NAME) instead of a pid. */
static int add_region(Rest rest, void *userdata) {
        RdmaRegions *regions = userdata;
        RdmaRegion region = { 0 };
        uint32_t pid = 0;
        uint16_t type;
        Rest content;
        int r;

        while ((r = next_attribute(&rest, &type, &content)) > 0) {
                if (type == RDMA_NLDEV_ATTR_RES_PID)
                        r = take_number(&content, &pid, sizeof(pid));
                else if (type == RDMA_NLDEV_ATTR_RES_MRLEN)
                        r = take_number(&content, &region.bytes, sizeof(region.bytes));
                if (r < 0)
                        return r;
        }
        if (r < 0 || pid == 0 || pid > INT32_MAX)
                return r;

        r = vec_grow((void **) &regions->items, regions->n_items, &regions->n_allocated, sizeof(region));
        if (r < 0)
                return r;
        region.pid = (int) pid;
        regions->items[regions->n_items++] = region;
        return 0;
}

static int region_table(Rest content, void *userdata) {
        return for_attributes(content, RDMA_NLDEV_ATTR_RES_MR_ENTRY, add_region, userdata);
}

static int region_message(Rest content, void *userdata) {
        return for_attributes(content, RDMA_NLDEV_ATTR_RES_MR, region_table, userdata);
}

int rdma_regions_parse(const void *data, size_t size, RdmaRegions *regions) {
        return for_messages(data, size, region_message, regions);
}

/* Asks for a dump; of one device where the command is about one. */
static int ask(int fd, uint16_t command, const uint32_t *device) {
        struct {
                struct nlmsghdr h;
                struct nlattr a;
                uint32_t device;
        } request = {
                .h = {
                        .nlmsg_len = device ? sizeof(request) : sizeof(request.h),
                        .nlmsg_type = (uint16_t) RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command),
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                },
                .a = { .nla_len = sizeof(request.a) + sizeof(uint32_t), .nla_type = RDMA_NLDEV_ATTR_DEV_INDEX },
                .device = device ? *device : 0,
        };

        return send(fd, &request, request.h.nlmsg_len, 0) < 0 ? -errno : 0;
}

static int receive(int fd, uint64_t timeout_usec, void *buffer, size_t *ret_size) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        int r = poll(&p, 1, (int) (timeout_usec / USEC_PER_MSEC));
        if (r <= 0)
                return r < 0 ? -errno : -ETIME;
        ssize_t n = recv(fd, buffer, DATAGRAM_SIZE, MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        *ret_size = (size_t) n;
        return 0;
}

static int load_from(int fd, uint64_t timeout_usec, void *buffer, RdmaRegions *regions) {
        _cleanup_free_ uint32_t *devices = NULL;
        size_t n = 0, size;

        int r = ask(fd, RDMA_NLDEV_CMD_GET, NULL);
        while (r == 0) {
                r = receive(fd, timeout_usec, buffer, &size);
                if (r >= 0)
                        r = rdma_devices_parse(buffer, size, &devices, &n);
        }
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = ask(fd, RDMA_NLDEV_CMD_RES_MR_GET, &devices[i]);
                while (r == 0) {
                        r = receive(fd, timeout_usec, buffer, &size);
                        if (r >= 0)
                                r = rdma_regions_parse(buffer, size, regions);
                }
        }
        return r < 0 ? r : 0;
}

int rdma_regions_load(uint64_t timeout_usec, RdmaRegions *ret) {
        _cleanup_(rdma_regions_done) RdmaRegions regions = { 0 };
        _cleanup_listing_ Listing devices = { 0 };
        _cleanup_free_ void *buffer = NULL;

        if (listing_readf(&devices, "/sys/class/infiniband") < 0 || devices.n == 0) {
                *ret = regions;
                return 0;
        }
        buffer = malloc(DATAGRAM_SIZE);
        if (!buffer)
                return -ENOMEM;
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
        if (fd < 0)
                return -errno;
        int r = load_from(fd, timeout_usec, buffer, &regions);
        if (r < 0)
                return r;
        *ret = regions;
        regions = (RdmaRegions) { 0 };
        return 0;
}
